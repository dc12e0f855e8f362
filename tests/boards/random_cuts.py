"""Boards that are updated from release to release for ever, and lose power at random moments meanwhile.

A seed names the moments as parts of an update's time, which is measured first; some count from where the board goes on
with the update. What they hit depends on the machine.
"""

import asyncio
import os
import random
import sys
import time
from collections import Counter

from power import Power

from pawl import codes

AT_ONCE = 2
_SPAN_MIN_S = 2.0
_FIRST_MS_S = 0.05
_FIRST_MS_SHARE = 0.15
_CUTS_MAX = 3
_AT_WORK_SHARE = 0.6
_RESTS = ("boot", "booted", "IDLE", "CLEANUP")
_LOOK_S = 0.02


class Campaign:
    """Shared by the boards: how many cuts are left, and what came out."""

    def __init__(self, cuts, images):
        self.left = cuts
        self.images = images
        self.seed = int(os.environ.get("PAWL_BOARD_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
        self.counts = Counter()
        self.by_state = Counter()
        self.began = time.monotonic()
        sys.stderr.write(f"\nrandom cuts: PAWL_BOARD_SEED={self.seed}\n")

    async def run(self, rig):
        """Run all boards until no cut is left; the bridge has to know every line, so they are made first."""
        boards = [RandomCuts(self, rig, number) for number in range(AT_ONCE)]
        for board in boards:
            await board.make()
        try:
            await asyncio.gather(*(board.run() for board in boards))
        finally:
            self.say()

    def say(self):
        """Print the figures where a test run shows them with -s."""
        self.counts["seconds"] = int(time.monotonic() - self.began)
        lines = [f"{count:7} {name}" for name, count in sorted(self.counts.items())]
        lines += [f"{count:7} cuts in {name}" for name, count in sorted(self.by_state.items())]
        sys.stderr.write("\n".join(lines) + "\n")


class RandomCuts:
    """One board of a campaign; its releases cycle through the images, so each one brings other bytes than its slot has."""

    def __init__(self, campaign, rig, number):
        self.campaign = campaign
        self.name = f"bench-{number}"
        self.rig = rig
        self.chance = random.Random(f"{campaign.seed}.{number}")
        self.sequence = 1
        self.span_s = 0.0
        self.power = None

    def _release(self):
        images = self.campaign.images
        return self.rig.release(images[self.sequence % len(images)], self.sequence)

    async def make(self):
        """Make the board with the first release."""
        self.power = await Power.of(self.rig, self.name, self._release())

    async def run(self):
        """Measure one update, then cut until the campaign is over; the last update ends undisturbed."""
        await self.power.on()
        await self.power.printed("state IDLE")
        began = time.monotonic()
        await self._update(0)
        self.span_s = max(_SPAN_MIN_S, time.monotonic() - began)
        while self.campaign.left > 0:
            await self._update(self.chance.randint(1, _CUTS_MAX))
        self.campaign.counts["restarts"] += self.power.board.starts + len(self.rig.boots(self.name))

    async def _update(self, cuts):
        """Bring the next release to the board through so many cuts, and require what it ends on."""
        before = self.power.wanted
        self.sequence += 1
        await self.power.assign(self._release())
        for number in range(cuts):
            if self.campaign.left > 0:
                self.campaign.left -= 1
                await self._cut(is_first=number == 0)
        settled = await self.power.settled()
        is_reverted = settled.state == "failed"
        if is_reverted:
            assert settled.reason == codes.REASON_TRIALS, settled
            self.power.wanted = before
        await self._require_end()
        self.campaign.counts[f"updates that ended on the {'old' if is_reverted else 'new'} release"] += 1

    async def _cut(self, *, is_first):
        is_early = self.chance.random() < _FIRST_MS_SHARE
        if is_early and is_first:
            await asyncio.to_thread(self.power.board.power_off)
            await self.power.on()
        if not is_early and self.chance.random() < _AT_WORK_SHARE:
            await self._at_work()
        await asyncio.sleep(self.chance.uniform(0, _FIRST_MS_S if is_early else self.span_s))
        await self.power.cut()
        self.campaign.counts["cuts"] += 1
        self.campaign.by_state[self.power.cuts[-1]] += 1
        if is_first:
            self.power.pass_day()
        await self.power.on()

    async def _at_work(self):
        """Wait until the update goes on, or is over: else most cuts would hit the wait for an answer."""
        server = self.rig.site.server
        while self.power.state() in _RESTS and (await server.assignment(self.name)).is_open:  # noqa: ASYNC110 (two sources)
            await asyncio.sleep(_LOOK_S)

    async def _require_end(self):
        """Between two updates: what flash holds boots the release that the server thinks it has."""
        await self.power.printed("state IDLE")
        await asyncio.to_thread(self.power.board.power_off)
        content = self.power.judge_now()
        self.power.judge.require_confirmed(content, self.power.wanted)
        await self.power.on()
