"""Boot from real flash content: what runs, what is marked, and what the ratchet says after it."""

import factory
from board import REGIONS, Board

from pawl import boot, codes
from support import refused

V1 = 1
V2 = 2


def faults_of(loader):
    """Return what is to be reported, as (action, reason)."""
    return [(fault.action, fault.reason) for fault in loader.faults]


def boots(board):
    """Boot and return (row, slot, reason)."""
    _, decision = board.boot()
    return decision.row, decision.slot, decision.reason


def accepted(board):
    """Return the sequence number that the ratchet's cells hold for the app."""
    release = board.storage.ratchet().reading.roles.get(codes.IMAGE_APP)
    return release.sequence if release else None


def update(board, sequence=V2, **changes):
    """Put a release into slot B and mark it pending."""
    slot = board.put(1, factory.release(sequence=sequence, version=(sequence,), **changes))
    slot.mark_pending()
    return slot


def test_first_boot_finishes_what_provisioning_began():
    """Row 6 writes the second unit of `confirmed` and the first ratchet record, then row 7 boots."""
    board = Board()
    assert accepted(board) is None
    assert boots(board) == (7, 0, codes.REASON_OK)
    assert accepted(board) == V1
    reading = board.storage.ratchet().reading
    assert reading.anchor == (1, factory.anchor().digest)


def test_a_boot_that_has_nothing_to_do_writes_nothing():
    """The second boot leaves flash as it is, but for the count of boots."""
    board = Board()
    boots(board)
    before = bytes(board.flash.store)
    assert boots(board) == (7, 0, codes.REASON_OK)
    start, size = REGIONS["boots"]
    after = bytes(board.flash.store)
    assert after[:start] == before[:start]
    assert after[start + size :] == before[start + size :]


def test_update_is_tried_confirmed_and_kept():
    """Trial, confirm, ratchet: from then on slot B boots."""
    board = Board()
    boots(board)
    update(board)
    loader, decision = board.boot()
    assert (decision.row, decision.action, decision.slot) == (5, boot.TRY, 1)
    assert accepted(board) == V1
    loader.confirm(1)
    assert accepted(board) == V2
    assert boots(board) == (7, 1, codes.REASON_OK)


def test_unconfirmed_update_is_reverted_after_its_trials():
    """Three boots without a confirmation, then slot A again, with the reason to report."""
    board = Board()
    boots(board)
    slot = update(board)
    for _ in range(3):
        assert boots(board) == (5, 1, codes.REASON_OK)
    loader, decision = board.boot()
    assert (decision.row, decision.slot) == (7, 0)
    assert faults_of(loader) == [(boot.FAIL, codes.REASON_TRIALS)]
    assert slot.status().state == codes.SLOT_FAILED
    assert accepted(board) == V1


def test_a_cut_between_confirm_and_ratchet_is_finished_at_boot():
    """One unit of `confirmed` is enough: row 6 completes it and raises the ratchet."""
    board = Board()
    boots(board)
    slot = update(board)
    boots(board)
    slot._program(7, 1)
    assert not slot.status().is_settled
    assert boots(board) == (7, 1, codes.REASON_OK)
    assert slot.status().is_settled
    assert accepted(board) == V2


def test_what_is_not_signed_is_never_tried():
    """A stranger's release, a changed image or envelope in a pending slot: failed, with the reason."""
    for spoil, reason in (
        (lambda board: update(board, signers=(factory.STRANGER,)), codes.REASON_UNAUTHORISED),
        (lambda board: (update(board), board.flip("image_b", 4000)), codes.REASON_IMAGE_DIGEST),
    ):
        board = Board()
        boots(board)
        spoil(board)
        loader, decision = board.boot()
        assert (decision.row, decision.slot) == (7, 0)
        assert faults_of(loader) == [(boot.FAIL, reason)]


def test_written_without_pending_never_boots():
    """An install that did not come to its end is no candidate."""
    board = Board()
    boots(board)
    board.put(1, factory.release(sequence=V2))
    assert boots(board) == (7, 0, codes.REASON_OK)


