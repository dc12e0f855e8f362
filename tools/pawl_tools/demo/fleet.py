"""The demo's devices: what their consoles say, and waiting for what the server hears from them."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable

from pawl_server.events import Event
from pawl_tools.demo.screen import Screen
from pawl_tools.errors import ToolError
from pawl_tools.launcher import Device

STEP_TIMEOUT_S = 60.0
_STEPS = {
    "INSTALL": "verifies what it wrote",
    "REBOOT": "restarts",
    "VERIFY": "boots the new version for a trial",
    "CONFIRM": "confirms it",
}


class Watched:
    """One device with its console: keeps the lines, shows its steps, and can be killed at a line."""

    def __init__(self, name: str, screen: Screen, loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self.lines: list[str] = []
        self.version = ""
        self.device: Device
        self._screen = screen
        self._loop = loop
        self._kill_at: re.Pattern[str] | None = None

    def kill_at(self, pattern: str) -> None:
        """Cut the power once, in the moment a console line matches."""
        self._kill_at = re.compile(pattern)

    def on_line(self, line: str) -> None:
        """Take a line, in the thread that reads the console."""
        self.lines.append(line)
        if self._kill_at is not None and self._kill_at.search(line):
            self._kill_at = None
            self.lines.append("KILLED")
            self.device.kill()
        if found := re.match(r"blinky (\d):", line):
            self.version = found[1]
        if shown := _shown(line):
            self._loop.call_soon_threadsafe(self._screen.device, self.name, shown)

    def agent_lines(self) -> list[str]:
        """Return what the agent said, without the application's lines."""
        return [line for line in self.lines if line.startswith("pawl:")]

    async def until_line(self, pattern: str) -> bool:
        """Wait until a console line matches."""
        for _ in range(int(STEP_TIMEOUT_S * 20)):
            if any(re.search(pattern, line) for line in self.lines):
                return True
            await asyncio.sleep(0.05)
        return False


def _shown(line: str) -> str:
    if found := re.match(r"pawl: blocks (\d+)/(\d+)", line):
        return f"downloads block {found[1]} of {found[2]}"
    if found := re.match(r"pawl: state (\w+)", line):
        return _STEPS.get(found[1], "")
    return ""


class Events:
    """The server's events, in order, for whoever waits for one."""

    def __init__(self, source: AsyncIterator[Event], devices: dict[str, Watched]) -> None:
        self._source = source
        self._devices = devices

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        """Return the first event that is wanted, or fail with what the devices said last."""
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                while True:
                    event = await anext(self._source)
                    if wanted(event):
                        return event
        except TimeoutError:
            said = [f"{name}: {watched.agent_lines()[-4:]}" for name, watched in self._devices.items()]
            raise ToolError(f"nothing came for {STEP_TIMEOUT_S:.0f} s; the consoles: {said}") from None
