"""A stream of the server's that goes on where it was cut: the server may be started again while somebody watches.

for message in follow(fleet, "/events/stream", after=0): ...
"""

import time
from collections.abc import Iterator

from pawl_tools.fleet_client import FleetClient, Message, UnreachableError

# A server that is started again answers sooner.
ABSENCE_MAX_S = 60.0
_FIRST_PAUSE_S = 0.25
_LAST_PAUSE_S = 4.0


def follow(fleet: FleetClient, path: str, **query: str | int | None) -> Iterator[Message]:
    """Yield events for ever, through ends and breaks of the stream.

    UnreachableError when nobody answers at first, or for a minute later on.
    """
    last_id, pause_s = "", _FIRST_PAUSE_S
    gone_at_s: float | None = time.monotonic() - ABSENCE_MAX_S
    while True:
        try:
            for message in fleet.stream(path, last_id, **query):
                last_id, pause_s, gone_at_s = message.id or last_id, _FIRST_PAUSE_S, None
                if message.content is not None:
                    yield message
        except UnreachableError:
            gone_at_s = time.monotonic() if gone_at_s is None else gone_at_s
            if time.monotonic() - gone_at_s >= ABSENCE_MAX_S:
                raise
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LAST_PAUSE_S)
