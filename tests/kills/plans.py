"""What is done to one device in the course of one update; each plan has the words by which it is run again alone."""

import asyncio
import random
from dataclasses import dataclass

from operations import PARTS, Kill

_PAUSE_S = 0.05
_DEADLINE_S = 120
_LATE_S = 3  # for an operation that comes after the assignment was settled
_SPAN_S = 4.0  # an update takes 2 to 4, as busy as the machine is
_OPERATIONS = 26
_ROUNDS = 2  # so often is a device killed that is killed more than once: the third trial is left


@dataclass(frozen=True, kw_only=True)
class Step:
    """Kill at one operation of the update of a new or an aged device."""

    kind: str
    number: int
    part: str

    @property
    def words(self):
        return f"step {self.kind} {self.number} {self.part}"

    async def run(self, fleet, name):
        """Update a device with this kill in it; return it, without power."""
        return await _update(
            fleet, name, [Kill(number=self.number, part=self.part)], is_aged=self.kind == "aged"
        )


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Kill at an operation, and at another one of what is done after that."""

    seed: int

    @property
    def words(self):
        return f"pair {self.seed}"

    async def run(self, fleet, name):
        """Update a device with these kills in it; return it, without power."""
        chance = random.Random(self.seed)
        kills = [
            Kill(number=chance.randint(1, _OPERATIONS), part=chance.choice(list(PARTS)))
            for _ in range(_ROUNDS)
        ]
        return await _update(fleet, name, kills, is_aged=chance.random() < 0.5)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Kill at random moments: within a few seconds of the start, and again within a few of that."""

    seed: int

    @property
    def words(self):
        return f"moment {self.seed}"

    async def run(self, fleet, name):
        """Update a device that is killed meanwhile; return it, without power."""
        chance = random.Random(self.seed)

        async def kill(victim):
            for _ in range(_ROUNDS):
                await asyncio.sleep(chance.uniform(0, _SPAN_S))
                victim.kill_now()

        return await _update(fleet, name, [], is_aged=chance.random() < 0.5, meanwhile=kill)


async def _nothing(_):
    return


async def _update(fleet, name, kills, *, is_aged, meanwhile=_nothing):
    victim = await fleet.victim(name, kills, is_aged=is_aged)
    victim.power_on()
    try:
        async with asyncio.timeout(_DEADLINE_S):
            await meanwhile(victim)
            await until(lambda: fleet.settlement(name))
            await _late_kills(victim)
            await until(lambda: victim.has_booted)
    except TimeoutError:
        victim.faults.append(f"the update did not end in {_DEADLINE_S} s")
    finally:
        await asyncio.to_thread(victim.power_off)
    victim.faults += [line for line in victim.console if line.endswith(" slot -")]
    judge_end(fleet, victim)
    return victim


async def until(holds):
    """Wait until something holds that other threads bring about."""
    while not holds():  # noqa: ASYNC110 (no event of this loop tells it)
        await asyncio.sleep(_PAUSE_S)


async def _late_kills(victim):
    """Operations that come after the settlement get a moment; two updates of one device may differ by one or two."""
    for _ in range(int(_LATE_S / _PAUSE_S)):
        if not victim.kills:
            return
        await asyncio.sleep(_PAUSE_S)


def judge_end(fleet, victim):
    """Note what is wrong with the end of an update."""
    settled = fleet.settlement(victim.name)
    if settled is None or settled.state != "succeeded":
        victim.faults.append(f"the assignment ended as {settled}")
    try:
        raw = victim.flash.read_bytes()
        victim.witness.require_sound(raw, victim.ratchet)
        victim.witness.require_updated(raw)
    except AssertionError as error:
        victim.faults.append(str(error))
