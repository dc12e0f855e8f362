"""Makes a new device's flash one that lived long: a former release in the other slot, journals whose next cell needs an erase.

Done by the device's own code on a copy of its flash. So an update meets every erase that it ever can.
"""

from flash_judge import NEW_SLOT, OLD_SLOT, storage_of

from pawl import codes, index, ratchet
from pawl.bootloader import Bootloader
from pawl.clock import Clock
from pawl.ports.host.verifier import verify

_BOOTS = 126  # two cells are left: the update begins in one half of the journal and goes on in the other
_LOG_ENTRIES = 127


class _Stopped:
    """The port of a clock that stands still."""

    def ticks_ms(self):
        return 0

    def ticks_diff(self, one, other):
        return one - other


def age(raw, former):
    """Return the flash image with `former`, a Bundle, confirmed before what runs now."""
    storage = storage_of(raw)
    _install_former(storage.slots[NEW_SLOT], former)
    _fill_boots(storage.boot_counter())
    loader = Bootloader(storage, verify)
    loader.confirm(NEW_SLOT)
    loader.confirm(OLD_SLOT)
    _fill_ratchet(loader.ratchet)
    _fill_clock(storage.clock(_Stopped()))
    log = storage.log()
    for number in range(_LOG_ENTRIES):
        log.keep(1, number, codes.REASON_OK)
    return bytes(storage.regions["log"].flash.store)


def _install_former(slot, former):
    slot.begin(former.envelope.digest, former.wire_envelope())
    for image in former.manifest.images(slot.name):
        for number, block in enumerate(index.cut(former.content(image).image)):
            slot.write_block(number * codes.BLOCK_BYTES, block, image.component)
    slot.mark_written()
    slot.mark_confirmed()


def _fill_boots(counter):
    for _ in range(_BOOTS - 1):
        counter.step()
    counter.note_well()


def _fill_ratchet(held):
    """Append what it says already until no cell is free."""
    body = ratchet._encode(held.reading)
    journal = held.journal
    while any(
        journal.region.is_erased(at, journal.cell_bytes) for half in (0, 1) for at in journal._cells(half)
    ):
        journal.append(body, body)


def _fill_clock(clock: Clock):
    journal = clock._snapshots.journal
    while any(
        journal.region.is_erased(at, journal.cell_bytes) for half in (0, 1) for at in journal._cells(half)
    ):
        clock.uptime_s()
        clock.times = clock.times._replace(uptime=clock.times.uptime + 90_000)
        clock.save()
