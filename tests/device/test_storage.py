"""Flash, records, journal, ratchet and slots: what a device keeps, and what is left of it after a tear."""

from support import refused

from pawl import codes, records, slots
from pawl.boots import BootCounter
from pawl.flash import MemoryFlash, Region, check_program
from pawl.ratchet import Ratchet, Reading, Release

D1 = b"\x01" * 32
D2 = b"\x02" * 32
SECTOR = 4096


def region(sectors=1):
    """Return a fresh region in the middle of a flash."""
    flash = MemoryFlash((sectors + 2) * SECTOR)
    return Region(flash, SECTOR, sectors * SECTOR)


def new_slot():
    """Return a fresh slot."""
    return slots.Slot(0, region(), region(), region(3))


def is_misuse(function, *arguments):
    """Return whether a call is an AssertionError."""
    try:
        function(*arguments)
    except AssertionError:
        return True
    return False


def test_bits_only_fall():
    """The one rule of NOR, and units that are whole."""
    check_program(b"\xff\x0f", b"\x12\x0f")
    assert is_misuse(check_program, b"\x00", b"\x01")
    assert is_misuse(check_program, b"\xff", b"\x01\x02")
    flash = MemoryFlash(SECTOR)
    assert is_misuse(flash.program, 1, bytes(32))
    assert is_misuse(flash.program, 0, bytes(31))
    assert is_misuse(flash.erase, 32)


def test_region_has_bounds():
    """Nothing outside a region is read, programmed or erased through it."""
    area = region()
    for method, arguments in (
        (area.view, (SECTOR, 1)),
        (area.view, (-1, 1)),
        (area.program, (SECTOR - 32, bytes(64))),
        (area.erase, (0, 2 * SECTOR)),
    ):
        assert refused(method, *arguments) == codes.REASON_FLASH_RANGE


def test_a_sector_that_two_regions_share_is_not_erased():
    """It is refused before anything is touched, also where the span itself is within the region."""
    flash = MemoryFlash(2 * SECTOR)
    flash.program(0, b"before" + bytes(26))
    flash.program(2 * SECTOR - 32, b"behind" + bytes(26))
    for start, size in ((32, SECTOR), (0, 2 * SECTOR - 32)):
        before = bytes(flash.store)
        area = Region(flash, start, size)
        assert refused(area.erase, size - 32, 32) == codes.REASON_FLASH_RANGE
        assert flash.store == before


def test_region_programs_erased_bytes_only():
    """What is not erased is refused before anything is touched."""
    area = region()
    area.program(0, b"one")
    assert bytes(area.view(0, 4)) == b"one\xff"
    assert refused(area.program, 0, b"two") == codes.REASON_FLASH_PROGRAM
    area.erase()
    area.program(0, b"two")


def test_region_reads_back():
    """A flash that doesn't keep what it was given is found out at once."""
    area = region()
    area.flash.program = lambda offset, data: None
    assert refused(area.program, 0, b"one") == codes.REASON_FLASH_READ_BACK
    area = region()
    area.program(0, b"one")
    area.flash.erase = lambda offset: None
    assert refused(area.erase) == codes.REASON_FLASH_READ_BACK


def test_record_is_whole_or_not_there():
    """Any changed byte of a record makes it unreadable, and so does another magic."""
    area = region()
    records.replace(area, b"TEST", b"body")
    assert records.load(area, b"TEST") == b"body"
    assert records.load(area, b"TSET") is None
    for place in range(records.OVERHEAD_BYTES + 4):
        at = area.start + place
        area.flash.store[at] ^= 1
        assert records.load(area, b"TEST") is None, place
        area.flash.store[at] ^= 1
    assert refused(records.replace, area, b"TEST", bytes(SECTOR)) == codes.REASON_FLASH_RANGE
    assert records.load(region(), b"TEST") is None


def test_boots_are_counted_over_many_compactions():
    """Every number is there after a restart, through several erases of both halves; so is the newest good boot."""
    area = region(2)
    for expected in range(1, 300):
        counter = BootCounter(area)
        assert counter.step() == expected
        if expected % 5 == 0:
            counter.note_well()
            counter.note_well()
    assert (BootCounter(area).value, BootCounter(area).well) == (299, 295)


