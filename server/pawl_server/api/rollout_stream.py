"""A rollout as it changes, as server-sent events: what `rollout watch` shows.

Each event is all there is to see of the rollout. Its id is a digest of that, so that a client which connects again isn't told
what it knows.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator

from pawl_server.api.event_stream import HEARTBEAT_LOOKS, LOOK_S, wait
from pawl_server.api.rollout_views import RolloutFacts
from pawl_server.domain.rollout import FINAL_STATES
from pawl_server.rollouts import Rollouts

_ID_CHARACTERS = 16


async def changes(
    rollouts: Rollouts, facts: RolloutFacts, stopping: asyncio.Event, seen: str
) -> AsyncIterator[str]:
    """Yield a rollout whenever it looks different from what was seen, until it has ended or the server stops."""
    looks = 0
    while True:
        looks += 1
        if _id_of(facts) != seen:
            seen, looks = _id_of(facts), 0
            yield f"id: {seen}\nevent: rollout\ndata: {facts.model_dump_json()}\n\n"
        elif looks % HEARTBEAT_LOOKS == 0:
            yield ": still there\n\n"
        if facts.state in FINAL_STATES or stopping.is_set():
            return
        await wait(stopping, LOOK_S)
        facts = RolloutFacts.of(await rollouts.get(str(facts.id)))


def _id_of(facts: RolloutFacts) -> str:
    return hashlib.sha256(facts.model_dump_json().encode()).hexdigest()[:_ID_CHARACTERS]
