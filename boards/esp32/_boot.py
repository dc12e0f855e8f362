"""First code on the ESP32, frozen into its firmware: leaves nothing but frozen modules importable, and starts the agent.

Never returns: whatever ends it resets the chip, so that neither a boot.py, nor a main.py, nor the prompt is reached, which
is what the firmware would go on with.
"""

import sys

sys.path[:] = [".frozen"]

# ruff: noqa: E402 (the path is cut first)
import machine
import time
import vfs

import layout

_PAUSE_S = 10  # so that a board that can't start doesn't wear out its flash by counting boots
# Built-in modules that frozen code imports while it runs. A file on the path goes before a built-in one, unless it is
# among the loaded ones already: an application with a `socket.py` of its own would be asked for each connection.
_USED_LATE = ("errno", "io", "socket")


def _start():
    watchdog = machine.WDT(timeout=layout.WATCHDOG_MS)
    try:
        vfs.umount("/rom")  # MicroPython mounts what looks like a ROMFS image at the begin of the partition
    except OSError:
        pass  # nothing looked like one
    for name in _USED_LATE:
        sys.modules[name] = __import__(name)
    from pawl.ports.esp32 import main

    main.run(watchdog, layout)


try:
    _start()
except BaseException as error:
    sys.print_exception(error)
    time.sleep(_PAUSE_S)
finally:
    machine.reset()
