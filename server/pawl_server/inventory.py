"""Questions about devices and releases."""

from dataclasses import dataclass

from pawl.index import b64u
from pawl_server.domain.changes import Refusal
from pawl_server.domain.fleet import Assignment, Device, Release
from pawl_server.errors import InvalidError, UnknownError
from pawl_server.store import Store

DIGEST_PREFIX_MIN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """A device, what it is assigned, and how often which of its messages was refused."""

    device: Device
    assignment: Assignment | None
    refusals: dict[Refusal, int]


class Inventory:
    """What the store says, for people to see."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def devices(self, after: str, limit: int) -> list[DeviceFacts]:
        """Return the first devices whose id comes after this one."""
        async with self._store.reading() as transaction:
            found = await transaction.page_of_devices(after, limit)
            assignments = await transaction.assignments([device.name for device in found])
        return [
            DeviceFacts(device=device, assignment=assignments.get(device.name), refusals={})
            for device in found
        ]

    async def device(self, name: str) -> DeviceFacts:
        """Return everything about a device; UnknownError if it isn't enrolled."""
        async with self._store.reading() as transaction:
            device = await transaction.device(name)
            if device is None:
                raise UnknownError(f"no device {name} is enrolled")
            assignment = (await transaction.assignments([name])).get(name)
            refusals = await transaction.refusals([name])
        return DeviceFacts(device=device, assignment=assignment, refusals=dict(refusals))

    async def releases(self) -> list[Release]:
        """Return every imported release, the newest first."""
        async with self._store.reading() as transaction:
            return await transaction.releases()

    async def release(self, text: str) -> Release:
        """Return the release whose digest begins like this; UnknownError if none does, InvalidError if several."""
        if len(text) < DIGEST_PREFIX_MIN:
            raise InvalidError("release", f"{text!r} is too short: {DIGEST_PREFIX_MIN} characters at least")
        found = [one for one in await self.releases() if str(b64u(one.digest)).startswith(text)]
        if not found:
            raise UnknownError(f"no release {text} was imported")
        if len(found) > 1:
            raise InvalidError("release", f"{len(found)} releases begin with {text}: give more of it")
        return found[0]
