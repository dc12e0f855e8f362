"""A blank board that is provisioned over its line, with the power cut inside every operation of its flash."""

import asyncio
import sys
from pathlib import Path

import pytest

from pawl import blank
from pawl.errors import StorageError
from pawl.storage import Storage
from pawl_sim import tears
from pawl_sim.flash import NorFlash, PowerCut, State
from pawl_sim.geometry import GEOMETRIES, lay_out

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "device"))

from blank_host import IDENTITY, Board, Host, PowerCutError, frames_of, in_order

TEARS = ("nothing", "half", "tail", "bits", "flicker", "all")
OLD = b"\x5a"
STARTS_MAX = 20


class Bench:
    """A flash part, and what a device on it is to become."""

    def __init__(self, plan):
        self.plan = plan
        self.content = self._content()
        self.script = frames_of(in_order(self.content, plan.regions, bytes([plan.geometry.erased])))

    def _content(self):
        flash = NorFlash(self.plan)
        storage = Storage(flash, self.plan.regions)
        storage.provision(IDENTITY, b"anchor" * 100)
        storage.regions["image_a"].program(0, bytes(range(1, 251)) * 4)
        return bytes(flash.store)

    def flash(self):
        """Return a flash full of something but for identity_a."""
        flash = NorFlash(self.plan)
        start, size = self.plan.regions["identity_a"]
        erased = bytes([self.plan.geometry.erased]) * size
        content = bytearray(OLD * self.plan.size)
        content[start : start + size] = erased
        unit = flash.program_bytes
        used = bytearray(b"\1" * len(flash.used))
        used[start // unit : (start + size) // unit] = bytes(size // unit)
        flash.load(State(bytes(content), bytes(used)))
        return flash

    def start(self, flash):
        """Switch the board on before a host; return whether it became complete."""
        storage, board = Storage(flash, self.plan.regions), Board()
        asyncio.run(blank.serve(board, storage, Host(self.script, is_slow=False), "bench"))
        return board.is_reset

    def cut(self, number, tear):
        """Cut the power in an operation; return what the flash is then, or None if there is no such operation or tear."""
        flash, left = self.flash(), []

        def operating(operation):
            nonlocal number
            number -= 1
            if number < 0:
                is_possible = tear in tears.names(operation)
                left.append(tears.tear(self.plan, flash.save(), operation, tear, 7) if is_possible else None)
                raise PowerCut

        flash.operating = operating
        try:
            return self.start(flash), None
        except PowerCut:
            return False, left[0]

    def settle(self, state):
        """Start the board until it has an identity; return its flash and how often it was blank."""
        flash = NorFlash(self.plan)
        flash.load(state)
        for starts in range(STARTS_MAX):
            if not Storage(flash, self.plan.regions).is_blank():
                return flash, starts
            try:
                assert self.start(flash)
            except (StorageError, PowerCutError):
                continue  # what flickered read as erased once, and then it didn't: the host was told, and gave up
        raise AssertionError("it never gets an identity")

    def require_complete(self, flash):
        """Everything is there."""
        assert Storage(flash, self.plan.regions).identity().device == "one"
        for name, (start, size) in self.plan.regions.items():
            if name != "identity_a":
                assert flash.view(start, size) == self.content[start : start + size], name


@pytest.mark.parametrize("geometry", ["unix", "ecc-16", "mixed", "zero"])
def test_a_cut_inside_any_operation(geometry):
    """Every start afterwards finds a board that is blank, and can be provisioned, or one that is complete."""
    bench = Bench(lay_out(GEOMETRIES[geometry]))
    blanks = [0, 0]
    number, is_over = 0, False
    while not is_over:
        for tear in TEARS:
            is_over, state = bench.cut(number, tear)
            if state is not None:
                flash, starts = bench.settle(state)
                blanks[starts > 0] += 1
                bench.require_complete(flash)
        number += 1
    assert min(blanks) > 0 and number > len(bench.script), (number, blanks)