def test_rotten_confirmed_slot_falls_back_or_recovers():
    """Row 7 boots what is whole and says so; with nothing whole left, the agent alone runs (row 8)."""
    board = Board()
    boots(board)
    slot = update(board)
    loader, _ = board.boot()
    loader.confirm(1)
    board.flip("image_b", 0)
    assert boots(board) == (7, 0, codes.REASON_FALLBACK)
    assert slot.status().state == codes.SLOT_CONFIRMED
    board.flip("image_a", 0)
    assert boots(board) == (8, None, codes.REASON_OK)


def test_signature_is_checked_at_every_boot():
    """A confirmed slot whose envelope somebody replaced by another's does not boot."""
    board = Board()
    boots(board)
    board.put(0, factory.release(sequence=9, signers=(factory.STRANGER,)))
    board.storage.slots[0].mark_confirmed()
    assert boots(board) == (8, None, codes.REASON_OK)
    assert accepted(board) == V1


def test_lost_ratchet_is_read_from_the_confirmed_slot():
    """With every cell erased the reading comes from the authentic confirmed slot, and is written again."""
    board = Board()
    boots(board)
    update(board, sequence=5)
    loader, _ = board.boot()
    loader.confirm(1)
    board.storage.regions["ratchet"].erase()
    loader, decision = board.boot()
    assert (decision.row, decision.slot) == (7, 1)
    assert accepted(board) == 5
    assert loader.accepted.sequence == 5


def test_provisioned_floor_counts():
    """A device provisioned at epoch 1 boots nothing of epoch 0."""
    board = Board(floor=1 << 32)
    assert boots(board) == (8, None, codes.REASON_OK)


def test_another_vendor_never_boots():
    """A release for other hardware is not run, whoever signed it (T07)."""
    values = factory.manifest_values(sequence=V2)
    shared = values[codes.MANIFEST_COMMON][codes.COMMON_SHARED_SEQUENCE]
    shared[1][codes.PARAMETER_VENDOR] = bytes(16)
    board = Board()
    boots(board)
    slot = board.put(1, factory.release(sequence=V2))
    envelope = factory.envelope(values)
    slot.begin(factory.bundle.suit.Envelope(envelope).digest, envelope)
    slot.mark_written()
    slot.mark_pending()
    loader, decision = board.boot()
    assert decision.slot == 0
    assert faults_of(loader) == [(boot.FAIL, codes.REASON_VENDOR)]


def test_one_good_anchor_copy_is_enough_and_none_is_row_1():
    """The provisioned one counts as a copy; with none that the ratchet names only its release may boot, nothing new."""
    board = Board()
    boots(board)
    board.flip("anchor_a", 50)
    assert boots(board) == (7, 0, codes.REASON_OK)
    board.flip("anchor_b", 50)
    assert boots(board) == (7, 0, codes.REASON_OK)
    assert board.boot()[0].anchor.version == 1
    board.boot()[0].anchors.accept(factory.anchor_of(2))
    assert boots(board) == (7, 0, codes.REASON_OK)
    for name in ("anchor_a", "anchor_b"):
        board.flip(name, 60)
    update(board)
    loader, decision = board.boot()
    assert (decision.row, decision.slot) == (7, 0)
    assert faults_of(loader) == []
    assert loader.anchor is None
    assert loader.path_anchor.version == 1
    assert board.storage.slots[1].status().state == codes.SLOT_PENDING


def test_barred_release_does_not_boot():
    """The anchor's list stops a release at boot too."""
    digest = factory.bundle.suit.Envelope(factory.release(sequence=1)).digest
    values = factory.anchor_values()
    values[codes.ANCHOR_BARRED] = [digest]
    assert boots(Board(anchor_values=values)) == (8, None, codes.REASON_OK)


def test_former_signers_boot_what_is_confirmed_only():
    """A boot set lets an installed release run on, and lets nothing new in."""
    values = factory.anchor_values()
    values[codes.ANCHOR_ROLES] = {codes.ROLE_APP_RELEASE: [[1, [3]], [[1, [2]]]]}
    board = Board(anchor_values=values)
    assert boots(board) == (7, 0, codes.REASON_OK)
    update(board)
    loader, decision = board.boot()
    assert decision.slot == 0
    assert faults_of(loader) == [(boot.FAIL, codes.REASON_UNAUTHORISED)]


