"""What requests are made of: names as paths, queries and bodies have them, and bodies that have nothing else.

Patterns and bounds stand in /openapi.json, and are checked before anything is asked.
"""

from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

TIME_MAX_S = 2**63 - 1  # what a column holds
DEVICE_PATTERN = "^[a-z0-9][a-z0-9-]{0,62}$"
NAME_PATTERN = "^[a-z][a-z0-9.-]{0,62}$"
# A rollout has a number, too.
ROLLOUT_PATTERN = "^([a-z][a-z0-9.-]{0,62}|[1-9][0-9]{0,17})$"
# The beginning of a digest is enough.
DIGEST_PATTERN = "^[A-Za-z0-9_-]{6,43}$"
FILTER_MAX_CHARACTERS = 2000

DeviceName = Annotated[str, StringConstraints(pattern=DEVICE_PATTERN)]
GroupName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
RolloutName = Annotated[str, StringConstraints(pattern=ROLLOUT_PATTERN)]
ReleaseDigest = Annotated[str, Field(pattern=DIGEST_PATTERN, json_schema_extra={"format": "release"})]
FilterText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=FILTER_MAX_CHARACTERS,
        examples=['class == "esp32" and tag.site in ("b1", "b2") and version < "1.4"'],
        json_schema_extra={"format": "filter"},
    ),
]

DevicePath = Annotated[DeviceName, Path(description="A device's id.", examples=["bench-1"])]
GroupPath = Annotated[GroupName, Path(description="A group's name.", examples=["canary"])]
RolloutPath = Annotated[
    RolloutName, Path(description="A rollout's name or number.", examples=["spring", "7"])
]
ReleasePath = Annotated[ReleaseDigest, Path(description="A release's digest, or what it begins with.")]


class Body(BaseModel):
    """A body as JSON has it: no field that isn't known, no value that has to be converted."""

    model_config = ConfigDict(extra="forbid", strict=True)
