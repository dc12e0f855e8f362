"""How far a device of a rollout is, as SQL: derived from its assignment each time, so that nothing can say otherwise.

A member row says what the engine asked for, an assignment what came of it, by signed reports alone. `progress` puts both
together with the state of the rollout; the first rule that applies decides.
"""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, and_, case, or_, select

from pawl_server.domain.fleet import OPEN_STATES, AssignmentState
from pawl_server.domain.progress import Progress
from pawl_server.domain.rollout_states import FINAL_STATES, RolloutState
from pawl_server.store import tables

MEMBER, DEVICE, ROLLOUT = tables.rollout_members.c, tables.devices.c, tables.rollouts.c
_taken, _recovery = tables.assignments.alias("taken"), tables.assignments.alias("recovery")
# The assignment of the release, and that of the recovery release.
TAKEN, RECOVERY = _taken.c, _recovery.c
JOINED = (
    tables.rollout_members.join(tables.rollouts, ROLLOUT.id == MEMBER.rollout)
    .join(tables.devices, DEVICE.id == MEMBER.device)
    .outerjoin(_taken, and_(TAKEN.device == MEMBER.device, TAKEN.release == ROLLOUT.release))
    .outerjoin(_recovery, and_(RECOVERY.device == MEMBER.device, RECOVERY.release == ROLLOUT.recovery))
)
_OPEN = [state.value for state in OPEN_STATES]


def _state(*states: RolloutState) -> ColumnElement[bool]:
    return ROLLOUT.state.in_([state.value for state in states])


_GOES_BACK = _state(RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK)
_IS_CANCELLED = _state(RolloutState.CANCELLED)
_HAS_ENDED = _state(*FINAL_STATES)
# It has the release, whenever it says so: also after it was given up.
_HAS_IT = and_(MEMBER.asked_at_s.is_not(None), TAKEN.state == AssignmentState.SUCCEEDED.value)
_IS_OTHERS = and_(DEVICE.assigned.is_not(None), DEVICE.assigned != ROLLOUT.release)


def _has_newer() -> ColumnElement[bool]:
    """Return the condition that a device confirmed a release after that of the rollout, whatever it is assigned now."""
    bad, newer = tables.releases.alias("bad").c, tables.releases.alias("newer").c
    confirmed = tables.assignments.alias("confirmed").c
    query = select(confirmed.device).where(
        confirmed.device == MEMBER.device, confirmed.state == AssignmentState.SUCCEEDED.value
    )
    query = query.where(bad.digest == ROLLOUT.release, newer.digest == confirmed.release)
    return query.where(newer.sequence > bad.sequence).exists()


_TAKEN_FAILED = TAKEN.state == AssignmentState.FAILED.value


def progress(now_s: int) -> ColumnElement[str]:
    """Return how far a member is."""
    return case((MEMBER.is_recovering.is_(True), _way_back(now_s)), else_=_WAY_THERE)


def _way_back(now_s: int) -> ColumnElement[str]:
    return case(
        (RECOVERY.state == AssignmentState.SUCCEEDED.value, Progress.RECOVERED.value),
        (MEMBER.is_final.is_(True), Progress.UNRECOVERED.value),
        (and_(MEMBER.is_asked.is_(False), _IS_CANCELLED), Progress.WITHDRAWN.value),
        (
            and_(DEVICE.assigned.is_not(None), DEVICE.assigned != ROLLOUT.recovery),
            Progress.DISPLACED.value,
        ),
        # It failed to recover, and is asked again when its backoff is over: then it still has the bad release.
        (
            and_(MEMBER.is_asked.is_(False), MEMBER.not_before_s <= now_s),
            Progress.SUCCEEDED.value,
        ),
        else_=Progress.RECOVERING.value,
    )


_WAY_THERE: ColumnElement[str] = case(
    (and_(_HAS_IT, _GOES_BACK, or_(_IS_OTHERS, _has_newer())), Progress.DISPLACED.value),
    (_HAS_IT, Progress.SUCCEEDED.value),
    (MEMBER.is_final.is_(True), Progress.FAILED.value),
    (and_(MEMBER.is_asked.is_(False), or_(_GOES_BACK, _HAS_ENDED)), Progress.WITHDRAWN.value),
    (MEMBER.is_asked.is_(False), Progress.WAITING.value),
    (and_(_TAKEN_FAILED, or_(_GOES_BACK, _IS_CANCELLED)), Progress.FAILED.value),
    # What follows its failure wasn't decided yet.
    (_TAKEN_FAILED, Progress.WAITING.value),
    (DEVICE.assigned.is_distinct_from(ROLLOUT.release), Progress.DISPLACED.value),
    (TAKEN.state == AssignmentState.HELD.value, Progress.HELD.value),
    else_=Progress.OPEN.value,
)


def is_due(now_s: int) -> ColumnElement[bool]:
    """Return whether one that waits may be asked: its backoff is over, and its failure, if it failed, was judged."""
    is_judged = or_(MEMBER.is_asked.is_(False), TAKEN.state.is_distinct_from(AssignmentState.FAILED.value))
    return and_(MEMBER.not_before_s <= now_s, is_judged)


# The assignment that a member's `is_asked` speaks of.
CURRENT_STATE: ColumnElement[str] = case((MEMBER.is_recovering.is_(True), RECOVERY.state), else_=TAKEN.state)
CURRENT_REASON: ColumnElement[int] = case(
    (MEMBER.is_recovering.is_(True), RECOVERY.reason), else_=TAKEN.reason
)
IS_UNDER_WAY = and_(MEMBER.is_asked.is_(True), CURRENT_STATE.in_(_OPEN))
# It was asked to install, and its rollout asks for nothing any more: the engine will say so to the device.
IS_STOPPED = and_(
    MEMBER.is_asked.is_(True),
    CURRENT_STATE.in_([AssignmentState.ASSIGNED.value, AssignmentState.OFFERED.value]),
    case(
        (MEMBER.is_recovering.is_(True), and_(_IS_CANCELLED, DEVICE.assigned == ROLLOUT.recovery)),
        else_=and_(
            or_(_GOES_BACK, _IS_CANCELLED, _state(RolloutState.PAUSED)),
            DEVICE.assigned == ROLLOUT.release,
        ),
    ),
)


def by_assignments(
    release: Column[Any], states: Collection[AssignmentState], of: Iterable[RolloutState]
) -> Select[Any]:
    """Return the query for (rollout, device) where the assignment of this release of a rollout is in one of these states.

    A condition on it says nothing that a join doesn't, but how to find them: by the index of assignments, so that a rollout
    of many devices costs no more than the few that are in such a state.
    """
    owner, found = tables.rollouts.alias("owner").c, tables.assignments.alias("found").c
    query = select(owner.id, found.device).where(found.release == owner[release.key])
    query = query.where(owner.state.in_([state.value for state in of]))
    return query.where(found.state.in_([state.value for state in states]))
