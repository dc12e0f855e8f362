"""The anchor's copies in flash: which one is believed, and what every cut in an accepted step leaves."""

import factory
from board import REGIONS, Board
from support import refused

from pawl import anchors, codes
from pawl.ratchet import Reading

REGION_NAMES = ("anchor_a", "anchor_b")


class PowerCutError(Exception):
    """The power went."""


def name(anchor):
    """Return what the ratchet calls an anchor."""
    return anchor.version, anchor.digest


def parsed(file):
    """Return the Anchor of a file."""
    return factory.trust.load(file, factory.verify)


def opened(board):
    """Return the Anchors of a board as it lies there."""
    return board.storage.anchors(board.anchor_file, board.storage.ratchet(), factory.verify)


def ratchet_anchor(board):
    """Return what the ratchet's cells hold."""
    return board.storage.ratchet().reading.anchor


def write(board, index, file):
    """Make one copy hold a file, past all rules."""
    anchors.provision([board.storage.regions[REGION_NAMES[index]]], file)


def at_version(last):
    """Return a board that has walked from 1 to `last`."""
    board = Board()
    board.boot()
    for version in range(2, last + 1):
        opened(board).accept(factory.anchor_of(version))
    return board


def test_a_step_is_kept_and_in_force():
    """One copy is the new one, the other the one before; the ratchet names the new one."""
    board = at_version(3)
    found = opened(board)
    assert found.current is found.base
    assert name(found.current) == ratchet_anchor(board) == name(parsed(factory.anchor_of(3)))
    held = [parsed(file).version for file in board.storage.anchor_files()]
    assert sorted(held) == [2, 3]


def test_what_does_not_follow_changes_nothing():
    """A version too many, the same again, one that the present root didn't sign: refused, flash as before."""
    board = at_version(2)
    before = bytes(board.flash.store)
    own = factory.STRANGER
    for file, reason in (
        (factory.anchor_of(4), codes.REASON_ANCHOR_VERSION),
        (factory.anchor_of(2), codes.REASON_ANCHOR_VERSION),
        (factory.anchor_of(3, (own,), keys=factory.keys_with(root=own)), codes.REASON_ANCHOR_UNSIGNED),
        (
            factory.anchor_of(3, (factory.ROOT,), keys=factory.keys_with(root=own)),
            codes.REASON_ANCHOR_UNSIGNED,
        ),
        (b"junk", codes.REASON_ANCHOR_INVALID),
    ):
        assert refused(opened(board).accept, file) == reason
    assert bytes(board.flash.store) == before


class Cutting:
    """Wraps a board's flash: the power goes at operation `after`; `is_torn`: half of that operation was done."""

    def __init__(self, board, after, is_torn):
        self.board = board
        self.left = after
        self.is_torn = is_torn
        self.erase, self.program = board.flash.erase, board.flash.program
        board.flash.erase, board.flash.program = self._erase, self._program

    def restore(self):
        self.board.flash.erase, self.board.flash.program = self.erase, self.program

    def _goes(self):
        self.left -= 1
        return self.left < 0

    def _erase(self, offset):
        if self._goes():
            if self.is_torn:
                self.board.flash.store[offset : offset + 2048] = b"\xff" * 2048
            raise PowerCutError
        self.erase(offset)

    def _program(self, offset, data):
        if self._goes():
            if self.is_torn:
                half = len(data) // 2
                self.board.flash.store[offset : offset + half] = bytes(data[:half])
            raise PowerCutError
        self.program(offset, data)


def cut_at(board, step, after, is_torn):
    """Do a step until the power goes; return whether it came to its end before."""
    cutting = Cutting(board, after, is_torn)
    try:
        step()
    except PowerCutError:
        return False
    finally:
        cutting.restore()
    return True


def cut_everywhere(board_at, wanted):
    """Cut an accepted step at each operation, whole and torn: N or N+1 is there, R agrees, and the step can be done."""
    file = factory.anchor_of(wanted)
    for is_torn in (False, True):
        is_whole = False
        after = 0
        while not is_whole:
            board = board_at()
            is_whole = cut_at(board, lambda at=board: opened(at).accept(file), after, is_torn)
            loader, decision = board.boot()
            assert (decision.row, decision.slot) == (7, 0), after
            assert loader.anchor.version in ((wanted,) if is_whole else (wanted - 1, wanted)), after
            assert name(loader.anchor) == ratchet_anchor(board), after
            if loader.anchor.version < wanted:
                loader.anchors.accept(file)
            assert ratchet_anchor(board) == name(parsed(file)) == name(opened(board).current), after
            after += 1
        assert after > 3


def test_every_cut_in_the_first_step():
    """Both copies hold the provisioned anchor when the step begins."""
    cut_everywhere(lambda: at_version(1), 2)


