"""First module of the unix board behind stage0: its port, its flash and its signature check, handed to the boot."""

from pawl import p256
from pawl.ports.unix import layout
from pawl.ports.unix.flash import FileFlash
from pawl.ports.unix.port import Port


def run(flash_path, mapped, watchdog_file):
    """Boot from a flash file that is also mapped as a bytearray; returns only by a reset."""
    port = Port(watchdog_file)  # before the rest is imported: its buffer needs room in one piece
    from pawl import startup

    startup.run(port, FileFlash(flash_path, mapped), layout.REGIONS, p256.verify)
