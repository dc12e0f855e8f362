"""The whole line with nothing replaced: mosquitto, TLS, the fleet server, and MicroPython devices that get killed."""

import asyncio
import re
import time

import pytest

from pawl import codes
from pawl_server.events import AssignmentSettled, HelloReceived, ReportReceived
from pawl_tools import pack, release, toolchain
from pawl_tools.demo.applications import blinky
from pawl_tools.site import Site

STEP_TIMEOUT_S = 40
DEVICE = "bench-1"


class Rig:
    """One site, one device, and rules that kill the device at lines of its console."""

    def __init__(self, folder):
        self.site = Site(folder, toolchain.find(), int(time.time()))
        self.console = []
        self.watchdog_timeout_s = 30.0
        self.kills = []
        self.device = None
        self.events = None

    def kill_at(self, pattern):
        """Kill the device once, in the moment a console line matches."""
        self.kills.append(re.compile(pattern))

    def on_line(self, line):
        self.console.append(line)
        if self.kills and self.kills[0].search(line):
            self.kills.pop(0)
            self.console.append("KILLED")
            self.device.kill()

    async def until(self, wanted):
        """Return the next event of a type for which `wanted` holds."""
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                async for event in self.events:
                    if wanted(event):
                        return event
        except TimeoutError:
            raise AssertionError("\n".join(self.console)) from None

    async def run(self, walk, factory):
        """Power the device with a factory image, walk, and put everything away."""
        await self.site.start()
        self.events = self.site.server.events()
        try:
            self.device = await self.site.provision(
                DEVICE, self.site.release(factory, 1, (1,)), self.on_line, self.watchdog_timeout_s
            )
            self.device.power_on()
            await self.until(lambda event: isinstance(event, HelloReceived))
            await walk(self)
        finally:
            if self.device:
                await asyncio.to_thread(self.device.power_off)
            await self.site.stop()

    async def assign(self, image, sequence):
        """Import a release of an image and assign it; return its digest."""
        digest = await self.site.server.import_release(self.site.release(image, sequence, (sequence,)))
        await self.site.server.assign(DEVICE, digest)
        return digest

    async def settled(self):
        """Return how the assignment ended."""
        return await self.until(lambda event: isinstance(event, AssignmentSettled))


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path)


@pytest.fixture(scope="module")
def images():
    programs = toolchain.find()
    return {version: blinky(version, programs) for version in (1, 2)}


def progress(console):
    """Return the numbers of blocks held that the console tells, in order."""
    return [int(match[1]) for line in console if (match := re.match(r"pawl: blocks (\d+)/", line))]


def test_update_survives_a_kill_in_download_and_one_in_trial(rig, images):
    """The device ends on the new version, confirmed, once; what it had downloaded is not fetched again."""

    async def walk(rig):
        rig.kill_at(r"blocks 16/")
        rig.kill_at(r"state VERIFY")
        digest = await rig.assign(images[2], 2)
        settled = await rig.settled()
        assert (settled.state, settled.release) == ("succeeded", digest)

    asyncio.run(rig.run(walk, images[1]))
    assert rig.console.count("KILLED") == 2
    first, second = "\n".join(rig.console).split("KILLED")[:2]
    assert progress(first.splitlines())[-1] == 16
    assert progress(second.splitlines())[0] == 16
    assert any(line.startswith("blinky 2:") for line in rig.console)
    boots = [line for line in rig.console if line.startswith("pawl: boot")]
    assert [re.sub(r"boot \d+ ", "", line) for line in boots] == [
        "pawl: row 7 slot A",
        "pawl: row 7 slot A",
        "pawl: row 5 slot B",
        "pawl: row 5 slot B",
    ]


@pytest.mark.parametrize(
    "fault", ["raise ValueError('on purpose')", "while True: pass"], ids=["crash", "hang"]
)
def test_an_application_that_crashes_or_hangs_is_reverted(rig, images, tmp_path, fault):
    """Three trials, then the old version again, and the server hears why (T36); a hang ends by the watchdog."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "main.py").write_text(f"async def main():\n    {fault}\n")
    rig.watchdog_timeout_s = 2.5

    async def walk(rig):
        await rig.assign(pack.pack_application(broken, rig.site.toolchain), 2)
        settled = await rig.settled()
        assert (settled.state, settled.reason) == ("failed", "trials")
        device = await rig.site.server.device(DEVICE)
        assert device.running == codes.RUNNING_A
        assert device.ratchet.sequence == 1

    asyncio.run(rig.run(walk, images[1]))
    assert len([line for line in rig.console if line.endswith("row 5 slot B")]) == 3


def test_a_replayed_old_release_is_refused(rig, images):
    """What was once installed does not come back (T02): the ratchet refuses it, and nothing moves."""

    async def walk(rig):
        old = await rig.assign(images[1], 3)
        assert (await rig.settled()).state == "succeeded"
        new = await rig.assign(images[2], 4)
        assert (await rig.settled()).state == "succeeded"
        await rig.site.server.assign(DEVICE, old)
        settled = await rig.settled()
        assert (settled.state, settled.reason) == ("failed", "sequence-low")
        rig.device.kill()
        await rig.until(lambda event: isinstance(event, ReportReceived) and event.event == "started")
        device = await rig.site.server.device(DEVICE)
        assert (device.ratchet.digest, device.running) == (new, codes.RUNNING_A)

    asyncio.run(rig.run(walk, images[1]))


def test_data_is_updated_and_mounted_with_its_application(rig, images, tmp_path):
    """One release brings both; the application reads its data under /data, also after a kill in the middle of it."""
    application, data = tmp_path / "application", tmp_path / "data"
    application.mkdir()
    data.mkdir()
    (application / "main.py").write_text("print('read', open('/data/greeting.txt').read())\n")
    (data / "greeting.txt").write_text("good morning")
    (data / "table.bin").write_bytes(bytes(n * n % 251 for n in range(100_000)))

    async def walk(rig):
        rig.kill_at(r"blocks 9/")
        parts = release.Payload(
            app=(pack.pack_application(application, rig.site.toolchain),),
            data=pack.pack(data, rig.site.toolchain),
        )
        digest = await rig.assign(parts, 2)
        settled = await rig.settled()
        assert (settled.state, settled.release) == ("succeeded", digest)

    asyncio.run(rig.run(walk, images[1]))
    assert rig.console.count("KILLED") == 1
    assert "read good morning" in rig.console
