"""SIGKILL at every persisted step and at random moments of a whole update: the real process, broker, TLS and director.

    pytest tests/kills                            # sampled, under a minute
    PAWL_KILLS=100 pytest tests/kills -s          # every step, in each of three ways; so many pairs and random moments
    PAWL_KILL='step aged 17 half' pytest tests/kills/test_kills.py::test_killed_at_persisted_steps    # one alone

Judged at every start: whole images where marks say so, a ratchet that didn't fall, a boot of what the flash says. At the
end: the new release confirmed in both units, the ratchet at it.
"""

from campaign import LONG, run_campaign
from operations import PARTS
from plans import Moment, Pair, Step

KINDS = ("aged", "new")
FIRST_SEED = 20_000
SAMPLED_STEPS = 8
SAMPLED_SEEDS = range(FIRST_SEED, FIRST_SEED + 2)
SEEDS = range(FIRST_SEED, FIRST_SEED + LONG)


async def _every_step(campaign, kind):
    """Return a Step for each operation of an update that nobody kills, in each part."""
    (whole,) = await campaign.run([Step(kind=kind, number=0, part="after")])
    campaign.counts[f"operations of an update, {kind} device"] = count = len(whole.regions)
    return [Step(kind=kind, number=number, part=part) for number in range(1, count + 1) for part in PARTS]


def _spread(steps):
    """Return some, from the first to the last, of all parts."""
    return [steps[at * (len(steps) - 1) // (SAMPLED_STEPS - 1)] for at in range(SAMPLED_STEPS)]


async def _all_steps(campaign):
    steps = [step for kind in KINDS for step in await _every_step(campaign, kind)]
    await campaign.run([*steps, *(Pair(seed=seed) for seed in SEEDS)])
    assert campaign.counts["kills"] > 0.95 * len(steps)


async def _some_steps(campaign):
    steps = _spread(await _every_step(campaign, "aged"))
    await campaign.run([*steps, *(Pair(seed=seed) for seed in SAMPLED_SEEDS)])
    assert campaign.counts["kills"] >= SAMPLED_STEPS - 1
    for part in PARTS:
        assert campaign.counts[f"kills {part} an operation"]


async def _all_moments(campaign):
    await campaign.run([Moment(seed=seed) for seed in SEEDS])
    assert campaign.counts["kills"] > len(SEEDS)


async def _some_moments(campaign):
    await campaign.run([Moment(seed=seed) for seed in SAMPLED_SEEDS])
    assert campaign.counts["kills"]


def test_killed_at_persisted_steps(tmp_path):
    """Before an operation, in the middle of one, behind one; once, or again in what follows."""
    run_campaign(tmp_path, short=_some_steps, long=_all_steps)


def test_killed_at_random_moments(tmp_path):
    """Twice in an update, by the clock on the wall."""
    run_campaign(tmp_path, short=_some_moments, long=_all_moments)
