"""The power switch of a board on a rig: cut at a line of its console or at a moment, and judged each time it is off.

    power = await Power.of(rig, "bench-1", rig.release(image, 1))
    await power.on()
    await power.assign(rig.release(other, 2))
    await power.cut_at("state INSTALL")
    await power.on()
    settled = await power.settled()
    await power.end_on(power.wanted)
"""

import asyncio
import re
import time

from board_judge import Judge

from pawl_boards import maps

TIMEOUT_S = 180
_LOOK_S = 0.02


class Power:
    """One board; `wanted` is the digest of what it was assigned last, `cuts` the states in which it lost power."""

    def __init__(self, rig, name, board):
        self.rig = rig
        self.name = name
        self.board = board
        self.judge = Judge(maps.load(board.name))
        self.wanted = None
        self.ratchet = 0
        self.cuts = []
        self._pattern = None
        self._times = 0
        board.console.on_line(self._look)

    @classmethod
    async def of(cls, rig, name, factory, **options):
        """Make a board with a factory release; it is off."""
        power = cls(rig, name, await rig.add(name, factory, **options))
        power.wanted = power.judge.know(factory)
        return power

    @property
    def lines(self):
        """What it has printed."""
        return self.rig.lines(self.name)

    def lines_now(self):
        """What it has printed since it was switched on."""
        return [line.text for line in self.board.console.lines if line.start == self.board.starts]

    def state(self):
        """Return what it is doing: the agent's state, `boot` before the first one, `trial` before that of a trial."""
        state = "boot"
        for line in self.lines_now():
            if line.startswith("pawl: state "):
                state = line[12:]
            elif line.startswith("pawl: boot "):
                state = "trial" if " row 5 " in line else "booted"
        return state

    async def on(self):
        """Switch it on."""
        if self.rig.bridge is None:
            await self.rig.start_bridge()
        await asyncio.to_thread(self.board.power_on)

    async def on_alone(self):
        """Switch it on, and carry nothing."""
        await self.rig.stop_bridge()
        await asyncio.to_thread(self.board.power_on)

    async def cut(self):
        """Cut the power now, and judge what is left."""
        await asyncio.to_thread(self.board.power_off)
        self._note_cut()

    async def cut_at(self, pattern, *, times=1, timeout_s=TIMEOUT_S):
        """Cut the power when it prints a line of this pattern so many times, judge what is left, return the line."""
        seen = len(self.lines)
        self._times = times
        self._pattern = pattern
        await self._wait(lambda: self._pattern is None, f"no {pattern!r}", timeout_s)
        await asyncio.to_thread(self.board.power_off)
        self._note_cut()
        return next(line for line in self.lines[seen:] if re.search(pattern, line))

    def _look(self, line):
        if self._pattern is not None and re.search(self._pattern, line.text):
            self._times -= 1
            if not self._times:
                self._pattern = None
                self.board.power_off()

    def _note_cut(self):
        self.cuts.append(self.state())
        self.judge_now()

    def judge_now(self):
        """Judge its flash while it is off; return what that holds."""
        content = self.board.read_flash()
        self.ratchet = self.judge.require_sound(content, self.ratchet)
        return content

    def pass_day(self):
        """Let a day of uptime pass while it is off: the budget of slot erases is whole again."""
        offset, content = self.judge.day_later(self.board.read_flash())
        self.board.write_flash(content, offset)

    def flip_byte(self, region, at=1000):
        """Flip a bit of a region while the board is off."""
        start, _ = self.judge.layout.REGIONS[region]
        (value,) = self.board.read_flash(start + at, 1)
        self.board.write_flash(bytes([value ^ 1]), start + at)

    async def assign(self, raw):
        """Import a release and assign it; return its digest."""
        self.wanted = self.judge.know(raw)
        await self.rig.assign(self.name, raw)
        return self.wanted

    async def settled(self, timeout_s=TIMEOUT_S):
        """Return the assignment when it is settled, as the server knows it."""
        server = self.rig.site.server
        deadline = time.monotonic() + timeout_s
        while (assignment := await server.assignment(self.name)) is None or assignment.is_open:
            assert time.monotonic() < deadline, f"not settled: {assignment}\n{self.tail()}"
            await asyncio.sleep(_LOOK_S)
        assert assignment.release == self.wanted, assignment
        return assignment

    async def printed(self, pattern, timeout_s=TIMEOUT_S):
        """Return the first line of this pattern since it was switched on."""
        await self._wait(lambda: self._found(pattern), f"no {pattern!r}", timeout_s)
        return self._found(pattern)

    def _found(self, pattern):
        return next((line for line in self.lines_now() if re.search(pattern, line)), None)

    async def end_on(self, digest):
        """Cut the power at rest, and require that this release boots: by the flash, by the console, to the server."""
        await self.printed("state IDLE")
        await self.cut()
        self.judge.require_confirmed(self.board.read_flash(), digest)
        await self.on()
        assert " row 7 slot " in await self.printed("pawl: boot ")
        known = (await self.rig.site.server.device(self.name)).ratchet
        assert known.sequence == self.ratchet, (known, self.ratchet)

    async def _wait(self, holds, complaint, timeout_s):
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert not self.board.console.death, self.board.console.death
            assert time.monotonic() < deadline, f"{complaint}\n{self.tail()}"
            await asyncio.sleep(_LOOK_S)

    def tail(self):
        """Return the end of the console."""
        return self.board.console.tail()
