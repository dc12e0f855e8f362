"""Power off at random moments of one update after another, boots and trials among them; two boards at once.

    pytest tests/boards/test_random_cuts.py                                 # a few cuts
    PAWL_BOARD_CUTS=200 pytest tests/boards/test_random_cuts.py -s          # so many; the figures are printed
    PAWL_BOARD_CUTS=200 PAWL_BOARD_SEED=1 pytest ...                        # the same parts of an update's time again

Judged at each cut: whole images where marks say so, a signed image that boots, a ratchet that didn't fall. After each
update: the new release confirmed, or, if the cuts took all three trials, the old one.
"""

import os

from random_cuts import Campaign

CUTS = int(os.environ.get("PAWL_BOARD_CUTS", "4"))
_IMAGE_BYTES = 60_000


def test_random_power_offs(play, workshop):
    """No board ends on anything but a verified image."""
    images = [workshop.steady(version, _IMAGE_BYTES) for version in (1, 2, 3)]

    async def walk(rig):
        campaign = Campaign(CUTS, images)
        await campaign.run(rig)
        assert campaign.counts["cuts"] == CUTS
        assert campaign.counts["updates that ended on the new release"]

    play(walk)
