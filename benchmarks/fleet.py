"""A real broker, a real server, and devices that are updated one after the other, each once.

Agents are the shipped ones, or a copy with one module put in front that tells more on the console.
"""

import asyncio
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pawl
from pawl_server.domain.fleet import AssignmentState
from pawl_tools import launcher, layouts, pack, provision
from pawl_tools.demo.applications import blinky
from pawl_tools.errors import ToolError
from pawl_tools.site import HOST, Site, read_enrolment
from pawl_tools.toolchain import Toolchain

UPDATE_TIMEOUT_S = 20.0
ROOMY_HEAP = "512k"  # where memory is not the question, a lack of it must not mix in
_POLL_S = 0.05
_ON_DEVICE = Path(__file__).resolve().parent / "on_device"
_NOT_FLASHED = ("__pycache__", "esp32", "firmware", "host")


@dataclass(kw_only=True)
class Trip:
    """One device's way through an update; `hook` gets each line of its console, in the moment it is printed."""

    name: str
    hook: Callable[[str], None] = lambda _: None
    lines: list[tuple[float, str]] = field(default_factory=list)
    state: AssignmentState | None = None

    @property
    def console(self) -> list[str]:
        """Return what the device printed."""
        return [line for _, line in self.lines]

    def on_line(self, line: str) -> None:
        """Keep a line and when it came."""
        self.lines.append((time.monotonic(), line))
        self.hook(line)

    def require_success(self) -> "Trip":
        """Return the trip if it ended confirmed."""
        if self.state != AssignmentState.SUCCEEDED:
            last = "\n  ".join(self.console[-12:])
            raise ToolError(f"{self.name} was not updated; its console:\n  {last}")
        return self


class Fleet:
    """Made in an empty folder; `start` publishes the release that every device is updated to."""

    def __init__(self, folder: Path, programs: Toolchain) -> None:
        self.site = Site(folder, programs, int(time.time()))
        self._folder = folder
        self._factory = self.site.release(blinky(1, programs), 1, (1,))
        self._release = self.site.release(blinky(2, programs), 2, (2,))
        self._digest = b""

    async def start(self) -> None:
        """Start broker and server, import and publish the release."""
        await self.site.start()
        self._digest = await self.site.server.import_release(self._release)
        await self.site.server.publish_release(self._digest)

    async def stop(self) -> None:
        """Stop both."""
        await self.site.stop()

    def agent_with(self, probe: str) -> Path:
        """Return the agent with `on_device/<probe>.py` in the place of the unix board's main module."""
        tree = self._folder / probe / "pawl"
        shutil.copytree(Path(pawl.__file__).parent, tree, ignore=shutil.ignore_patterns(*_NOT_FLASHED))
        unix = tree / "ports" / "unix"
        (unix / "main.py").rename(unix / "shipped.py")
        shutil.copyfile(_ON_DEVICE / f"{probe}.py", unix / "main.py")
        image = self._folder / f"{probe}.romfs"
        image.write_bytes(pack.pack(tree, self.site.toolchain, prefix="pawl"))
        return image

    async def enroll(
        self, name: str, *, port: int | None = None, layout: layouts.Layout | None = None
    ) -> Path:
        """Make a device that meets the broker at `port`, enroll and assign it; return its folder."""
        site = self.site
        folder = site.folder / "devices" / name
        plan = provision.plan_for(self._factory, device=name, host=HOST, port=port or site.ports.devices)
        await asyncio.to_thread(
            provision.provision,
            folder,
            plan,
            site.anchor_file,
            self._factory,
            site.device_ca,
            layout=layout,
        )
        await site.server.enroll(read_enrolment(folder / "enrolment.json"))
        await site.server.assign(name, self._digest)
        return folder

    async def device(
        self, trip: Trip, *, agent: Path | None = None, heap: str = launcher.HEAP, port: int | None = None
    ) -> launcher.Device:
        """Make an enrolled device of the unix board; it is not powered yet."""
        folder = await self.enroll(trip.name, port=port)
        device = launcher.Device(folder, agent or self.site.agent, self.site.toolchain, trip.on_line)
        device.heap = heap
        return device

    async def update(
        self, trip: Trip, device: launcher.Device, is_hopeless: Callable[[], bool] = lambda: False
    ) -> Trip:
        """Power the device until its update succeeded or failed, is hopeless, or takes too long."""
        device.power_on()
        try:
            await asyncio.wait_for(self._until_over(trip, is_hopeless), UPDATE_TIMEOUT_S)
        except TimeoutError:
            trip.state = None
        finally:
            await asyncio.to_thread(device.power_off)
        return trip

    async def _until_over(self, trip: Trip, is_hopeless: Callable[[], bool]) -> None:
        while not (await self._is_settled(trip) or is_hopeless()):  # noqa: ASYNC110 (is_hopeless has no event)
            await asyncio.sleep(_POLL_S)

    async def _is_settled(self, trip: Trip) -> bool:
        assignment = await self.site.server.assignment(trip.name)
        trip.state = assignment.state if assignment else None
        return trip.state in (AssignmentState.SUCCEEDED, AssignmentState.FAILED)
