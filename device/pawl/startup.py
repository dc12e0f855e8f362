"""What every board does from its first line on: judge the slots, mount the verified one at /app, run it beside the agent.

A port's `main` makes Port, Flash and the P-256 check, and calls `run`: nothing of the decision is a port's business.
"""

import asyncio
import gc
import sys
import vfs

from pawl import boot, codes, health
from pawl.agent import Agent
from pawl.application import Application
from pawl.bootloader import Bootloader
from pawl.compat import const
from pawl.errors import StorageError
from pawl.proof import NOTHING, prove
from pawl.storage import Storage
from pawl.watchdog import Watchdog

_COLLECTIONS_PER_HEAP = const(24)


def verifier(watchdog, check):
    """Return the signature check of a device; keys of other kinds than P-256 never verify.

    `check(x, y, message, signature)` is the port's. Each one feeds the watchdog of a healthy device: how many there can be
    is bounded by the formats, how long they take is not.
    """

    def verify(key, message, signature):
        watchdog.feed()
        return key.kty == codes.KTY_EC2 and check(key.x, key.y, message, signature)

    return verify


def run(port, flash, regions, check):
    """Boot what is in the regions of this flash; returns only by a reset, or raises what only a reset helps against."""
    # Collected often, what stays lies together: else free memory ends up in pieces too small for a block.
    gc.threshold((gc.mem_alloc() + gc.mem_free()) // _COLLECTIONS_PER_HEAP)
    watchdog = Watchdog(port)
    watchdog.feed()
    storage = Storage(flash, regions, watchdog.feed)
    counter = storage.boot_counter()
    _count_boot(port, counter)
    verify = verifier(watchdog, check)
    loader = Bootloader(storage, verify)
    decision = loader.settle(counter.is_unwell())
    gc.collect()
    running = codes.RUNNING_RECOVERY if decision.slot is None else decision.slot
    proven = NOTHING if decision.action == boot.RECOVER else prove(storage, decision, verify)
    port.log("boot %d row %d slot %s" % (counter.value, decision.row, "AB-"[running]))
    load = _mount(proven)
    gc.collect()
    asyncio.run(_main(port, watchdog, loader, decision, counter, load))


def _count_boot(port, counter):
    """A counter that can't be written makes reports repeat their number: that must not keep a device from booting."""
    try:
        counter.step()
    except StorageError as error:
        port.log("boot counter: %s" % error.detail)


def _mount(proven):
    """Mount exactly the proven bytes: the application at /app, behind the agent on the path, and its data at /data.

    Returns what loads it, or None without one.
    """
    if not proven.images:
        return None
    for component, content in proven.images:
        vfs.mount(vfs.VfsRom(content), "/" + component.decode())  # pyright: ignore[reportAttributeAccessIssue] (some stubs lack it)
    sys.path.append("/app")
    return _load


async def _main(port, watchdog, loader, decision, counter, load):
    application = Application(port, watchdog, load)
    loader.is_authorised = health.is_authorised
    agent = Agent(port, loader, decision, counter, application.check_health)
    await application.run_beside(agent, counter)


def _load():
    return __import__("main")
