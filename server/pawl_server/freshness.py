"""Looks for devices that prove nothing any more: a broker may repeat what it has for ever, and a hello can be replayed.

Only a signed report that accepted an offer under the open nonce is a proof. Decides nothing else about a device.
"""

from collections.abc import Callable

from pawl_server.domain.fleet import Device
from pawl_server.events import DeviceLate
from pawl_server.store import Store

_BATCH_DEVICES = 500


def is_late(device: Device, now_s: int, limit_s: int) -> bool:
    """Return whether the newest proof of freshness is older than the limit."""
    proved_s = device.proved_fresh_s()
    return proved_s is None or now_s - proved_s > limit_s


class FreshnessWatch:
    """Tells once of each device that becomes late; that it is fresh again is told by who takes its report."""

    def __init__(self, store: Store, clock: Callable[[], float], *, limit_s: int) -> None:
        self._store = store
        self._clock = clock
        self._limit_s = limit_s

    async def look(self) -> None:
        """Note and tell which devices became late."""
        while await self._note_late():
            pass

    async def _note_late(self) -> bool:
        before_s = int(self._clock()) - self._limit_s
        async with self._store.reading() as transaction:
            if not await transaction.newly_late(before_s, 1):
                return False
        async with self._store.writing() as transaction:
            # Asked again: one of them may have reported meanwhile.
            names = await transaction.newly_late(before_s, _BATCH_DEVICES)
            await transaction.mark_late(names)
            transaction.tell(*[DeviceLate(device=name) for name in names])
        return True
