"""The names that paths and queries have, with what they look like: said in /openapi.json, and checked before anything is asked."""

from typing import Annotated

from pydantic import StringConstraints

DEVICE_PATTERN = "^[a-z0-9][a-z0-9-]{0,62}$"
NAME_PATTERN = "^[a-z][a-z0-9.-]{0,62}$"
# A rollout has a number, too: 1 to what a column holds.
ROLLOUT_PATTERN = "^([a-z][a-z0-9.-]{0,62}|[1-9][0-9]{0,17})$"
DIGEST_PATTERN = "^[A-Za-z0-9_-]{6,43}$"

DeviceName = Annotated[str, StringConstraints(pattern=DEVICE_PATTERN)]
GroupName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
NewRolloutName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
RolloutName = Annotated[str, StringConstraints(pattern=ROLLOUT_PATTERN)]
# The beginning is enough.
ReleaseDigest = Annotated[str, StringConstraints(pattern=DIGEST_PATTERN)]
