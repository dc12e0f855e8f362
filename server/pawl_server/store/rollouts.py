"""Rollouts within one transaction: values in, values out. Their devices are in `members.py`."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Select, and_, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.domain.progress import UNSETTLED, PhaseState, Progress
from pawl_server.domain.rollout_states import FINAL_STATES, Rollout, RolloutState
from pawl_server.store import plans, tables
from pawl_server.store.progress import JOINED, MEMBER, ROLLOUT, progress

_PHASE = tables.rollout_phases.c
FINAL = [state.value for state in FINAL_STATES]
# Whom an ended rollout still has to do with: it stops who installs, and brings back who confirms late.
_AFTER_END = {
    RolloutState.CANCELLED: (*UNSETTLED, Progress.RECOVERING),
    RolloutState.ROLLED_BACK: (*UNSETTLED, Progress.SUCCEEDED, Progress.RECOVERING),
}


class RolloutRows:
    """The rows of rollouts and their phases; made by `Transaction.rollouts`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, rollout: Rollout) -> None:
        """Add a rollout under the id that its value says."""
        await self._connection.execute(insert(tables.rollouts), [_columns(rollout)])
        await self._connection.execute(insert(tables.rollout_phases), _phase_rows(rollout))

    async def next_id(self) -> int:
        """Return the id of the rollout that is added next: they are never deleted, so none is used twice."""
        newest = (await self._connection.execute(select(func.max(ROLLOUT.id)))).scalar_one()
        return int(newest or 0) + 1

    async def keep(self, rollout: Rollout) -> None:
        """Write the state of a rollout and of its phases."""
        change = update(tables.rollouts).where(ROLLOUT.id == rollout.id)
        await self._connection.execute(change.values(_columns(rollout)))
        for row in _phase_rows(rollout):
            of_phase = and_(_PHASE.rollout == row["rollout"], _PHASE.position == row["position"])
            await self._connection.execute(update(tables.rollout_phases).where(of_phase).values(row))

    async def page(self, after: int, limit: int) -> list[Rollout]:
        """Return the first rollouts whose id comes after this one."""
        return await self._rollouts(select(tables.rollouts).where(ROLLOUT.id > after).limit(limit))

    async def active(self) -> list[Rollout]:
        """Return those that haven't ended, the oldest first."""
        return await self._rollouts(select(tables.rollouts).where(ROLLOUT.state.not_in(FINAL)))

    async def unfinished(self, now_s: int) -> list[Rollout]:
        """Return those that have ended and still have to do with devices, the oldest first."""
        left = [
            and_(ROLLOUT.state == state.value, progress(now_s).in_([one.value for one in whom]))
            for state, whom in _AFTER_END.items()
        ]
        ended = select(ROLLOUT.id).where(ROLLOUT.state.in_([state.value for state in _AFTER_END]))
        query = select(MEMBER.rollout).distinct().select_from(JOINED)
        query = query.where(MEMBER.rollout.in_(ended), MEMBER.asked_at_s.is_not(None), or_(*left))
        return await self._rollouts(select(tables.rollouts).where(ROLLOUT.id.in_(query)))

    async def mark(self) -> tuple[int, int]:
        """Return what is another one once an assignment or a rollout has changed, whoever changed it."""
        newest = [select(func.max(one.c.id)).scalar_subquery() for one in (tables.events, tables.history)]
        row = (await self._connection.execute(select(*newest))).one()
        return row[0] or 0, row[1] or 0

    async def get(self, number: int) -> Rollout | None:
        """Return a rollout by its id."""
        found = await self._rollouts(select(tables.rollouts).where(ROLLOUT.id == number))
        return found[0] if found else None

    async def named(self, name: str) -> Rollout | None:
        """Return a rollout by its name."""
        found = await self._rollouts(select(tables.rollouts).where(ROLLOUT.name == name))
        return found[0] if found else None

    async def _rollouts(self, query: Select[Any]) -> list[Rollout]:
        found = (await self._connection.execute(query.order_by(ROLLOUT.id))).mappings().all()
        wanted = select(tables.rollout_phases).where(_PHASE.rollout.in_([row["id"] for row in found]))
        states: dict[int, list[PhaseState]] = {row["id"]: [] for row in found}
        for row in await self._connection.execute(wanted.order_by(_PHASE.position)):
            state = PhaseState(began_at_s=row.began_at_s, passed_at_s=row.passed_at_s, forgiven=row.forgiven)
            states[row.rollout].append(state)
        return [
            Rollout(
                plan=plans.from_json(row["plan"]),
                phase_states=tuple(states[row["id"]]),
                state=RolloutState(row["state"]),
                **{name: row[name] for name in _PLAIN},
            )
            for row in found
        ]


_PLAIN = ("id", "name", "reason", "created_at_s", "changed_at_s")


def _columns(rollout: Rollout) -> dict[str, Any]:
    return {
        **{name: getattr(rollout, name) for name in _PLAIN},
        "release": rollout.plan.release,
        "recovery": rollout.plan.recovery,
        "plan": plans.to_json(rollout.plan),
        "state": rollout.state.value,
    }


def _phase_rows(rollout: Rollout) -> list[dict[str, Any]]:
    return [
        {"rollout": rollout.id, "position": position, **asdict(state)}
        for position, state in enumerate(rollout.phase_states)
    ]
