"""What is frozen into the ESP32's firmware: asyncio, Pawl without the other ports, and nothing of MicroPython's own.

Above all not MicroPython's `_boot.py`, which mounts a file system and leaves the prompt to whoever asks.
"""

import os

_DEVICE = "../../device"
_OTHER_PORTS = ("firmware", "host", "unix")


def _files():
    for folder, _, names in os.walk(_DEVICE + "/pawl"):
        inside = os.path.relpath(folder, _DEVICE + "/pawl")
        if inside.split(os.sep)[0] == "ports" and os.path.basename(inside) in _OTHER_PORTS:
            continue
        for name in sorted(names):
            if name.endswith(".py"):
                yield os.path.normpath(os.path.join(inside, name))


include("$(MPY_DIR)/extmod/asyncio")  # noqa: F821 (the manifest tool provides these names)
package("pawl", tuple(_files()), base_path=_DEVICE, opt=0)  # noqa: F821
module("layout.py")  # noqa: F821
module("_boot.py")  # noqa: F821