def test_boot_counter_survives_a_torn_cell():
    """A torn newest cell loses one step at most, and the next step goes on behind it."""
    area = region(2)
    counter = BootCounter(area)
    counter.step()
    counter.step()
    area.flash.store[area.start + 64 + 10] ^= 0xFF
    assert BootCounter(area).value == 1
    assert BootCounter(area).step() == 2


def test_every_ninth_bad_boot_is_the_recovery_agents():
    """Eight boots that did not do well, then one for the recovery agent, then the count begins anew."""
    counter = BootCounter(region(2))
    turns = []
    for _ in range(30):
        counter.step()
        if counter.is_unwell():
            turns.append(counter.value)
    assert turns == [9, 18, 27]
    counter.note_well()
    counter.step()
    assert not counter.is_unwell()


def test_a_cell_that_keeps_nothing_is_left_behind():
    """The next free cell is taken; the journal goes on."""
    area = region(2)
    program = area.flash.program
    area.flash.program = lambda offset, data: None if offset == area.start else program(offset, data)
    assert BootCounter(area).step() == 1
    assert BootCounter(area).step() == 2


def test_a_last_block_before_old_bytes():
    """A short last block in a sector that is erased only where the block lies: the sector is erased first."""
    slot = new_slot()
    slot.image.program(0, b"\xff" * 32 + b"old" * 20)
    slot.write_block(0, b"tail")
    assert bytes(slot.image.view(0, 4)) == b"tail"


def advance(area, sequence, digest):
    """Raise the app's ratchet in a region."""
    release = Release(sequence, digest, (1, 2), (D2, 77))
    Ratchet(area).advance(Reading({codes.IMAGE_APP: release}, (1, D1)))
    return release


def test_ratchet_keeps_the_highest():
    """It rises, never falls, and keeps all of what it was given."""
    area = region(2)
    assert Ratchet(area).reading == Reading({}, None)
    release = advance(area, 7, D1)
    assert Ratchet(area).reading == Reading({codes.IMAGE_APP: release}, (1, D1))
    before = bytes(area.flash.store)
    advance(area, 6, D2)
    advance(area, 7, D1)
    assert bytes(area.flash.store) == before


def test_ratchet_over_many_compactions():
    """Two hundred advances: after each, a fresh reader sees the newest."""
    area = region(2)
    for sequence in range(1, 200):
        release = advance(area, sequence, D1)
        assert Ratchet(area).reading.roles[codes.IMAGE_APP] == release


def test_marks_in_their_order():
    """Each mark gives the state that hellos name."""
    slot = new_slot()
    assert slot.status().state == codes.SLOT_EMPTY
    slot.begin(D1, b"envelope")
    assert (slot.status().state, slot.status().digest) == (codes.SLOT_EMPTY, D1)
    assert slot.envelope() == b"envelope"
    slot.mark_written()
    assert slot.status().state == codes.SLOT_WRITTEN
    slot.mark_pending()
    assert slot.status().state == codes.SLOT_PENDING
    for used in (1, 2, 3):
        slot.mark_trial()
        assert (slot.status().state, slot.status().trials) == (codes.SLOT_TRIAL, used)
    assert refused(slot.mark_trial) == codes.REASON_MARK_FAILED
    assert not slot.status().is_settled
    slot.mark_confirmed()
    assert slot.status().state == codes.SLOT_CONFIRMED
    assert slot.status().is_settled
    slot.mark_confirmed()
    slot.mark_failed(codes.REASON_TRIALS)
    assert (slot.status().state, slot.status().reason) == (codes.SLOT_FAILED, codes.REASON_TRIALS)
    slot.begin(D2, b"next")
    assert (slot.status().state, slot.status().digest) == (codes.SLOT_EMPTY, D2)


def test_marks_of_another_release_count_as_none():
    """Marks moved under another digest say nothing (page bound to its release)."""
    slot, other = new_slot(), new_slot()
    for one, digest in ((slot, D1), (other, D2)):
        one.begin(digest, b"envelope")
    slot.mark_confirmed()
    start = other.page.start
    moved = slot.page.view(64, SECTOR - 64)
    other.page.flash.store[start + 64 : start + SECTOR] = moved
    assert other.status().state == codes.SLOT_EMPTY


def tear(slot, unit):
    """Make a unit of the page what a cut in the middle of programming leaves."""
    start = slot.page.start + unit * slots.UNIT_BYTES
    for at in range(start, start + 5):
        slot.page.flash.store[at] = 0x5A


