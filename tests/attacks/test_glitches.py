"""One line of the boot decision skipped, each in a boot of its own: T49.

What is skipped, and how, is in `skipper`; what boots is the unix board's own `main.run` (`glitched`). By default a sample is
run that has every line of code in it; with PAWL_GLITCHES=all every line each time that it runs.
"""

import os
from collections import Counter

import factory
import pytest
import templates
from board import Board
from glitched import GlitchBench
from skipper import Tape, Traced, name_of, skip
from target import put_anchor, verify

from pawl import cbor, codes
from pawl.flash import MemoryFlash
from pawl.ports.unix import layout

GOOD = factory.IMAGE
NEXT = templates.OTHER
DATA = templates.DATA
BAD = b"what nobody trusted signed " * 100
STRANGERS = [factory.TestKey(number) for number in (201, 202, 203, 204, 205)]
# Of a line that runs often, so many of its runs are skipped in a sample: the first ones, the last ones, some between.
_SAMPLED = 3
IS_WHOLE = os.environ.get("PAWL_GLITCHES") == "all"


class UnixBoard(Board):
    """A board with the unix board's flash, booted once: the ratchet names release and anchor."""

    regions = layout.REGIONS

    def __init__(self, *, is_booted=True, **changes):
        super().__init__(flash=MemoryFlash(layout.FLASH_BYTES, 4096, 32), verify=verify, **changes)
        if is_booted:
            self.boot()

    def pending(self, raw):
        """Put a release into slot B that the next boot may try."""
        slot = self.put(1, raw)
        slot.mark_pending()
        return slot

    def confirmed(self, raw):
        """Put a release into slot B as the one that runs."""
        self.pending(raw).mark_trial()
        self.storage.slots[1].mark_confirmed()
        self.boot()


def _next(image=NEXT, signers=(factory.RELEASE,)):
    return factory.release(sequence=2, version=(2,), image=image, signers=signers)


def confirmed_and_corrupt_other_good():
    """The newer of two confirmed slots has a flipped bit."""
    board = UnixBoard()
    board.confirmed(_next())
    board.flip("image_b", 100)
    return board


def confirmed_and_corrupt_other_empty():
    """The only slot has a flipped bit."""
    board = UnixBoard()
    board.flip("image_a", 100)
    return board


def corrupt_at_the_first_boot():
    """The factory's slot has a flipped bit before the ratchet names anything."""
    board = UnixBoard(is_booted=False)
    board.flip("image_a", 100)
    return board


def pending_and_corrupt():
    """The slot to be tried has a flipped bit."""
    board = UnixBoard()
    board.pending(_next())
    board.flip("image_b", 100)
    return board


def pending_with_corrupt_data():
    """The slot to be tried has a good application and data with a flipped bit."""
    board = UnixBoard()
    board.pending(templates.release(templates.with_data(NEXT, DATA, 2, (2,)), (NEXT, DATA)))
    board.flip("data_b", 100)
    return board


def a_strangers_release_pending():
    """Written to flash from outside, with the marks of an install."""
    board = UnixBoard()
    board.pending(_next(BAD, (factory.STRANGER,)))
    return board


def a_strangers_release_confirmed():
    """Written to flash from outside, with the marks of a release that ran."""
    board = UnixBoard()
    board.confirmed(_next(BAD, (factory.STRANGER,)))
    return board


def a_release_without_signatures():
    """As before, with no signature at all."""
    board = UnixBoard()
    board.pending(_next(BAD, ()))
    return board


def one_signature_of_two():
    """One key of a threshold of two signed."""
    board = UnixBoard(
        anchor_values=factory.anchor_values(2),
        factory_release=factory.release(sequence=1, signers=(factory.RELEASE, factory.SECOND)),
    )
    board.pending(_next(BAD))
    return board


def a_strangers_anchor():
    """A stranger's anchor as the next version in both copies, and a release under it: the ratchet names ours."""
    board = UnixBoard()
    values = factory.anchor_values()
    values[codes.ANCHOR_VERSION] = 2
    values[codes.ANCHOR_KEYS] = [key.encoded() for key in STRANGERS]
    put_anchor(board, factory.anchor_file(values, (STRANGERS[0],)))
    board.pending(_next(BAD, (STRANGERS[2],)))
    return board


def a_strangers_anchor_and_confirmed():
    """As before, with both slots the stranger's and confirmed."""
    board = a_strangers_anchor()
    board.put(0, factory.release(sequence=3, image=BAD, signers=(STRANGERS[2],))).mark_confirmed()
    board.storage.slots[1].mark_confirmed()
    return board


def barred():
    """A release that the anchor in force bars, confirmed."""
    board = UnixBoard()
    raw = _next(BAD)
    board.confirmed(raw)
    digest = board.storage.slots[1].status().digest
    anchor = factory.anchor_of(2, barred=[digest])
    board.boot()[0].anchors.accept(anchor)
    return board


