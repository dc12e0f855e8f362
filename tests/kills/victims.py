"""Real devices that are killed while they are updated, many at a time, at one broker and one director."""

import asyncio
import signal
import time
from contextlib import asynccontextmanager, suppress

from ageing import age
from flash_judge import Witness
from operations import is_kill, region_of

from pawl import bundle, suit
from pawl_server.events import AssignmentSettled
from pawl_tools import launcher, pack, release, toolchain
from pawl_tools.site import Site

_BOOT = "pawl: boot "
_RESETS = "pawl: state REBOOT"
_TAIL_LINES = 60


class Victim(launcher.Device):
    """A device whose starts, boots and operations are noted, and judged each time before it starts.

    `kills` are the Kills to come, each counted from the device's first start after the one before it.
    """

    def __init__(self, device, witness, kills):
        super().__init__(device.folder, device.agent, device._toolchain, self._note)
        self.name = device.folder.name
        self.witness = witness
        self.kills = list(kills)
        self.console = []
        self.faults = []
        self.regions = []
        self.parts = []  # of the operations it was killed at
        self.places = []
        self.ends = []
        self.heap_in_trial = None
        self.outcome = None
        self.reassigned = 0
        self.has_booted = False  # since it was killed
        self._counted = 0
        self.ratchet = 0
        self._found = b""  # in its flash when it started
        self._expected = None

    def start_code(self, watchdog):
        """Judge what the flash holds now; count operations until the device was killed."""
        self._found = self.flash.read_bytes()
        try:
            self.ratchet = self.witness.require_sound(self._found, self.ratchet)
            self._expected = self.witness.boot_line(self._found)
        except AssertionError as error:
            self.faults.append(str(error))
        if not self.kills:
            return super().start_code(watchdog)
        return self.kills[0].start_code(
            agent=self.agent, flash=self.flash, watchdog=watchdog, done=self._counted
        )

    def _run_once(self, working_folder):
        code = super()._run_once(working_folder)
        if self._is_powered:
            self.ends.append(code)
        return code

    @property
    def killed(self):
        """How often its process got SIGKILL, the end not counted."""
        return self.ends.count(-signal.SIGKILL)

    def kill_now(self):
        """Kill its process, whatever it does."""
        self.has_booted = False
        self.kill()

    def _note(self, line):
        self.console.append(line)
        if region := region_of(line):
            self.regions.append(region)
            self._counted += 1
        elif is_kill(line):
            self.parts.append(self.kills.pop(0).part)
            self.places.append(self.regions[-1])
            self._counted = 0
            self.has_booted = False
        elif line == _RESETS and self.heap_in_trial:
            self.heap = self.heap_in_trial
        elif line.startswith(_BOOT):
            self.has_booted = True
            self._judge_boot(line)

    def _judge_boot(self, line):
        """What boots is what the flash said before, and was signed."""
        if line != self._expected:
            self.faults.append(f"booted {line!r} where the flash says {self._expected!r}")
        try:
            self.witness.require_may_boot(self._found, line[-1])
        except AssertionError as error:
            self.faults.append(str(error))

    def tail(self):
        """Return the end of the console."""
        return "\n".join(self.console[-_TAIL_LINES:])


class Fleet:
    """A site with three releases: the former one, the one that runs, and the one that is assigned."""

    def __init__(self, folder, asset_bytes=14_000):
        self.site = Site(folder, toolchain.find(), int(time.time()))
        self._settled = {}
        made = [self._release(folder, number, asset_bytes) for number in (1, 2, 3)]
        bundles = [bundle.Bundle(suit.Envelope(raw)) for raw in made]
        self.former, self._old, self._new = bundles[0], made[1], made[2]
        self.new = bundles[2].envelope.digest
        self.witness = Witness(bundles, bundles[1].envelope.digest, self.new)

    def _release(self, folder, number, asset_bytes):
        application, data = folder / f"app-{number}", folder / f"data-{number}"
        application.mkdir()
        data.mkdir()
        (application / "main.py").write_text(
            f"print('application {number},', open('/data/name').readline())\n"
        )
        (application / "assets").write_bytes(bytes((at * at + number) % 251 for at in range(asset_bytes)))
        (data / "name").write_text(f"data {number}\n" * 500)
        programs = self.site.toolchain
        parts = release.Payload(
            app=(pack.pack_application(application, programs),), data=pack.pack(data, programs)
        )
        return self.site.release(parts, number, (number,))

    async def _listen(self):
        async for event in self.site.server.events():
            if isinstance(event, AssignmentSettled):
                self._settled[event.device] = event

    async def victim(self, name, kills=(), *, is_aged=True):
        """Make a device, just provisioned or one that lived long, that is assigned the new release; it has no power yet."""
        made = await self.site.provision(name, self._old, print)
        victim = Victim(made, self.witness, kills)
        if is_aged:
            aged = await asyncio.to_thread(age, victim.flash.read_bytes(), self.former)
            victim.flash.write_bytes(aged)
        await self.site.server.assign(name, self.new)
        return victim

    def settlement(self, name):
        """Return how the assignment of a device ended, or None so far."""
        return self._settled.get(name)

    async def assign_again(self, name):
        """Assign the new release once more, after it failed."""
        self._settled.pop(name, None)
        await self.site.server.assign(name, self.new)


@asynccontextmanager
async def fleet(folder, **rest):
    """Start broker and server; put them away at the end."""
    made = Fleet(folder, **rest)
    await made.site.start()
    listener = asyncio.create_task(made._listen())
    try:
        await made.site.server.import_release(made._new)
        yield made
    finally:
        listener.cancel()
        with suppress(asyncio.CancelledError):
            await listener
        await made.site.stop()
