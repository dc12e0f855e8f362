"""Questions about devices and releases."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pawl import heard
from pawl.errors import PawlError
from pawl.index import b64u
from pawl_server.domain.changes import Refusal
from pawl_server.domain.fleet import Assignment, Device, Release
from pawl_server.errors import InvalidError, UnknownError
from pawl_server.freshness import is_late
from pawl_server.store import Store
from pawl_server.store.reports import StoredReport

DIGEST_PREFIX_MIN = 6
REPORTS_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """A device, what it is assigned, and how often which of its messages was refused.

    `claims` is the `pawl.messages.Hello` that it sent last, `log` what `pawl.heard.read_log` gives of its newest log: both
    unsigned; `reports` are its newest, signed.
    """

    device: Device
    assignment: Assignment | None
    is_late: bool
    claims: Any = None
    log: list[tuple[int, int, int, bytes | None]] = field(default_factory=list)
    refusals: dict[Refusal, int] = field(default_factory=dict)
    reports: list[StoredReport] = field(default_factory=list)


class Inventory:
    """What the store says, for people to see."""

    def __init__(self, store: Store, clock: Callable[[], float], *, late_after_s: int) -> None:
        self._store = store
        self._clock = clock
        self._late_after_s = late_after_s

    async def devices(self, after: str, limit: int) -> list[DeviceFacts]:
        """Return the first devices whose id comes after this one."""
        async with self._store.reading() as transaction:
            found = await transaction.page_of_devices(after, limit)
            assignments = await transaction.assignments([device.name for device in found])
        return [self._facts(device, assignments.get(device.name)) for device in found]

    async def device(self, name: str) -> DeviceFacts:
        """Return everything about a device; UnknownError if it isn't enrolled."""
        async with self._store.reading() as transaction:
            device = await transaction.device(name)
            if device is None:
                raise UnknownError(f"no device {name} is enrolled")
            assignment = (await transaction.assignments([name])).get(name)
            refusals = await transaction.refusals([name])
            reports = await transaction.reports.newest(name, REPORTS_SHOWN)
        facts = self._facts(device, assignment)
        log = [] if device.log is None else heard.read_log(device.log)
        return replace(facts, refusals=dict(refusals), reports=reports, log=log)

    def _facts(self, device: Device, assignment: Assignment | None) -> DeviceFacts:
        late = is_late(device, int(self._clock()), self._late_after_s)
        return DeviceFacts(device=device, assignment=assignment, is_late=late, claims=_claims(device))

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


def _claims(device: Device) -> Any:
    """Return the last hello; None before the first, and for one of a format that an older server took."""
    if device.hello is None:
        return None
    try:
        return heard.read_hello(device.hello)
    except PawlError:
        return None