def of_another_class():
    """Signed, for another class of devices."""
    board = UnixBoard()
    values = factory.manifest_values(2, (2,), BAD)
    shared = values[codes.MANIFEST_COMMON][codes.COMMON_SHARED_SEQUENCE]
    shared[1][codes.PARAMETER_CLASS] = b"\x33" * 16
    board.pending(templates.release(values, (BAD,)))
    return board


def failed():
    """A good image that failed: weaker, it was signed."""
    board = UnixBoard()
    board.pending(_next()).mark_failed(codes.REASON_APP_CRASHED)
    return board


def three_trials_used():
    """A good image that had its trials: weaker, it was signed."""
    board = UnixBoard()
    slot = board.pending(_next())
    for _ in range(3):
        slot.mark_trial()
    return board


WORLDS = (
    confirmed_and_corrupt_other_good,
    confirmed_and_corrupt_other_empty,
    corrupt_at_the_first_boot,
    pending_and_corrupt,
    pending_with_corrupt_data,
    a_strangers_release_pending,
    a_strangers_release_confirmed,
    a_release_without_signatures,
    one_signature_of_two,
    a_strangers_anchor,
    a_strangers_anchor_and_confirmed,
    barred,
    of_another_class,
)
SIGNED_WORLDS = (failed, three_trials_used)
SIGNED = {"/app": (GOOD, NEXT), "/data": (DATA,)}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """The unix board, its lines ready to be skipped."""
    bench = GlitchBench(tmp_path_factory.mktemp("board"))
    bench.traced = Traced(bench.modules())
    yield bench
    bench.traced.close()
    bench.close()


def sampled(hits):
    """Return the lines to be skipped: every one, or of each line the first, the last and some between."""
    if IS_WHOLE:
        return hits
    runs = Counter((hit.code, hit.line) for hit in hits)
    chosen = []
    for hit in hits:
        count = runs[hit.code, hit.line]
        if hit.hit * (_SAMPLED - 1) % max(count - 1, 1) < _SAMPLED - 1:
            chosen.append(hit)
    return chosen


class Glitches:
    """All glitched boots of one flash, and what they came to."""

    def __init__(self, bench, board):
        self.bench = bench
        self.start = bytes(board.flash.store)
        self.counts = Counter()
        self.refused = Counter()
        self.bad = []
        self.other = []
        bench.content[:] = self.start
        tape = Tape(bench.traced, bench.boot)
        self.clean = dict(bench.mounted.images)
        self.after = bytes(bench.content)
        self.hits = tape.hits

    def run(self):
        """Skip each line that was chosen, in each way, and judge what ran."""
        for hit in sampled(self.hits):
            for target in self.bench.traced.targets_of(hit):
                self._one(hit, target)
            self.counts["in expressions"] += not self.bench.traced.targets_of(hit)
        return self

    def _one(self, hit, target):
        self.bench.content[:] = self.start
        outcome, refusal = skip(hit, target, self.bench.boot)
        self.counts["refused" if refusal else "skipped"] += 1
        if refusal:
            self.refused[name_of(hit), target.kind, refusal] += 1
        self.counts["crashes"] += outcome is not None
        self._judge(hit, target, "at once")
        if self.bench.content[:] != self.after:
            self.bench.boot()  # whatever the glitch left in flash, a boot without one is not taken in by it
            self.counts["second boots"] += 1
            self._judge(hit, target, "at the next boot")

    def _judge(self, hit, target, when):
        images = self.bench.mounted.images
        if any(image not in SIGNED[place] for place, image in images.items()):
            self.bad.append((name_of(hit), hit.hit, target.kind, when))
        elif images not in ({}, self.clean):
            self.other.append((name_of(hit), hit.hit, target.kind, when))


if __name__ == "__main__":
    import sys, time, tempfile, pathlib
    bench = GlitchBench(pathlib.Path(tempfile.mkdtemp()))
    bench.traced = Traced(bench.modules())
    for world in WORLDS + SIGNED_WORLDS:
        t = time.time()
        g = Glitches(bench, world())
        print(world.__name__, len(g.hits), len(set((h.code,h.line) for h in g.hits)), {k:len(v) for k,v in g.clean.items()}, flush=True)
        g.run()
        print("  ", dict(g.counts), "bad", len(g.bad), "other", len(g.other), "%.1f s" % (time.time()-t))
        for b in sorted(set((n,k,w) for n,_,k,w in g.bad)): print("      BAD", b)
        for b in sorted(set((n,k,w) for n,_,k,w in g.other)): print("      other", b)
        for r,c in g.refused.most_common(8): print("      refused", c, r)
