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
# Built-in modules that frozen code imports while it runs. A file on the path goes before a built-in one, unless it is
# among the loaded ones already: an application with a `socket.py` of its own would be asked for each connection.
_USED_LATE = ("errno", "io", "socket")


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
    """Run the agent; what ends it ends the process, so that nothing the firmware would do next is reached: no prompt."""
    leave = ffi.open(None).func("v", "exit", "i")
    code = 1
    try:
        _start(agent_path, flash_path, watchdog_fd)
    except SystemExit as end:
        code = end.args[0] if end.args else 0
    except BaseException as error:
        sys.print_exception(error)
    finally:
        leave(code if isinstance(code, int) else 1)


def _start(agent_path, flash_path, watchdog_fd):
    """Mount the agent's ROMFS and start it on a flash file; each write to `watchdog_fd` feeds the watchdog."""
    sys.path[:] = [".frozen", "/agent"]
    for name in _USED_LATE:
        sys.modules[name] = __import__(name)
    vfs.mount(vfs.VfsRom(map_file(agent_path)), "/agent")
    from pawl.ports.unix import main as board

    board.run(flash_path, map_file(flash_path), open(watchdog_fd, "wb"))
