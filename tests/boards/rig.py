"""A site with boards: mosquitto, the fleet server, the bridge, and firmware on emulated boards; nothing is replaced.

    async with Rig(folder, bench) as rig:
        board = await rig.add("bench-1", rig.release(images[1], 1))
        await rig.power_on()
        await rig.assign("bench-1", rig.release(images[2], 2))
        settled = await rig.settled("bench-1")

Leaving it switches everything off.
"""

import asyncio
import re
import time
from pathlib import Path

from pawl_boards import maps
from pawl_server.events import AssignmentSettled, HelloReceived
from pawl_tools import provision, toolchain
from pawl_tools.bridge import BridgeThread, Limits
from pawl_tools.site import HOST, Site, read_enrolment

STEP_TIMEOUT_S = 60
# Boards that are killed all the time connect all the time.
LIMITS = Limits(connects_per_minute=6000)


class Rig:
    """Everything of one test, in one folder; `bench` makes the boards; the trust anchor was issued `anchor_age_s` ago."""

    def __init__(self, folder: Path, bench, anchor_age_s=0):
        folder.mkdir()
        self.site = Site(folder, toolchain.find(), int(time.time()) - anchor_age_s)
        self.boards = {}
        self.bridge = None
        self.patience = bench.patience
        self._bench = bench
        self._events = None
        self._seen = []

    async def __aenter__(self):
        await self.site.start()
        self._events = asyncio.create_task(self._collect())
        return self

    async def __aexit__(self, *_):
        for board in self.boards.values():
            await asyncio.to_thread(board.close)
        await self.stop_bridge()
        self._events.cancel()
        await self.site.stop()

    async def _collect(self):
        async for event in self.site.server.events():
            self._seen.append(event)

    def release(self, image, sequence, version=None):
        """Return a bundle of an image."""
        return self.site.release(image, sequence, version or (sequence,))

    async def enroll(self, name, factory, layout):
        """Make a device's flash image and enroll it; return the image's file."""
        folder = self.site.folder / "devices" / name
        plan = provision.plan_for(factory, device=name, host=HOST, port=self.site.ports.devices)
        await asyncio.to_thread(
            provision.provision,
            folder,
            plan,
            self.site.anchor_file,
            factory,
            self.site.device_ca,
            layout=layout,
        )
        await self.site.server.enroll(read_enrolment(folder / "enrolment.json"))
        return folder / "flash.bin"

    async def add(self, name, factory, **options):
        """Make a board with a factory release in its flash; it is off. `options` are the bench's: heap_bytes, watchdog_s."""
        board = self._bench.board(name, **options)
        self.boards[name] = board
        flash = await self.enroll(name, factory, maps.load(board.name))
        board.write_flash(flash.read_bytes())
        return board

    async def start_bridge(self):
        """Carry the lines of all boards to the broker."""
        lines = [board.line for board in self.boards.values()]
        self.bridge = BridgeThread(lines, (HOST, self.site.ports.devices), limits=LIMITS)
        await asyncio.to_thread(self.bridge.start)

    async def stop_bridge(self):
        """Carry nothing any more."""
        if self.bridge is not None:
            await asyncio.to_thread(self.bridge.stop)
            self.bridge = None

    async def power_on(self):
        """Switch every board on, and wait until each has said hello."""
        if self.bridge is None:
            await self.start_bridge()
        silent = set(self.boards)
        for board in self.boards.values():
            board.power_on()
        while silent:
            event = await self.until(
                lambda event: isinstance(event, HelloReceived) and event.device in silent
            )
            silent.discard(event.device)

    async def until(self, wanted, timeout_s=STEP_TIMEOUT_S):
        """Return the first event since the last one returned for which `wanted` holds; what came before it is dropped."""
        deadline = time.monotonic() + timeout_s * self.patience
        while True:
            for number, event in enumerate(self._seen):
                if wanted(event):
                    del self._seen[: number + 1]
                    return event
            assert time.monotonic() < deadline, self._consoles()
            await asyncio.sleep(0.02)

    async def assign(self, name, raw):
        """Import a release and assign it; return its digest."""
        digest = await self.site.server.import_release(raw)
        await self.site.server.assign(name, digest)
        return digest

    async def settled(self, name, timeout_s=STEP_TIMEOUT_S):
        """Return how the assignment of a device ended."""
        return await self.until(
            lambda event: isinstance(event, AssignmentSettled) and event.device == name, timeout_s
        )

    async def printed(self, name, pattern, timeout_s=STEP_TIMEOUT_S, since=0):
        """Return the number of lines up to and with the first one, from `since` on, that a pattern matches."""
        deadline = time.monotonic() + timeout_s * self.patience
        while True:
            lines = self.lines(name)
            for number in range(since, len(lines)):
                if re.search(pattern, lines[number]):
                    return number + 1
            assert time.monotonic() < deadline, f"no {pattern!r}\n{self._consoles()}"
            await asyncio.sleep(0.02)

    def lines(self, name):
        """Return what a board has printed."""
        return [line.text for line in self.boards[name].console.lines]

    def boots(self, name):
        """Return what each boot of a board decided: `row 7 slot A`."""
        found = (re.match(r"pawl: boot \d+ (.*)", line) for line in self.lines(name))
        return [match[1] for match in found if match]

    def _consoles(self):
        return "\n".join(f"--- {name}\n" + "\n".join(self.lines(name)[-40:]) for name in self.boards)
