"""First module of a board with our firmware, behind its frozen first code: provisioned once over the line, then booted."""

import asyncio
import layout
import time

from pawl.errors import PawlError
from pawl.ports.firmware.flash import BoardFlash
from pawl.ports.firmware.port import Port
from pawl.storage import Storage

try:
    from _pawl_native import verify
except ImportError:
    from pawl.p256 import verify


def run():
    """Boot what is in flash; returns only by a reset."""
    port = Port()  # before the rest is imported: its buffers need room in one piece
    from pawl import startup

    flash = BoardFlash()
    _require_identity(port, Storage(flash, layout.REGIONS))
    startup.run(port, flash, layout.REGIONS, verify)


def _require_identity(port, storage):
    """Let a blank board be provisioned; one that can't read who it is says so, and waits for the watchdog, unfed."""
    if storage.is_blank():
        from pawl import blank  # pyright: ignore[reportAttributeAccessIssue]

        asyncio.run(blank.serve(port, storage, port.link, layout.NAME))
    try:
        storage.identity()
    except PawlError as error:
        port.log("no identity: %s; fault %d" % (error.detail, error.code))
        while True:
            time.sleep(1)
