"""The boot table's page: made from the code, and what it says of slots is what slots and boot code do."""

import re
import sys
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest

from pawl import boot, bootloader, codes
from pawl.errors import StorageError
from pawl.flash import MemoryFlash, Region
from pawl.ports.host.verifier import verify
from pawl.slots import Slot
from pawl_tools import boot_page, boot_states

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "device"))

import factory  # noqa: E402 (beside the device tests)
from board import Board  # noqa: E402

DIGEST = b"\x01" * 32
# The calls that bring a slot of a fresh release into a state.
CALLS_TO = {
    codes.SLOT_EMPTY: (),
    codes.SLOT_WRITTEN: ("mark_written",),
    codes.SLOT_PENDING: ("mark_written", "mark_pending"),
    codes.SLOT_TRIAL: ("mark_written", "mark_pending", "mark_trial"),
    codes.SLOT_CONFIRMED: ("mark_written", "mark_pending", "mark_trial", "mark_confirmed"),
    codes.SLOT_FAILED: ("mark_written", "mark_pending", "mark_failed"),
}
ARGUMENTS = {"begin": (DIGEST, b"envelope"), "mark_failed": (codes.REASON_TRIALS,)}
CALL_OF = {boot.FAIL: "mark_failed", boot.TRY: "mark_trial", boot.FINISH: "mark_confirmed"}


def call(slot, name):
    """Call a method of a slot, as its callers do."""
    getattr(slot, name)(*ARGUMENTS.get(name, ()))


def slot_in(state):
    """Return a slot over real pages that is in a state."""
    regions = [Region(MemoryFlash(4096), 0, 4096) for _ in range(3)]
    slot = Slot(codes.RUNNING_A, *regions)
    call(slot, "begin")
    for name in CALLS_TO[state]:
        call(slot, name)
    assert slot.status().state == state
    return slot


def test_the_page_is_what_the_code_says():
    """docs/boot.md is printed, never edited."""
    is_same = (ROOT / "docs" / "boot.md").read_text() == boot_page.page()
    assert is_same, f"docs/boot.md differs from the code: read what changed, then run `{boot_page.COMMAND}`"


def test_states_are_those_of_the_codes():
    """None is missing, and each has the name that the code has."""
    named = {name: getattr(codes, name) for name in dir(codes) if name.startswith("SLOT_")}
    assert {f"SLOT_{name.upper()}": state for state, name in boot_states.STATES.items()} == named


@pytest.mark.parametrize("change", boot_states.CHANGES, ids=lambda change: f"{change.call}, {change.who}")
def test_a_listed_change_is_what_the_slot_does(change):
    """From every state that it is listed for."""
    for before in change.before:
        slot = slot_in(before)
        call(slot, change.call)
        assert slot.status().state == change.after


def test_a_decision_makes_of_a_slot_what_the_page_says():
    """Each transition of the boot table, done to a real slot."""
    found = boot_states.transitions()
    assert {row for rows in found.values() for row in rows} == {2, 3, 4, 5, 6, 7}
    call_to = {
        state: CALL_OF[action] for action, state in boot_states.STATE_AFTER.items() if action in CALL_OF
    }
    for before, after in found:
        slot = slot_in(before)
        call(slot, call_to[after])
        assert slot.status().state == after


def test_what_a_row_boots_unmarked_stays_confirmed():
    """Row 7 has no mark of its own: it is found on confirmed slots alone."""
    found = boot_states.transitions()
    confirmed = codes.SLOT_CONFIRMED
    assert [pair for pair, rows in found.items() if 7 in rows] == [(confirmed, confirmed)]


def test_no_mark_leads_out_of_failed():
    """Written behind it or refused: only an erased page forgets a failure."""
    for name in ("mark_written", "mark_pending", "mark_trial", "mark_confirmed", "mark_failed"):
        slot = slot_in(codes.SLOT_FAILED)
        with suppress(StorageError):
            call(slot, name)
        assert slot.status().state == codes.SLOT_FAILED
    slot.withdraw()
    assert slot.status().state == codes.SLOT_EMPTY


def test_a_recovery_fails_what_may_boot():
    """The page lists the states that the boot code asks for."""
    listed = [change.before for change in boot_states.CHANGES if change.call == "mark_failed"]
    assert listed == [bootloader._MAY_BOOT]


def board_in(states, releases):
    """Return a board whose slots hold these releases, in these states."""
    board = Board(verify=verify)
    for name, state in enumerate(states):
        slot = board.put(name, releases[name])
        for mark in CALLS_TO[state][1:]:
            call(slot, mark)
        if state == codes.SLOT_EMPTY:
            slot.withdraw()
        elif state == codes.SLOT_WRITTEN:
            assert slot.status().state == state
    return board


def test_two_slots_boot_what_the_page_says():
    """All 36 pairs of states, in flash, with signed releases: the boot code runs what the grid names."""
    releases = [factory.release(sequence=sequence, version=(sequence,)) for sequence in (2, 3)]
    for states in product(boot_states.STATES, repeat=2):
        _, decision = board_in(states, releases).boot()
        expected = boot_states.outcome(states)
        assert (decision.row, boot_states._what_runs(decision)) == (expected.rows[-1], expected.runs), states


def test_with_the_newer_release_in_a_the_letters_change_places():
    """As the page says of its grid."""
    swapped = str.maketrans("AB", "BA")
    for a, b in product(boot_states.STATES, repeat=2):
        one, other = boot_states.outcome((a, b)), boot_states.outcome((b, a), (2, 1))
        assert one.rows == other.rows
        assert one.runs.translate(swapped) == other.runs


def test_the_diagram_is_mermaid():
    """Each line is an arrow between two states of a slot, and each state but the first is reached."""
    first, start, *arrows = boot_page.diagram().splitlines()
    assert (first, start) == ("stateDiagram-v2", "    [*] --> empty")
    names = set(boot_states.STATES.values())
    found = [re.fullmatch(r"    (\w+) --> (\w+): ([\w, ]+)", arrow) for arrow in arrows]
    assert all(found)
    assert {arrow[1] for arrow in found} == {arrow[2] for arrow in found} == names
