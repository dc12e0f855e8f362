"""What operators do with rollouts: they say what is wanted, `reconcile` brings it about.

rollout = await rollouts.create(release, ["canary", "production"], name="spring")
await rollouts.command("spring", RolloutEvent.PAUSE)
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pawl_server.carrying import changed
from pawl_server.domain import rollout
from pawl_server.domain.rollout import GroupCounts, Rollout, RolloutEvent
from pawl_server.errors import InvalidError, UnknownError
from pawl_server.store import ConflictError, Store, Transaction
from pawl_server.store.rollouts import Member

# Begins with a letter: a rollout is also named by its number.
NAME = re.compile(r"[a-z][a-z0-9.-]{0,62}")
_GIVEN = "rollout-"
ROLLOUT_GROUPS_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """A rollout and how far its groups are, in order."""

    rollout: Rollout
    groups: list[GroupCounts]


class Rollouts:
    """Commands and questions."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def create(self, release: bytes, groups: Sequence[str], name: str | None = None) -> Rollout:
        """Begin a rollout of a release to groups, in order; the same again under one name changes nothing."""
        if name is not None:
            _require_name(name, "name")
            if name.startswith(_GIVEN):
                raise InvalidError("name", f"{_GIVEN}<number> is for rollouts without a name")
        if not 0 < len(groups) <= ROLLOUT_GROUPS_MAX or len(set(groups)) != len(groups):
            raise InvalidError("groups", f"name 1 to {ROLLOUT_GROUPS_MAX} groups, each once")
        async with self._store.writing() as transaction:
            known = await transaction.rollouts.named(name) if name else None
            if known is not None:
                return _same(known, release, groups)
            created = await self._add(transaction, release, groups, name)
            transaction.tell(changed(created))
        return created

    async def _add(
        self, transaction: Transaction, release: bytes, groups: Sequence[str], name: str | None
    ) -> Rollout:
        if await transaction.release(release) is None:
            raise UnknownError(f"no release {release.hex()} was imported")
        members = await _members(transaction, groups)
        now_s = int(self._clock())
        new = Rollout(
            id=0,
            name=name or "",
            release=release,
            groups=tuple(groups),
            created_at_s=now_s,
            changed_at_s=now_s,
        )
        added = replace(new, id=await transaction.rollouts.add(new, members))
        if not name:
            added = replace(added, name=f"{_GIVEN}{added.id}")
            await transaction.rollouts.keep(added)
        return added

    async def command(self, name: str, event: RolloutEvent) -> Rollout:
        """Pause, resume or cancel; RolloutStateError if its state doesn't allow that."""
        async with self._store.writing() as transaction:
            before = await _find(transaction, name)
            after = rollout.follow(before, event, int(self._clock()), _REASONS.get(event, ""))
            if event is RolloutEvent.RESUME and after != before:
                unsettled = await transaction.rollouts.members(before, rollout.UNSETTLED)
                await transaction.rollouts.mark_asked(
                    before, [member.device for member in unsettled], is_asked=False
                )
            await transaction.rollouts.keep(after)
            transaction.tell(changed(after))
        return after

    async def all(self) -> list[RolloutView]:
        """Return every rollout, the oldest first."""
        async with self._store.reading() as transaction:
            found = await transaction.rollouts.all()
            return [RolloutView(rollout=one, groups=await transaction.rollouts.counts(one)) for one in found]

    async def get(self, name: str) -> RolloutView:
        """Return a rollout by name or number."""
        async with self._store.reading() as transaction:
            found = await _find(transaction, name)
            return RolloutView(rollout=found, groups=await transaction.rollouts.counts(found))

    async def members(self, name: str) -> list[Member]:
        """Return the devices of a rollout, in order of its groups."""
        async with self._store.reading() as transaction:
            return await transaction.rollouts.members(await _find(transaction, name))


_REASONS = {RolloutEvent.PAUSE: "paused by an operator", RolloutEvent.CANCEL: "cancelled by an operator"}


def _require_name(name: str, field: str) -> None:
    if not NAME.fullmatch(name):
        raise InvalidError(field, f"{name!r} is no name: a letter, then a-z, 0-9, . and -, 63 at most")


def _same(known: Rollout, release: bytes, groups: Sequence[str]) -> Rollout:
    if (known.release, known.groups) != (release, tuple(groups)):
        raise ConflictError(f"a rollout {known.name} of another release or other groups exists")
    return known


async def _members(transaction: Transaction, groups: Sequence[str]) -> list[list[str]]:
    """Return the devices of each group; who is in several belongs to the first."""
    known, busy = await transaction.groups.all(), await transaction.rollouts.busy()
    members: list[list[str]] = []
    taken: set[str] = set()
    for name in groups:
        if not known.get(name):
            raise UnknownError(f"group {name} has no devices" if name in known else f"no group {name}")
        members.append([device for device in known[name] if device not in taken])
        taken.update(known[name])
    for device in sorted(taken):
        if device in busy:
            raise ConflictError(f"{device} is in rollout {busy[device]}, which hasn't ended: cancel it first")
    return members


async def _find(transaction: Transaction, name: str) -> Rollout:
    is_number = name.isascii() and name.isdecimal() and len(name) <= 18  # fits the column
    found = await (transaction.rollouts.get(int(name)) if is_number else transaction.rollouts.named(name))
    if found is None:
        raise UnknownError(f"no rollout {name}")
    return found
