"""Where the time of a whole update goes, from the accepted offer to the report that it is confirmed.

The device charges every moment to one bucket; what the host saw pass and no bucket has is the restart of the process.
"""

from collections import defaultdict

from benchmarks.figures import Figure
from benchmarks.fleet import ROOMY_HEAP, Fleet, Trip

_FIRST, _LAST = "pawl: state DOWNLOAD", "pawl: state CLEANUP"
_SPENT = "bench: spent "
_REFERENCE = "whole update"
_BUCKETS = {
    "signature": "signatures",
    "hash": "SHA-256",
    "inflate": "inflate",
    "flash": "flash",
    "tls": "link: TLS and sockets",
    "waiting": "link: waiting for the broker",
    "interpreter": "all other code of the agent",
    "restart": "restart of the process",
    "trial": "watching the trial run",
}


async def measure(fleet: Fleet) -> list[Figure]:
    """Return one figure a bucket."""
    trip = Trip(name="shares")
    device = await fleet.device(trip, agent=fleet.agent_with("time_probe"), heap=ROOMY_HEAP)
    await fleet.update(trip, device)
    trip.require_success()
    total_ms = _total_ms(trip)
    spent = spent_ms(trip.console)
    spent["restart"] = total_ms - sum(spent.values())
    return [
        Figure(
            name=f"time: {words}",
            value=spent[bucket],
            unit="ms",
            reference=_REFERENCE,
            reference_value=total_ms,
        )
        for bucket, words in _BUCKETS.items()
    ]


def _total_ms(trip: Trip) -> float:
    """Return the time from the first DOWNLOAD to the first CLEANUP, as the host saw their lines."""
    moments = {line: moment for moment, line in reversed(trip.lines)}
    return (moments[_LAST] - moments[_FIRST]) * 1000


def spent_ms(console: list[str]) -> dict[str, float]:
    """Return the buckets that the device told at the restart and at the end, added up."""
    spent: defaultdict[str, float] = defaultdict(float)
    begun = console.index(_FIRST)
    ended = console.index(_LAST)
    after = next((at for at in range(ended + 1, len(console)) if not console[at].startswith(_SPENT)), None)
    for line in console[begun:after]:
        if line.startswith(_SPENT):
            bucket, microseconds = line.removeprefix(_SPENT).split()
            spent[bucket] += int(microseconds) / 1000
    return spent
