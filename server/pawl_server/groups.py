"""Groups: named sets of devices, which rollouts take their devices from.

A group has the devices that are named, or those that match its filter whenever somebody asks. A device that is pinned
belongs to it whatever the filter says; one that is excluded never does, pinned or not. Both outlast a change of the rest.

    await groups.set_devices("canary", ["bench-1"])
    await groups.set_filter("field", 'class == "esp32" and tag.site == "b1"')
    await groups.exclude("field", "bench-1")
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from pawl_server.errors import InvalidError, UnknownError
from pawl_server.filters import FilterError, normal, parse
from pawl_server.store import ConflictError, Store, Transaction
from pawl_server.store.groups import Group, MemberKind

NAME = re.compile(r"[a-z][a-z0-9.-]{0,62}")
GROUP_DEVICES_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """A group, how many devices it has now, and whom it names besides."""

    group: Group
    count: int
    pinned: list[str]
    excluded: list[str]


class Groups:
    """What operators do with groups; the clock gives seconds since 1970."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def set_devices(self, name: str, devices: Collection[str]) -> Group:
        """Make a group of these devices, or let it have these from now on, in place of others or of a filter."""
        _require_name(name)
        if len(devices) > GROUP_DEVICES_MAX:
            raise InvalidError("devices", f"a group has at most {GROUP_DEVICES_MAX} devices: use a filter")
        group = Group(name=name, filter=None)
        async with self._store.writing() as transaction:
            unknown = await transaction.inventory.unknown(devices)
            if unknown:
                raise UnknownError(f"no device {unknown[0]} is enrolled")
            await transaction.groups.put(group, set(devices))
        return group

    async def set_filter(self, name: str, text: str) -> Group:
        """Make a group of the devices that match a filter, or let it have those from now on."""
        _require_name(name)
        group = Group(name=name, filter=_normal(text))
        async with self._store.writing() as transaction:
            await transaction.groups.put(group)
        return group

    async def page(self, after: str, limit: int) -> list[Group]:
        """Return the first groups whose name comes after this one."""
        async with self._store.reading() as transaction:
            return await transaction.groups.page(after, limit)

    async def get(self, name: str) -> GroupView:
        """Return a group; UnknownError if there is none."""
        async with self._store.reading() as transaction:
            rows = transaction.groups
            return GroupView(
                group=await _require_group(transaction, name),
                count=await rows.count(name, self._now_s()),
                pinned=await rows.named(name, MemberKind.PINNED),
                excluded=await rows.named(name, MemberKind.EXCLUDED),
            )

    async def devices(self, name: str, after: str, limit: int) -> list[str]:
        """Return the first devices of a group whose id comes after this one."""
        async with self._store.reading() as transaction:
            await _require_group(transaction, name)
            return await transaction.groups.page_of_devices(name, self._now_s(), after, limit)

    async def delete(self, name: str) -> None:
        """Delete a group; ConflictError if a rollout that hasn't ended takes devices from it."""
        async with self._store.writing() as transaction:
            await _require_group(transaction, name)
            user = await transaction.groups.user_of(name)
            if user is not None:
                raise ConflictError(f"rollout {user} uses group {name} and hasn't ended: cancel it first")
            await transaction.groups.delete(name)

    async def pin(self, name: str, device: str) -> None:
        """Let a device belong to a group whatever its filter or its members are."""
        await self._name(name, device, MemberKind.PINNED)

    async def unpin(self, name: str, device: str) -> None:
        """Take a pin back; without one, nothing changes."""
        await self._forget(name, device, MemberKind.PINNED)

    async def exclude(self, name: str, device: str) -> None:
        """Keep a device out of a group, though it matches, is a member, or is pinned."""
        await self._name(name, device, MemberKind.EXCLUDED)

    async def include(self, name: str, device: str) -> None:
        """Take an exclusion back; without one, nothing changes."""
        await self._forget(name, device, MemberKind.EXCLUDED)

    async def _name(self, name: str, device: str, kind: MemberKind) -> None:
        async with self._store.writing() as transaction:
            await _require_group(transaction, name)
            if await transaction.inventory.unknown([device]):
                raise UnknownError(f"no device {device} is enrolled")
            await transaction.groups.name_device(name, device, kind)

    async def _forget(self, name: str, device: str, kind: MemberKind) -> None:
        async with self._store.writing() as transaction:
            await _require_group(transaction, name)
            await transaction.groups.forget_device(name, device, kind)

    def _now_s(self) -> int:
        return int(self._clock())


def _require_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise InvalidError("name", f"{name!r} is no name: a letter, then a-z, 0-9, . and -, 63 at most")


def _normal(text: str) -> str:
    try:
        return normal(parse(text))
    except FilterError as error:
        raise InvalidError("filter", str(error)) from error


async def _require_group(transaction: Transaction, name: str) -> Group:
    group = await transaction.groups.get(name)
    if group is None:
        raise UnknownError(f"no group {name}")
    return group
