"""First code on the unix board, frozen into its firmware: maps agent and flash, and leaves nothing else importable.

Stands for a board's `_boot.py`: the path is cut to frozen modules and the agent's ROMFS before anything is imported.
"""

import ffi
import os
import sys
import uctypes
import vfs

_PROT_READ = 1
_MAP_SHARED = 1


def map_file(path):
    """Return the whole file as a bytearray over a read-only shared mapping."""
    size = os.stat(path)[6]
    libc = ffi.open(None)
    mmap = libc.func("P", "mmap", "PLiiiL")
    with open(path, "rb") as file:
        address = mmap(0, size, _PROT_READ, _MAP_SHARED, file.fileno(), 0)
    if address in (0, -1):
        raise OSError("cannot map " + path)
    return uctypes.bytearray_at(address, size)


def main(agent_path, flash_path, watchdog_fd):
    """Mount the agent's ROMFS and start it on a flash file; each write to `watchdog_fd` feeds the watchdog."""
    sys.path[:] = [".frozen", "/agent"]
    vfs.mount(vfs.VfsRom(map_file(agent_path)), "/agent")
    from pawl.ports.unix import main as board

    board.run(flash_path, map_file(flash_path), open(watchdog_fd, "wb"))
