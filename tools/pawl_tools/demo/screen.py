"""What a person sees of the demo: lines, and a live table of the devices where the terminal can show one."""

import sys
import time
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pawl.names import reason_code
from pawl_tools.demo.result import DEVICES, Result


class Screen(Protocol):
    """Shows what happens; called from one thread."""

    def say(self, who: str, text: str) -> None:
        """Show one line."""

    def device(self, name: str, doing: str) -> None:
        """Show what a device does now."""

    def summary(self, result: Result) -> None:
        """Show how it ended."""

    def close(self) -> None:
        """Give the terminal back; called once, whatever happened."""


class JsonScreen:
    """Shows nothing: the result is printed as JSON."""

    def say(self, who: str, text: str) -> None:
        """Show nothing."""

    def device(self, name: str, doing: str) -> None:
        """Show nothing."""

    def summary(self, result: Result) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Nothing to give back."""


class PlainScreen:
    """One line after the other; of a device only the steps that people wait for."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._doing: dict[str, str] = {}

    def say(self, who: str, text: str) -> None:
        """Print a line with the seconds since the start."""
        print(f"{time.monotonic() - self._started:5.1f} s  {who:<10}  {text}", flush=True)

    def device(self, name: str, doing: str) -> None:
        """Print a device's step when it is another one than before."""
        step = doing.split(" ", maxsplit=1)[0]
        if step and self._doing.get(name) != step:
            self._doing[name] = step
            self.say(name, doing)

    def summary(self, result: Result) -> None:
        """Print the table of attacks and the verdict."""
        print()
        for line in summary_lines(result):
            print(line)

    def close(self) -> None:
        """Nothing to give back."""


class RichScreen(PlainScreen):
    """The same lines, with a table of the devices that changes in place below them."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._live = Live(console=console, refresh_per_second=8)
        self._live.start()

    def say(self, who: str, text: str) -> None:
        """Print a line above the table."""
        seconds = f"{time.monotonic() - self._started:5.1f} s"
        self._console.print(f"[dim]{seconds}[/]  [bold]{who:<10}[/]  {text}", highlight=False)
        if who in self._doing:
            self.device(who, text)

    def device(self, name: str, doing: str) -> None:
        """Change the device's row."""
        self._doing[name] = doing
        table = Table("group", "device", "now", box=None, padding=(0, 2))
        for group, devices in DEVICES.items():
            for device in devices:
                table.add_row(group, device, self._doing.get(device, ""))
        self._live.update(table)

    def summary(self, result: Result) -> None:
        """End the table and print the verdict."""
        self.close()
        super().summary(result)

    def close(self) -> None:
        """End the table; again does nothing."""
        self._live.stop()


def rich_screen() -> RichScreen | None:
    """Return the live screen if there is a terminal to show it on."""
    console = Console()
    return RichScreen(console) if console.is_terminal and sys.stdout.isatty() else None


def summary_lines(result: Result) -> list[str]:
    """Return the table of attacks and the verdict, as lines."""
    width = max(len(attack.name) for attack in result.attacks) if result.attacks else 0
    lines = [f"{'attack':<{width}}  {'on':<8}  what came of it"]
    for attack in result.attacks:
        code = reason_code(attack.outcome)
        shown = attack.outcome if code is None else f"refused: {attack.outcome} ({code})"
        wrong = "" if attack.is_as_it_must else f"   MUST BE {attack.expected}"
        lines.append(f"{attack.name:<{width}}  {attack.device:<8}  {shown}{wrong}")
    ended = sum(attack.is_as_it_must for attack in result.attacks)
    return [
        *lines,
        "",
        f"{'all as it must be' if result.is_good else 'NOT as it must be'} after {result.seconds} s",
        f"  devices on version 2, confirmed by a signed report   {len(result.succeeded)} of 5",
        f"  production began after canary had succeeded          {'yes' if result.is_ordered else 'no'}",
        f"  attacks that ended as they must                      {ended} of {len(result.attacks)}",
        f"  devices that still run version 2 after a power cut   {len(result.unmoved)} of 5",
    ]
