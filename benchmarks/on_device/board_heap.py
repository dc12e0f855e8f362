"""First code of a board's firmware: tells what is in use on the heap, collected, all through an update, and TLS's memory.

It boots as the shipped first code does. `bench: heap <bytes>` is the most since the last line of its kind, and stands
above the line of the console that it belongs to.
"""

import sys

sys.path[:] = [".frozen"]
for _name in ("errno", "io"):
    sys.modules[_name] = __import__(_name)

import gc  # noqa: E402 (the path is cut first)

import _board  # noqa: E402
from pawl import slots  # noqa: E402
from pawl.ports.firmware import main  # noqa: E402
from pawl.ports.firmware.port import Port  # noqa: E402


class Gauge:
    """Keeps the most bytes that were in use, collected, where it looked."""

    def __init__(self):
        self.most = 0

    def look(self):
        """Collect and look."""
        gc.collect()
        self.most = max(self.most, gc.mem_alloc())

    def before(self, function):
        """Return the function, with a look before each call."""

        def looked_at(*arguments):
            self.look()
            return function(*arguments)

        return looked_at

    def tell(self):
        """Print the most since the last time."""
        self.look()
        print("bench: heap", self.most)
        print("bench: tls", _board.tls_memory())
        self.most = 0


def watch(gauge):
    """Look where blocks and signatures are in memory, and tell at each line of the console."""
    slots.Slot.write_block = gauge.before(slots.Slot.write_block)
    main.verify = gauge.before(main.verify)
    log = Port.log

    def told(self, text):
        gauge.tell()
        log(self, text)

    Port.log = told


watch(Gauge())
main.run()
