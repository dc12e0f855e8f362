"""What is frozen into a board's firmware: asyncio, the agent, the board's memory map, the first code."""

import os

# Of the tools and the simulator, of other boards.
_NOT_ON_BOARDS = ("bundle.py", "heard.py", "notes.py", "ports/esp32", "ports/host", "ports/unix")


def _files_of_agent(folder):
    """Yield the agent's files below the folder, sorted: the same source gives the same bytes."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.relpath(os.path.join(place, name), folder)
            if name.endswith(".py") and not path.startswith(_NOT_ON_BOARDS):
                yield path


include("$(MPY_DIR)/extmod/asyncio")  # noqa: F821 (the manifest tool provides these names)
module("layout.py", base_path="$(BOARD_DIR)")  # noqa: F821
module("_boot.py", base_path="$(BOOT_DIR)")  # noqa: F821
if os.environ.get("PAWL_AGENT", "1") == "1":
    _device = os.environ["PAWL_DEVICE"]
    package("pawl", files=tuple(_files_of_agent(_device + "/pawl")), base_path=_device)  # noqa: F821
