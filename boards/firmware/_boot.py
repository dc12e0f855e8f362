"""First code of a board's firmware: leaves nothing importable but what is frozen in, and runs the agent.

Nothing else is run: no prompt, no `boot.py`, no `main.py`. An exception is printed by the firmware and ends in a reset.
"""

import sys

sys.path[:] = [".frozen"]
# Built-in modules that frozen code imports while it runs. A file on the path goes before a built-in one, unless it is
# among the loaded ones already.
for _name in ("errno", "io"):
    sys.modules[_name] = __import__(_name)

from pawl.ports.firmware import main  # noqa: E402 (the path is cut first)

main.run()
