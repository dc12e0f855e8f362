"""Which releases the broker has, may have, and is needed to have, within one transaction.

A release is retained from before the first byte goes to the broker until after the last one was taken back; it is
published while the broker has all of it for sure.
"""

from typing import Any

from sqlalchemy import ColumnElement, Update, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.domain.fleet import OPEN_STATES, AssignmentState
from pawl_server.domain.rollout import FINAL_STATES
from pawl_server.store import tables

_RELEASE, _ROLLOUT = tables.releases.c, tables.rollouts.c
_DEVICE, _ASSIGNMENT = tables.devices.c, tables.assignments.c
_IS_CURRENT = (_ASSIGNMENT.device == _DEVICE.id) & (_ASSIGNMENT.release == _DEVICE.assigned)


class RetainedRows:
    """What is known of releases on the broker; made by `Transaction.retained`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def lacking(self) -> list[bytes]:
        """Return the releases that devices are being asked to install and the broker may lack."""
        query = select(_RELEASE.digest).where(
            _RELEASE.published_at_s.is_(None),
            _is_assigned(AssignmentState.ASSIGNED, AssignmentState.OFFERED),
        )
        return list(await self._connection.scalars(query))

    async def unneeded(self, published_before_s: int) -> set[bytes]:
        """Return the releases on the broker that nothing asks for, and that weren't published since then.

        What asks for a release: an assignment that is a device's current one and open; a rollout that hasn't ended.
        """
        is_asked_for = exists().where(
            _ROLLOUT.state.not_in([state.value for state in FINAL_STATES]),
            or_(_ROLLOUT.release == _RELEASE.digest, _ROLLOUT.recovery == _RELEASE.digest),
        )
        is_recent = _RELEASE.published_at_s.is_not(None) & (_RELEASE.published_at_s > published_before_s)
        query = select(_RELEASE.digest).where(
            _RELEASE.is_retained, ~is_recent, ~is_asked_for, ~_is_assigned(*OPEN_STATES)
        )
        return set(await self._connection.scalars(query))

    async def all(self) -> set[bytes]:
        """Return the releases of which the broker may have something."""
        return set(await self._connection.scalars(select(_RELEASE.digest).where(_RELEASE.is_retained)))

    async def begin(self, digest: bytes, *, is_recovery: bool) -> None:
        """Note that the broker may have some of a release from now on, and what its manifest says it is for."""
        await self._change(_of(digest).values(is_retained=True, is_recovery=is_recovery))

    async def mark_published(self, digest: bytes, now_s: int) -> None:
        """Note that the broker has all of a release."""
        await self._change(_of(digest).values(published_at_s=now_s))

    async def mark_unpublished(self, digest: bytes) -> None:
        """Note that the broker lacks some of a release from now on."""
        await self._change(_of(digest).values(published_at_s=None))

    async def mark_unpublished_since(self, at_s: int) -> None:
        """Note that the broker may lack some of what was published at this time or later."""
        change = update(tables.releases).where(_RELEASE.published_at_s >= at_s)
        await self._change(change.values(published_at_s=None))

    async def mark_all_unpublished(self) -> None:
        """Note that the broker may have lost what it kept: whatever is needed is published again first."""
        await self._change(update(tables.releases).values(published_at_s=None))

    async def mark_withdrawn(self, digest: bytes) -> None:
        """Note that the broker has nothing of a release, unless it was published meanwhile."""
        change = _of(digest).where(_RELEASE.published_at_s.is_(None))
        await self._change(change.values(is_retained=False))

    async def _change(self, change: Update) -> None:
        await self._connection.execute(change)


def _of(digest: bytes) -> Update:
    return update(tables.releases).where(_RELEASE.digest == digest)


def _is_assigned(*states: AssignmentState) -> ColumnElement[Any]:
    """Return the condition that a release is a device's current one, in one of these states."""
    found = select(_ASSIGNMENT.device).join(tables.devices, _IS_CURRENT)
    wanted = [state.value for state in states]
    return found.where(_ASSIGNMENT.release == _RELEASE.digest, _ASSIGNMENT.state.in_(wanted)).exists()
