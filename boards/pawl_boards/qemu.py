"""A board on QEMU: its arguments follow the memory map, its monitor is a pair of sockets, SIGKILL is its power switch."""

import contextlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from pawl_boards import machines
from pawl_boards.board import BoardPlan
from pawl_boards.emulated import EmulatedBoard
from pawl_boards.errors import BoardError
from pawl_boards.line_port import ADDRESS
from pawl_boards.qmp import Monitor

_PARAMETERS = "parameters.bin"
_TRANSLATED_MIB = 64  # QEMU would let its translations of the guest grow to a GiB


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuOptions:
    """How QEMU runs. `icount`: the clock counts instructions, 1 ns each, so that figures repeat. `log`: items of -d."""

    icount: bool = False
    log: str = "guest_errors"
    arguments: tuple[str, ...] = ()


class QemuBoard(EmulatedBoard):
    """A board that QEMU emulates.

    Beside the files of every emulated board its folder has `qemu.log` (what the firmware did wrong, since the last start) and `line.log`
    (bytes that the board sent on the line). `options` count from the next start.
    """

    def __init__(self, plan: BoardPlan, folder: Path, options: QemuOptions | None = None) -> None:
        self._machine = machines.find(plan.name)
        super().__init__(plan, folder)
        self.options = options or QemuOptions()
        self._monitor: Monitor | None = None
        self._resets = 0

    @property
    def resets_seen(self) -> int:
        """How often the machine was reset while on, by itself or from here."""
        return self._resets

    def power_off(self) -> None:
        """Kill QEMU."""
        super().power_off()
        if self._monitor is not None and not self.is_running:
            self._monitor.close()
            self._monitor = None

    def _start(self, page: bytes) -> None:
        (self.folder / _PARAMETERS).write_bytes(page)
        ours, its = socket.socketpair()
        self._monitor = Monitor(ours, self._take_event)
        with its:
            self._run([*self._arguments(), *_monitor_on(its.fileno())], os.environ, (its.fileno(),))
        try:
            self._monitor.greet()
        except BoardError as error:
            self.power_off()
            raise BoardError(f"{error}; it said: {self._errors()}") from error
        with contextlib.suppress(BoardError):  # a program that ends at once: the console tells of that
            self._monitor.execute("cont")

    def _reset(self) -> None:
        assert self._monitor is not None  # noqa: S101 (it runs)
        self._monitor.execute("system_reset")

    def _arguments(self) -> list[str]:
        files = machines.Files(firmware=self.firmware_file.name, flash=self.flash_file.name)
        line = f"host={ADDRESS},port={self.line_port},server=on,wait=off,nodelay=on"
        page = f"file={_PARAMETERS},addr={self.plan.layout.PARAMETERS_ADDRESS:#x}"
        return [
            *(self._machine.program, "-nodefaults", "-display", "none", "-S"),  # -S: waits for `cont`
            *("-chardev", f"stdio,id={machines.CONSOLE},signal=off"),
            *("-chardev", f"socket,id={machines.LINE},{line},logfile=line.log,logappend=on"),
            *self._machine.arguments(self.plan.layout, files),
            *("-device", f"loader,{page},force-raw=on"),
            *("-d", self.options.log, "-D", "qemu.log"),
            *(("-icount", "shift=0") if self.options.icount else ()),
            *self.options.arguments,
        ]

    def _take_event(self, event: str) -> None:
        self._resets += event == "RESET"


def _monitor_on(descriptor: int) -> list[str]:
    return ["-chardev", f"socket,id=monitor,fd={descriptor}", "-mon", "chardev=monitor,mode=control"]
