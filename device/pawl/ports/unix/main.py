"""Boot of the unix board: judge the slots, mount the verified one at /app, run it beside the agent."""

import asyncio
import gc
import sys
import vfs

from pawl import boot, codes, health, p256
from pawl.agent import Agent
from pawl.application import Application
from pawl.bootloader import Bootloader
from pawl.compat import const
from pawl.errors import StorageError
from pawl.ports.unix import layout
from pawl.ports.unix.flash import FileFlash
from pawl.ports.unix.port import Port
from pawl.proof import NOTHING, prove
from pawl.storage import Storage
from pawl.watchdog import Watchdog

_COLLECT_EVERY_BYTES = const(16384)


def verifier(watchdog):
    """Return the signature check of this port; keys of other kinds than P-256 never verify.

    Each one feeds the watchdog of a healthy device: how many there can be is bounded by the formats, how long they take
    is not.
    """

    def verify(key, message, signature):
        watchdog.feed()
        return key.kty == codes.KTY_EC2 and p256.verify(key.x, key.y, message, signature)

    return verify


def run(flash_path, mapped, watchdog_file):
    """Boot from a flash file that is also mapped as a bytearray; returns only by a reset."""
    # Collected often, what stays lies together: else free memory ends up in pieces too small for a block.
    gc.threshold(_COLLECT_EVERY_BYTES)
    port = Port(watchdog_file)
    watchdog = Watchdog(port)
    watchdog.feed()
    storage = Storage(FileFlash(flash_path, mapped), layout.REGIONS)
    counter = storage.boot_counter()
    _count_boot(port, counter)
    verify = verifier(watchdog)
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
        vfs.mount(vfs.VfsRom(content), "/" + component.decode())
    sys.path.append("/app")
    return _load


async def _main(port, watchdog, loader, decision, counter, load):
    application = Application(port, watchdog, load)
    loader.is_authorised = health.is_authorised
    agent = Agent(port, loader, decision, counter, application.check_health)
    await application.run_beside(agent, counter)


def _load():
    return __import__("main")
