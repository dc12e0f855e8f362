"""What counts the flash operations of a real device, and kills its process at one of them.

The device runs the agent and firmware that it always runs. Only what MicroPython is told to do first differs: before the
board starts, the write of its flash file is wrapped. It prints a line for each operation; at the chosen one the process
kills itself with SIGKILL: before anything of it is written, after half of its bytes, or after all of them.
"""

import re
from dataclasses import dataclass

from pawl.ports.unix import layout

# How much of the last operation reaches the flash, in halves.
PARTS = {"before": 0, "half": 1, "after": 2}
_LINE = re.compile(r"operation (\d+) (\d+) (\d+)")
_KILLED = re.compile(r"killed at operation (\d+)")

# stage0 mounts the agent again by itself; what was imported by then stays as it is.
_START = """\
import sys
sys.path[:] = ['.frozen', '/agent']
import ffi, stage0, vfs
vfs.mount(vfs.VfsRom(stage0.map_file({agent!r})), '/agent')
from pawl.ports.unix.flash import FileFlash
vfs.umount('/agent')
libc = ffi.open(None)
pid, kill = libc.func('i', 'getpid', '')(), libc.func('i', 'kill', 'ii')
write, done = FileFlash._write, {done}
def counted(flash, offset, data):
    global done
    done += 1
    print('operation', done, offset, len(data))
    if done != {number}:
        return write(flash, offset, data)
    if {halves}:
        write(flash, offset, memoryview(data)[:len(data) * {halves} // 2])
    print('killed at operation', done)
    kill(pid, 9)
FileFlash._write = counted
stage0.main({agent!r}, {flash!r}, {watchdog})
"""


@dataclass(frozen=True, kw_only=True)
class Kill:
    """Kill at the operation of this number, counted from the device's first start; 0 is never."""

    number: int = 0
    part: str = "after"

    def start_code(self, *, agent, flash, watchdog, done):
        """Return what MicroPython runs first; `done` operations were counted in earlier starts."""
        return _START.format(
            agent=str(agent.resolve()),
            flash=str(flash.resolve()),
            watchdog=watchdog,
            done=done,
            number=self.number,
            halves=PARTS[self.part],
        )


def region_of(line):
    """Return the region that an operation's console line tells of, or None for any other line."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    place = int(found[2])
    return next(name for name, (start, size) in layout.REGIONS.items() if start <= place < start + size)


def is_kill(line):
    """Return whether a console line is the last that a process writes before it kills itself."""
    return _KILLED.fullmatch(line) is not None
