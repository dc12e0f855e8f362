"""Run the test functions of one module inside MicroPython; one line a result, tracebacks behind it.

Started by conftest.py with the module's name; its lines are `PASS name`, `SKIP name reason`, `FAIL name`.
"""

import gc
import sys


def _run(name, function):
    try:
        function()
    except Exception as error:
        if type(error).__name__ == "SkipTest":
            print("SKIP", name, error)
            return
        print("FAIL", name)
        sys.print_exception(error, sys.stdout)
        return
    print("PASS", name)


def main():
    """Import the module named on the command line and run what it calls a test."""
    module = __import__(sys.argv[1])
    for name in sorted(dir(module)):
        if name.startswith("test_"):
            print("TEST", name)
            # Else what the tests before left lies between what is alive, and no 128 KiB of flash fit in one piece.
            gc.collect()
            _run(name, getattr(module, name))


main()