def test_torn_marks():
    """A torn trial counts as used; one torn unit of `confirmed` or `failed` leaves the other."""
    slot = new_slot()
    slot.begin(D1, b"envelope")
    slot.mark_pending()
    tear(slot, 4)
    assert (slot.status().state, slot.status().trials) == (codes.SLOT_TRIAL, 1)
    tear(slot, 7)
    assert slot.status().state == codes.SLOT_TRIAL
    slot.mark_confirmed()
    assert (slot.status().state, slot.status().is_settled) == (codes.SLOT_CONFIRMED, True)
    tear(slot, 9)
    assert slot.status().state == codes.SLOT_CONFIRMED
    slot.mark_failed(85)
    assert slot.status().state == codes.SLOT_FAILED


def test_torn_header_is_an_empty_slot():
    """Without a whole header no mark is anybody's."""
    slot = new_slot()
    slot.begin(D1, b"envelope")
    slot.mark_confirmed()
    slot.page.flash.store[slot.page.start] ^= 1
    assert slot.status().state == codes.SLOT_EMPTY
    assert slot.status().digest is None


def test_blocks_are_written_once():
    """A block that is there is left alone; a torn one is erased and written, its neighbours are not touched."""
    slot = new_slot()
    blocks = [bytes([n + 1]) * 4096 for n in range(2)] + [b"tail"]
    for number, block in enumerate(blocks):
        slot.write_block(number * 4096, block)
    start = slot.image.start
    slot.image.flash.store[start + 4096 + 9] ^= 3
    erased = []
    erase = slot.image.flash.erase
    slot.image.flash.erase = lambda offset: (erased.append(offset), erase(offset))
    for number, block in enumerate(blocks):
        slot.write_block(number * 4096, block)
    assert erased == [start + 4096]
    whole = b"".join(blocks)
    assert slot.image_matches(slots.sha256(whole), len(whole))
    assert not slot.image_matches(slots.sha256(whole), len(whole) - 1)
    assert not slot.image_matches(slots.sha256(whole), 4 * SECTOR)


def worn(area):
    """Make a region lose whatever is programmed."""
    area.flash.program = lambda offset, data: None


def test_a_boot_counter_that_takes_nothing_stops_nothing():
    """Neither a check-in or an application that did well, nor, boot after boot, the application for the recovery agent."""
    area = region(2)
    for _ in range(9):
        BootCounter(area).step()
    counter = BootCounter(area)
    assert counter.is_unwell()
    worn(area)
    assert refused(counter.step) == codes.REASON_FLASH_READ_BACK
    assert not counter.is_unwell()
    counter.note_well()
    assert counter.fault == codes.REASON_FLASH_READ_BACK


class CutError(Exception):
    """The power went."""


def cut_at_erases(area):
    """Return a region over the same flash that loses power behind each erase."""
    cut = Region(area.flash, area.start, area.size)

    def erase(offset, size):
        area.erase(offset, size)
        raise CutError

    cut.erase = erase
    return cut


def test_an_anchor_outlives_every_cut_before_any_release_is_confirmed():
    """A device that was provisioned without a release walks on: no half is erased that alone holds its newest step."""
    area = region(2)
    for version in range(1, 60):
        anchor = (version, bytes(32))
        before = Ratchet(area).reading.anchor
        try:
            Ratchet(cut_at_erases(area)).advance(Reading({}, anchor))
        except CutError:
            assert Ratchet(area).reading.anchor == before, version
            Ratchet(area).advance(Reading({}, anchor))
    assert Ratchet(area).reading.anchor == (59, bytes(32))


def test_one_release_with_an_image_for_each_slot_leaves_room():
    """Confirmed in one slot, later repaired into the other: after any number of steps the ratchet takes one more."""
    for first, second in ((D1, D2), (D2, D1)):
        for steps in range(1, 34):
            area = region(2)
            confirmed, repaired = [Release(5, D1, (1,), (image, 100)) for image in (first, second)]
            ratchet = Ratchet(area)
            for version in range(1, steps + 1):
                ratchet.advance(Reading({1: confirmed}, (version, D1)))
            ratchet.advance(Reading({1: repaired}, None))
            for version in range(steps + 1, steps + 20):
                assert Ratchet(area).reading == ratchet.reading
                assert Ratchet(area).has_room(), (steps, version)
                ratchet.advance(Reading({}, (version, D1)))
