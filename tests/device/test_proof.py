"""The second judgement: on its own it refuses what the first one would, whatever the decision says."""

import factory
import templates
from board import Board
from support import refused

from pawl import anchors, boot, codes
from pawl.proof import authentic, prove


def decided(action, slot):
    """Return a decision that somebody talked the first judgement into."""
    return boot.Decision(0, action, slot, codes.REASON_OK)


def proven(board, action, slot):
    """Return {component: bytes} of what may be mounted."""
    found = prove(board.storage, decided(action, slot), board.verify)
    return {component: bytes(content) for component, content in found.images}


def refusal(board, action=boot.TRY, slot=1):
    """Return the reason for which a slot isn't mounted."""
    return refused(prove, board.storage, decided(action, slot), board.verify)


def on_trial(raw, board=None):
    """Return a board that has booted once, and a release on trial in slot B."""
    board = board or Board()
    board.boot()
    slot = board.put(1, raw)
    slot.mark_pending()
    slot.mark_trial()
    return board


def test_exactly_the_signed_bytes_come_out():
    """Of a confirmed slot, of one on trial, and of an application with data."""
    release = templates.release(
        templates.with_data(templates.OTHER, templates.DATA, 2, (2,)), (templates.OTHER, templates.DATA)
    )
    board = on_trial(release)
    assert proven(board, boot.BOOT, 0) == {b"app": factory.IMAGE}
    assert proven(board, boot.TRY, 1) == {b"app": templates.OTHER, b"data": templates.DATA}


def test_before_the_ratchet_names_anything():
    """The first boot of a device goes by the provisioned anchor."""
    board = Board()
    assert proven(board, boot.BOOT, 0) == {b"app": factory.IMAGE}


def test_a_page_that_does_not_let_it_run():
    """Pending, failed, empty, and the wrong one of confirmed and on trial."""
    board = on_trial(factory.release(sequence=2))
    assert refusal(board, boot.BOOT, 1) == codes.REASON_MARK_FAILED
    assert refusal(board, boot.TRY, 0) == codes.REASON_MARK_FAILED
    board.storage.slots[1].mark_failed(codes.REASON_APP_CRASHED)
    assert refusal(board) == codes.REASON_MARK_FAILED
    assert refusal(board, boot.BOOT) == codes.REASON_MARK_FAILED
    board.storage.slots[1].withdraw()
    assert refusal(board) == codes.REASON_MARK_FAILED
    board.put(1, factory.release(sequence=2)).mark_pending()
    assert refusal(board) == codes.REASON_MARK_FAILED


def test_what_is_corrupt():
    """A bit of an image, of the data beside it, of the envelope."""
    images = (templates.OTHER, templates.DATA)
    for region, reason in (
        ("image_b", codes.REASON_IMAGE_DIGEST),
        ("data_b", codes.REASON_IMAGE_DIGEST),
        ("envelope_b", codes.REASON_RECORD_LOST),
        ("page_b", codes.REASON_MARK_FAILED),
    ):
        board = on_trial(templates.release(templates.with_data(images[0], images[1], 2, (2,)), images))
        board.flip(region, 10)
        assert refusal(board) == reason, region


def test_what_is_not_signed_or_not_for_this_device():
    """A stranger's, nobody's, one signature of two, another class, an epoch below the ratchet's."""
    other = factory.manifest_values(2)
    other[codes.MANIFEST_COMMON][codes.COMMON_SHARED_SEQUENCE][1][codes.PARAMETER_CLASS] = b"\x33" * 16
    stranger = factory.STRANGER
    for raw, reason in (
        (factory.release(sequence=2, signers=(stranger,)), codes.REASON_UNAUTHORISED),
        (factory.release(sequence=2, signers=()), codes.REASON_UNAUTHORISED),
        (templates.release(other, (factory.IMAGE,)), codes.REASON_CLASS),
    ):
        assert refusal(on_trial(raw)) == reason
    both = (factory.RELEASE, factory.SECOND)
    board = Board(factory.release(sequence=1, signers=both), factory.anchor_values(2))
    assert refusal(on_trial(factory.release(sequence=2), board)) == codes.REASON_UNAUTHORISED
    board = on_trial(factory.release(sequence=2), Board(factory.release(sequence=1 << 32)))
    assert refusal(board) == codes.REASON_EPOCH_LOW


def test_the_anchor_is_the_one_that_the_ratchet_names():
    """A digest that it bars is refused; a stranger's anchor in both copies changes nothing; with none, only R's release."""
    board = on_trial(factory.release(sequence=2))
    digest = board.storage.slots[1].status().digest
    loader, _ = board.boot()
    loader.anchors.accept(factory.anchor_of(2, barred=[digest]))
    assert refusal(board) == codes.REASON_BARRED
    own = factory.STRANGER
    regions = [board.storage.regions[name] for name in ("anchor_a", "anchor_b")]
    anchors.provision(regions, factory.anchor_of(3, (own,), keys=factory.keys_with(root=own)))
    assert refusal(board) == codes.REASON_UNAUTHORISED
    assert proven(board, boot.BOOT, 0) == {b"app": factory.IMAGE}
    board.put(0, factory.release(sequence=3)).mark_confirmed()
    assert (
        refused(authentic, board.storage, board.storage.slots[0], board.verify) == codes.REASON_UNAUTHORISED
    )
