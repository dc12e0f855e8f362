"""SIGKILL at every persisted step and at random moments of a whole update: the real process, broker, TLS and director.

    pytest tests/kills                            # sampled, under a minute
    PAWL_KILLS=100 pytest tests/kills -s          # every step, in each of three ways; so many pairs and random moments
    PAWL_KILL='step aged 17 half' pytest tests/kills       # one of them alone, as a failure names it

Judged at every start: whole images where marks say so, a ratchet that didn't fall, a boot of what the flash says. At the
end: the new release confirmed in both units, the ratchet at it.
"""

import asyncio
import os

from campaign import Campaign
from fleet import fleet
from operations import PARTS
from plans import Moment, Pair, Step, plan_of

LONG = int(os.environ.get("PAWL_KILLS", "0"))
ONLY = os.environ.get("PAWL_KILL", "")
KINDS = ("aged", "new")
FIRST_SEED = 20_000
SAMPLED_STEPS = 8
SAMPLED_SEEDS = 2


def every_step(counts):
    """Return a Step for each operation of both kinds of devices, in each part."""
    return [
        Step(kind=kind, number=number, part=part)
        for kind in KINDS
        for number in range(1, counts[kind] + 1)
        for part in PARTS
    ]


def spread(steps):
    """Return as many as the short run has, from the first to the last, of all parts."""
    return [steps[at * (len(steps) - 1) // (SAMPLED_STEPS - 1)] for at in range(SAMPLED_STEPS)]


async def count_operations(campaign):
    """Return how many operations an update has that nobody kills, for each kind of device."""
    never = await campaign.run([Step(kind=kind, number=0, part="after") for kind in KINDS])
    return {kind: len(victim.regions) for kind, victim in zip(KINDS, never, strict=True)}


async def steps_and_pairs(campaign):
    counts = await count_operations(campaign)
    campaign.counts.update({f"operations of an update, {kind} device": counts[kind] for kind in KINDS})
    steps = every_step(counts)
    seeds = range(FIRST_SEED, FIRST_SEED + (LONG or SAMPLED_SEEDS))
    await campaign.run([*(steps if LONG else spread(steps)), *(Pair(seed=seed) for seed in seeds)])
    assert campaign.counts["kills"] > 0.9 * (len(steps) if LONG else SAMPLED_STEPS)
    for part in PARTS:
        assert campaign.counts[f"kills {part} an operation"]


async def moments(campaign):
    seeds = range(FIRST_SEED, FIRST_SEED + (LONG or SAMPLED_SEEDS))
    await campaign.run([Moment(seed=seed) for seed in seeds])
    assert campaign.counts["kills"]


def run(tmp_path, what):
    """Run a campaign, or the one plan that was asked for, and judge it."""

    async def walk():
        async with fleet(tmp_path) as made:
            campaign = Campaign(made, is_long=bool(LONG))
            await (campaign.run([plan_of(ONLY)]) if ONLY else what(campaign))
            campaign.say()
            campaign.require_none_failed()

    asyncio.run(walk())


def test_killed_at_persisted_steps(tmp_path):
    """Before an operation, in the middle of one, behind one; once, or again in what follows."""
    run(tmp_path, steps_and_pairs)


def test_killed_at_random_moments(tmp_path):
    """Twice in an update, by the clock on the wall."""
    run(tmp_path, moments)
