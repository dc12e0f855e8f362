"""First code of a firmware that tells its memory with every line it logs: bytes in use after a collection, peak of TLS."""

import sys

sys.path[:] = [".frozen"]
for _name in ("errno", "io"):
    sys.modules[_name] = __import__(_name)

import _board  # noqa: E402 (the path is cut first)
import gc  # noqa: E402

from pawl.ports import board  # noqa: E402
from pawl.ports.firmware import main  # noqa: E402

_log = board.Board.log


def _tell(stage):
    gc.collect()
    print("bench: memory %d %d %s" % (gc.mem_alloc(), _board.tls_memory(), stage))


def _log_and_tell(self, text):
    _tell(text)
    _log(self, text)


board.Board.log = _log_and_tell
_tell("all modules imported")
main.run()
