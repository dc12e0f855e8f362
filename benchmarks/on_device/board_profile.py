"""First code of a board's firmware, frozen behind `time_probe` in one file: tells where the time of an update went.

It boots as the shipped first code does, with every part wrapped. `restart` is what the board needed from its reset to here;
with QEMU's -icount a microsecond is 1000 instructions.
"""

import sys
import time

from time_probe import Stopwatch, _wrap_flash, _wrap_link, _wrap_methods, _wrap_primitives, _wrap_waiting

sys.path[:] = [".frozen"]
for _name in ("errno", "io"):
    sys.modules[_name] = __import__(_name)


def profile(watch):
    """Wrap what is measured, and return the shipped main module."""
    watch.spent["restart"] = time.ticks_us()
    _wrap_primitives(watch)  # before any other module takes them by name
    from pawl.ports.firmware import main, net
    from pawl.ports.firmware.port import Port

    main.verify = watch.call("verify", main.verify)  # the firmware's own, in C
    Port.sign = staticmethod(watch.call("signature", Port.sign))
    _wrap_flash(watch)
    _wrap_link(watch)
    # TLS calls these out of C, also while the agent waits for the line.
    _wrap_methods(watch.call, "tls", net.SerialStream, ("readinto", "write", "ioctl"))
    _wrap_waiting(watch)
    _tell_at_ends(watch, Port)
    return main


def _tell_at_ends(watch, port):
    """An update begins with DOWNLOAD, is cut in two by REBOOT, and ends where CONFIRM hands on to CLEANUP."""
    log = port.log

    def told(self, text):
        log(self, text)
        if text == "state DOWNLOAD":
            watch.restart()
        elif text in ("state REBOOT", "state CLEANUP"):
            watch.tell()

    port.log = told


profile(Stopwatch()).run()
