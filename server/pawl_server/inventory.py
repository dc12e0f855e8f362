"""What people ask and say about devices, and ask about releases.

page = await inventory.devices("", 100, 'class == "esp32" and not late')
await inventory.set_tags("bench-1", {"site": "b1", "owner": None})
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pawl import heard
from pawl.errors import PawlError
from pawl.index import b64u
from pawl_server import claiming
from pawl_server.domain import attention
from pawl_server.domain.attention import Note
from pawl_server.domain.changes import Changes, Refusal
from pawl_server.domain.fleet import Assignment, Device, Enrolment, Release
from pawl_server.domain.registration import Candidate, Registration
from pawl_server.domain.windows import known_zone
from pawl_server.errors import InvalidError, UnknownError
from pawl_server.filters import FilterError
from pawl_server.filters.fields import TAG_PREFIX, find_field
from pawl_server.freshness import is_late
from pawl_server.store import Store, Transaction
from pawl_server.store.history import HistoryEntry
from pawl_server.store.inventory import NEEDS_ATTENTION, Condition
from pawl_server.store.reports import StoredReport

DIGEST_PREFIX_MIN = 6
REPORTS_SHOWN = 10
TAGS_MAX = 64
TAG_VALUE_MAX = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """A device, what it is assigned, and how often which of its messages was refused.

    `claims` is the `pawl.messages.Hello` that it sent last, `log` what `pawl.heard.read_log` gives of its newest log: both
    unsigned; `reports` are its newest, signed. `notes` say why people have to look at it.
    """

    device: Device
    assignment: Assignment | None
    is_late: bool
    tags: dict[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    claims: Any = None
    log: list[tuple[int, int, int, bytes | None]] = field(default_factory=list)
    refusals: dict[Refusal, int] = field(default_factory=dict)
    reports: list[StoredReport] = field(default_factory=list)


class Inventory:
    """What the store says, for people to see, and what they say themselves; the clock gives seconds since 1970."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        *,
        late_after_s: int,
        registration: Registration = Registration.PRE_REGISTERED,
    ) -> None:
        self._store = store
        self._clock = clock
        self._late_after_s = late_after_s
        self._registration = registration

    async def devices(self, after: str, limit: int, filter_text: str | None = None) -> list[DeviceFacts]:
        """Return the first devices whose id comes after this one, of those that match; InvalidError if it is no filter."""
        async with self._store.reading() as transaction:
            condition = await self._condition(transaction, filter_text)
            return await self._page(transaction, after, limit, condition)

    async def count(self, filter_text: str | None = None) -> int:
        """Return how many devices match; InvalidError if it is no filter."""
        async with self._store.reading() as transaction:
            condition = await self._condition(transaction, filter_text)
            return await transaction.inventory.count(condition)

    async def attention(self, after: str, limit: int) -> list[DeviceFacts]:
        """Return the first devices whose id comes after this one, of those that people have to look at."""
        async with self._store.reading() as transaction:
            return await self._page(transaction, after, limit, NEEDS_ATTENTION)

    async def device(self, name: str) -> DeviceFacts:
        """Return everything about a device; UnknownError if it isn't enrolled."""
        async with self._store.reading() as transaction:
            device = await _require(transaction, name)
            assignment = (await transaction.assignments([name])).get(name)
            tags = await transaction.inventory.tags([name])
            refusals = await transaction.refusals([name])
            reports = await transaction.reports.newest(name, REPORTS_SHOWN)
        facts = self._facts(device, assignment, tags[name])
        log = [] if device.log is None else heard.read_log(device.log)
        return replace(facts, refusals=dict(refusals), reports=reports, log=log)

    async def set_tags(self, name: str, tags: Mapping[str, str | None]) -> dict[str, str]:
        """Set these tags of a device, delete those that are None, keep the others; return what it has then."""
        for key, value in tags.items():
            _require_tag(key, value)
        async with self._store.writing() as transaction:
            await _require(transaction, name)
            before = (await transaction.inventory.tags([name]))[name]
            after = {key: value for key, value in {**before, **tags}.items() if value is not None}
            if len(after) > TAGS_MAX:
                raise InvalidError("tags", f"a device has at most {TAGS_MAX} tags, these make {len(after)}")
            await transaction.inventory.set_tags(name, after)
        return dict(sorted(after.items()))

    async def set_timezone(self, name: str, zone: str) -> None:
        """Say in which time zone a device is: its maintenance windows are of the clock there."""
        if not known_zone(zone):
            raise InvalidError(
                "timezone", f"{zone[:64]!r} is no time zone: use an IANA name, such as Europe/Berlin"
            )
        async with self._store.writing() as transaction:
            await self._keep(transaction, replace(await _require(transaction, name), timezone=zone))

    async def clear_attention(self, name: str) -> None:
        """Say that somebody looked at a device: rollouts take it again, and what comes next is flagged anew."""
        async with self._store.writing() as transaction:
            await self._keep(transaction, attention.cleared(await _require(transaction, name)))

    async def history(self, name: str, after: int | None, limit: int) -> list[HistoryEntry]:
        """Return the newest states that a device's assignments came into, or those that are older than this entry."""
        async with self._store.reading() as transaction:
            await _require(transaction, name)
            return await transaction.history.page(name, after, limit)

    async def candidates(self, after: str, limit: int) -> list[Candidate]:
        """Return the first devices whose id comes after this one, of those that said hello and wait to be claimed."""
        async with self._store.reading() as transaction:
            return await transaction.candidates.page(after, limit)

    async def claim(self, name: str, code: str) -> Enrolment:
        """Enroll a candidate with the report key in its claim code; what it raises, see `claiming.claim`."""
        async with self._store.writing() as transaction:
            return await claiming.claim(transaction, name, code, self._now_s(), self._registration)

    async def _page(
        self, transaction: Transaction, after: str, limit: int, condition: Condition | None
    ) -> list[DeviceFacts]:
        found = await transaction.inventory.page(after, limit, condition)
        names = [device.name for device in found]
        assignments, tags = await transaction.assignments(names), await transaction.inventory.tags(names)
        return [self._facts(one, assignments.get(one.name), tags[one.name]) for one in found]

    async def _condition(self, transaction: Transaction, text: str | None) -> Condition | None:
        if text is None:
            return None
        try:
            return await transaction.inventory.condition(text, self._now_s())
        except FilterError as error:
            raise InvalidError("filter", str(error)) from error

    def _facts(self, device: Device, assignment: Assignment | None, tags: dict[str, str]) -> DeviceFacts:
        return DeviceFacts(
            device=device,
            assignment=assignment,
            is_late=is_late(device, self._now_s(), self._late_after_s),
            tags=tags,
            notes=attention.notes_of(device, self._late_after_s),
            claims=_claims(device),
        )

    async def _keep(self, transaction: Transaction, device: Device) -> None:
        await transaction.write(Changes(devices={device.name: device}), self._now_s())

    def _now_s(self) -> int:
        return int(self._clock())

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


async def _require(transaction: Transaction, name: str) -> Device:
    device = await transaction.device(name)
    if device is None:
        raise UnknownError(f"no device {name} is enrolled")
    return device


def _require_tag(key: str, value: str | None) -> None:
    field_name = f"tags.{key[:40]}"
    if find_field(TAG_PREFIX + key) is None:
        raise InvalidError(
            field_name, f"{key[:40]!r} is no tag: a letter, then a-z, 0-9, _ and -, 32 at most"
        )
    if value is not None and not (0 < len(value) <= TAG_VALUE_MAX and value.isprintable()):
        raise InvalidError(field_name, f"the value of a tag has 1 to {TAG_VALUE_MAX} printable characters")
