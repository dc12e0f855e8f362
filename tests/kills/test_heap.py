"""The heap stepped down until updates fail, and on until nothing boots: the real process, broker, TLS and director.

    pytest tests/kills/test_heap.py                        # a few sizes
    PAWL_KILLS=1 pytest tests/kills/test_heap.py -s        # every KiB; prints what ended in between
    PAWL_KILL='heap 236' pytest tests/kills/test_heap.py   # one size alone, as a failure names it

At each size the device runs a verified image, or crashes before it runs any; marks never lie. With the heap that devices
have the update then ends as it does at any other time.
"""

from campaign import run_campaign
from heaps import HeapStep

SMALLEST, LARGEST = 196, 256
ASSET_BYTES = 50_000
SAMPLED = (
    HeapStep(kibibytes=256),
    HeapStep(kibibytes=236),
    HeapStep(kibibytes=216, is_in_trial=True),
    HeapStep(kibibytes=208),
)


async def _every_size(campaign):
    sizes = range(LARGEST, SMALLEST - 1, -1)
    steps = [HeapStep(kibibytes=size, is_in_trial=late) for late in (False, True) for size in sizes]
    victims = await campaign.run(steps)
    for step, victim in zip(steps, victims, strict=True):
        campaign.print(f"{step.words}: {victim.outcome}; assigned again {victim.reassigned}")


async def _few_sizes(campaign):
    victims = await campaign.run(SAMPLED)
    assert victims[0].outcome.startswith("succeeded"), victims[0].outcome
    assert not victims[-1].outcome.startswith("succeeded"), "the smallest heap is large enough"


def test_heaps_that_are_too_small(tmp_path):
    """From the start, and from the first trial on."""
    run_campaign(tmp_path, short=_few_sizes, long=_every_size, asset_bytes=ASSET_BYTES)
