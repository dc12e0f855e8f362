"""Boot of the unix board: judge the slots, mount the verified one at /app, run it beside the agent."""

import asyncio
import gc
import sys
import vfs

from pawl import boot, codes, health, p256
from pawl.agent import Agent
from pawl.bootloader import Bootloader
from pawl.compat import const
from pawl.errors import StorageError
from pawl.ports.unix import layout
from pawl.ports.unix.flash import FileFlash
from pawl.ports.unix.port import Port
from pawl.proof import NOTHING, prove
from pawl.storage import Storage

_COLLECT_EVERY_BYTES = const(16384)
_FEED_S = const(1)
_SOAK_S = const(1)
_WELL_S = const(60)
_CRASH_EXIT_CODE = const(1)


def verifier(port):
    """Return the signature check of this port; keys of other kinds than P-256 never verify.

    Each check feeds the watchdog: how many there can be is bounded by the formats, how long they take is not.
    """

    def verify(key, message, signature):
        port.feed()
        return key.kty == codes.KTY_EC2 and p256.verify(key.x, key.y, message, signature)

    return verify


def run(flash_path, mapped, watchdog):
    """Boot from a flash file that is also mapped as a bytearray; returns only by a reset."""
    # Collected often, what stays lies together: else free memory ends up in pieces too small for a block.
    gc.threshold(_COLLECT_EVERY_BYTES)
    port = Port(watchdog)
    port.feed()
    storage = Storage(FileFlash(flash_path, mapped), layout.REGIONS)
    counter = storage.boot_counter()
    _count_boot(port, counter)
    verify = verifier(port)
    loader = Bootloader(storage, verify)
    decision = loader.settle(counter.is_unwell())
    gc.collect()
    running = codes.RUNNING_RECOVERY if decision.slot is None else decision.slot
    port.log("boot %d row %d slot %s" % (counter.value, decision.row, "AB-"[running]))
    application = _mount(NOTHING if decision.action == boot.RECOVER else prove(storage, decision, verify))
    gc.collect()
    asyncio.run(_main(port, loader, decision, counter, application))


def _count_boot(port, counter):
    """A counter that can't be written makes reports repeat their number: that must not keep a device from booting."""
    try:
        counter.step()
    except StorageError as error:
        port.log("boot counter: %s" % error.detail)


def _mount(proven):
    """Mount exactly the proven bytes: the application at /app, behind the agent on the path, and its data at /data.

    Returns the application's module, or None without one.
    """
    if not proven.images:
        return None
    for component, content in proven.images:
        vfs.mount(vfs.VfsRom(content), "/" + component.decode())
    sys.path.append("/app")
    return "main"


async def _main(port, loader, decision, counter, name):
    application = Application(port, name)
    loader.is_authorised = health.is_authorised
    agent = Agent(port, loader, decision, counter, application.check_health)
    await asyncio.gather(_feed(port), application.run(), agent.run(), application.note_well(counter))


async def _feed(port):
    while True:
        port.feed()
        await asyncio.sleep(_FEED_S)


class Application:
    """The application in the slot: module `main`, whose coroutine `main()`, if it has one, runs beside the agent."""

    def __init__(self, port, name):
        self.port = port
        self.name = name
        self.is_started = name is None

    async def check_health(self):
        """Return whether it was started and has run for a moment: a crash resets the device at once."""
        await asyncio.sleep(_SOAK_S)
        return self.is_started

    async def note_well(self, counter):
        """After a minute of running this boot did well, with or without a network."""
        await asyncio.sleep(_WELL_S)
        if self.name is not None:
            counter.note_well()

    async def run(self):
        """Run it; when it crashes, say so and reset: a trial is used up, a confirmed one starts again."""
        if self.name is None:
            return
        try:
            module = __import__(self.name)
            self.is_started = True
            if hasattr(module, "main"):
                await module.main()
        except Exception as error:
            self.port.log("application crashed")
            sys.print_exception(error)
            self.port.reset()
