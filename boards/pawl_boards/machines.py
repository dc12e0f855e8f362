"""What QEMU must be told of each board, beside what all boards share."""

from collections.abc import Callable
from dataclasses import dataclass

from pawl_boards.errors import BoardError
from pawl_boards.maps import Hardware

CONSOLE = "console"
LINE = "line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Names of files in the board's folder, where QEMU is started; by what the machine takes them for."""

    firmware: str
    flash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """QEMU's program, and what makes its arguments: machine, memories, both UARTs."""

    program: str
    arguments: Callable[[Hardware, Files], list[str]]


def find(name: str) -> Machine:
    """Return QEMU's machine for a board."""
    if name not in MACHINES:
        raise BoardError(f"QEMU has no machine for {name}; there is one for {', '.join(sorted(MACHINES))}")
    return MACHINES[name]


def _virt_rv32(layout: Hardware, files: Files) -> list[str]:
    """Two parallel flashes; execution begins in unit 0. The line is a card on PCI: there is one UART only."""
    return [
        *("-machine", "virt", "-smp", "1", "-m", f"{layout.RAM_BYTES >> 20}M", "-bios", "none"),
        *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={files.firmware}"),
        *("-drive", f"if=pflash,unit=1,format=raw,file={files.flash}"),
        *("-serial", f"chardev:{CONSOLE}"),
        *("-device", f"pci-serial,chardev={LINE}"),
    ]


def _mps2_an385(layout: Hardware, files: Files) -> list[str]:
    """No flash model: the external RAM is a file, shared with the host, so that its content survives SIGKILL."""
    memory = f"memory-backend-file,id=psram,size={layout.FLASH_BYTES},mem-path={files.flash},share=on"
    return [
        *("-machine", "mps2-an385,memory-backend=psram", "-object", memory),
        *("-m", f"{layout.FLASH_BYTES >> 20}M"),
        *("-kernel", files.firmware),
        *("-serial", f"chardev:{CONSOLE}", "-serial", f"chardev:{LINE}"),
    ]


MACHINES = {
    "virt_rv32": Machine(program="qemu-system-riscv32", arguments=_virt_rv32),
    "mps2_an385": Machine(program="qemu-system-arm", arguments=_mps2_an385),
}