def test_a_page_half_erased_for_the_next_release_boots_nothing_of_the_old_one():
    """A cut while the page is erased may leave the old release's marks but not `confirmed`: it isn't tried again."""
    for kept in range(64, 352, 32):
        board = Board()
        boots(board)
        slot = update(board)
        loader, _ = board.boot()
        loader.confirm(1)
        board.put(0, factory.release(sequence=3, version=(3,))).mark_pending()
        loader, decision = board.boot()
        loader.confirm(0)
        page = bytes(slot.page.view(0, 4096))
        slot.begin(slot.status().digest, b"the next envelope")
        start = slot.page.start
        board.flash.store[start : start + 4096] = page[:kept] + b"\xff" * (4096 - kept)
        slot.envelope_region.erase()
        loader, decision = board.boot()
        assert (decision.row, decision.slot) == (7, 0), kept
        assert faults_of(loader) == []


def test_the_envelope_goes_before_the_page():
    """An install begins with what makes the old release unbootable."""
    board = Board()
    erased = []
    erase = board.flash.erase
    board.flash.erase = lambda offset: (erased.append(offset), erase(offset))
    board.storage.slots[1].begin(bytes(32), b"envelope")
    names = [name for offset in erased for name in REGIONS if REGIONS[name][0] == offset]
    assert names == ["envelope_b", "page_b"]


def test_a_flipped_bit_makes_nobody_try_a_slot():
    """`written` without `pending` never boots, whatever one bit of the blank units reads as."""
    for offset in range(128, 224, 7):
        board = Board()
        boots(board)
        board.put(1, factory.release(sequence=2))
        board.flip("page_b", offset)
        assert boots(board) == (7, 0, codes.REASON_OK), offset


def test_a_stuck_bit_costs_one_trial():
    """A trial unit that doesn't keep its mark is used up; the next one is taken in the same boot."""
    board = Board()
    boots(board)
    slot = update(board)
    stuck = slot.page.start + 4 * 32 + 20
    program = board.flash.program

    def sticky(offset, data):
        program(offset, data)
        if offset <= stuck < offset + len(data):
            board.flash.store[stuck] |= 8

    board.flash.program = sticky
    assert boots(board) == (5, 1, codes.REASON_OK)
    assert slot.status().trials == 2


def test_one_copy_of_the_identity_is_enough():
    """A flipped bit in the record doesn't stop a device; two lost copies do, and say so."""
    board = Board()
    board.flip("identity_a", 100)
    assert boots(board) == (7, 0, codes.REASON_OK)
    board.flip("identity_b", 100)
    assert refused(board.boot) == codes.REASON_RECORD_LOST


def test_a_mark_that_cannot_be_written_never_loops():
    """A slot whose page is stuck counts as failed for this boot; the other one runs."""
    board = Board()
    boots(board)
    update(board)
    program = board.flash.program
    page = board.storage.regions["page_b"].start
    board.flash.program = lambda offset, data: None if page <= offset < page + 4096 else program(offset, data)
    loader, decision = board.boot()
    assert (decision.row, decision.slot) == (7, 0)
    assert faults_of(loader) == [(boot.TRY, codes.REASON_MARK_FAILED)]


def with_a_rotten_update():
    """Return a board that confirmed release 2 in slot B, where it rotted; release 1 in slot A is what boots."""
    board = Board()
    boots(board)
    update(board)
    board.boot()[0].confirm(1)
    board.flip("image_b", 10)
    assert boots(board) == (7, 0, codes.REASON_FALLBACK)
    return board


def test_the_recovery_agent_takes_no_slot_that_is_the_only_one_to_boot():
    """Not where the ratchet names the other one, and not where a cut tore the other one's page."""
    board = with_a_rotten_update()
    assert board.boot()[0].target(codes.RUNNING_RECOVERY).name == codes.RUNNING_B
    board.storage.slots[1].withdraw()
    board.storage.slots[1].page.program(0, b"torn")
    loader = board.boot()[0]
    assert loader.has_bootable()
    assert loader.target(codes.RUNNING_RECOVERY).name == codes.RUNNING_B


def test_a_page_that_does_not_erase_keeps_no_device_from_its_repair():
    """Where nothing boots any more, the other slot is taken, whatever the ratchet names."""
    board = Board()
    boots(board)
    board.storage.slots[1].page.program(0, b"stuck")
    board.flip("image_a", 10)
    loader, decision = board.boot()
    assert decision.row == 8
    assert loader.target(codes.RUNNING_RECOVERY).name == codes.RUNNING_A