def test_every_cut_in_a_later_step():
    """The copies differ when the step begins: the older one is written over."""
    cut_everywhere(lambda: at_version(3), 4)


def test_every_cut_while_a_boot_finishes_the_ratchets_write():
    """Between copy and ratchet the power went, and goes again at each operation of the boot that finishes it."""
    for after in range(4):
        board = at_version(2)
        write(board, 1 if parsed(board.storage.anchor_files()[0]).version == 2 else 0, factory.anchor_of(3))
        assert ratchet_anchor(board)[0] == 2
        cut_at(board, board.boot, after, True)
        loader, _ = board.boot()
        assert loader.anchor.version == 3
        assert name(loader.anchor) == ratchet_anchor(board)


def test_a_higher_copy_that_does_not_follow_is_not_believed():
    """Neither beside the copy that the ratchet names, nor alone; a stranger's neither."""
    own = factory.STRANGER
    stranger = factory.anchor_of(3, (own,), keys=factory.keys_with(root=own))
    for file in (stranger, factory.anchor_of(4)):
        board = at_version(2)
        other = 1 if parsed(board.storage.anchor_files()[0]).version == 2 else 0
        write(board, other, file)
        assert opened(board).current.version == 2
        write(board, 1 - other, file)
        assert opened(board).current is None
        assert opened(board).base.version == 1
        assert ratchet_anchor(board)[0] == 2


def test_another_one_of_the_ratchets_version_is_not_believed():
    """A fork in both copies: nothing to judge by, and the walk goes on from below it."""
    board = at_version(3)
    fork = factory.anchor_of(3, barred=[bytes(32)])
    for index in (0, 1):
        write(board, index, fork)
    found = opened(board)
    assert (found.current, found.base.version) == (None, 1)
    found.accept(factory.anchor_of(2))
    assert refused(found.accept, fork) == codes.REASON_ANCHOR_FORK
    assert (found.current, found.base.version) == (None, 2)
    assert found.accept(factory.anchor_of(3)) is found.current
    assert ratchet_anchor(board)[0] == 3


def test_below_the_ratchet_steps_are_kept_and_judge_nothing():
    """Both copies lost at version 4: each step is there after a reset, the ratchet doesn't fall, 4 judges again."""
    board = at_version(4)
    for region in REGION_NAMES:
        board.flip(region, 60)
    for version in (2, 3):
        found = opened(board)
        assert found.current is None
        found.accept(factory.anchor_of(version))
        assert (opened(board).base.version, ratchet_anchor(board)[0]) == (version, 4)
    found = opened(board)
    found.accept(factory.anchor_of(4))
    assert opened(board).current.version == found.current.version == 4
    assert found.accept(factory.anchor_of(5)).version == ratchet_anchor(board)[0] == 5


def test_without_a_ratchet_two_copies_must_belong_together():
    """It was lost: a pair that a step leaves counts in full, any other for its lower one, two of a version for none."""
    first = factory.anchor_file(factory.anchor_values())
    fork = factory.anchor_of(2, barred=[bytes(32)])
    own = factory.STRANGER
    stranger = factory.anchor_of(9, (own,), keys=factory.keys_with(root=own))
    for files, version in (
        ((first, first), 1),
        ((factory.anchor_of(5), factory.anchor_of(6)), 6),
        ((factory.anchor_of(6), factory.anchor_of(5)), 6),
        ((factory.anchor_of(5), None), 5),
        ((factory.anchor_of(5), stranger), 5),
        ((stranger, factory.anchor_of(5)), 5),
        ((factory.anchor_of(5), factory.anchor_of(7)), 5),
        ((factory.anchor_of(2), fork), 1),
        ((None, None), 1),
    ):
        board = Board()
        for index, file in enumerate(files):
            if file is None:
                board.storage.regions[REGION_NAMES[index]].erase()
            else:
                write(board, index, file)
        assert opened(board).current.version == version


def test_a_ratchet_that_takes_nothing_keeps_the_old_anchor_in_force():
    """The step fails as a whole: else the next one would write over the copy that the ratchet names."""
    board = at_version(1)
    found = opened(board)
    start, size = REGIONS["ratchet"]
    program = board.flash.program
    board.flash.program = lambda at, data: None if start <= at < start + size else program(at, data)
    assert refused(found.accept, factory.anchor_of(2)) is not None
    assert found.current.version == found.base.version == 1
    assert opened(board).current.version == 1
    board.flash.program = program
    assert opened(board).current.version == 2
    assert ratchet_anchor(board)[0] == 2


def test_the_ratchet_keeps_its_anchor_when_a_release_is_confirmed():
    """An advance of the release alone doesn't touch the anchor."""
    board = at_version(3)
    ratchet = board.storage.ratchet()
    ratchet.advance(Reading({}, (1, bytes(32))))
    assert ratchet_anchor(board)[0] == 3
