"""Provisioning of a blank board over its line: what it takes, what it refuses, and what a cut leaves."""

import asyncio

from blank_host import IDENTITY, Board, Host, PowerCutError, frames_of, in_order, payload
from support import refused

from pawl import blank, codes, line
from pawl.flash import MemoryFlash
from pawl.storage import Storage

SECTOR = 4096
NAMES = (
    "page_a identity_a anchor_a anchor_b identity_b ratchet boots quarantine clock log envelope_a page_b"
    " envelope_b image_a image_b"
).split()
REGIONS = {name: (number * SECTOR, SECTOR) for number, name in enumerate(NAMES)}
SIZE = len(NAMES) * SECTOR


def written(values=None):
    """Return the content of a provisioned flash."""
    flash = MemoryFlash(SIZE)
    storage = Storage(flash, REGIONS)
    storage.provision(values or IDENTITY, b"anchor" * 100)
    storage.regions["image_a"].program(0, bytes(3000))
    return bytes(flash.store)


def served(flash, script, is_slow=True):
    """Serve a script; return (board, host)."""
    board, host = Board(), Host(script, is_slow)
    try:
        asyncio.run(blank.serve(board, Storage(flash, REGIONS), host, "bench"))
    except PowerCutError:
        pass
    return board, host


def test_a_blank_board_becomes_what_was_written():
    """It says its name, answers every span, and resets when it is complete."""
    flash, content = MemoryFlash(SIZE), written()
    board, host = served(flash, frames_of(in_order(content, REGIONS)))
    assert board.is_reset and flash.store == content
    assert host.heard[0] == (line.BLANK, b"bench") and host.heard[-1] == (line.DONE, b"")
    answers = [(kind, said) for kind, said in host.heard[1:-1]]
    assert answers == [(line.WRITTEN, payload(offset, b"")) for offset, _ in in_order(content, REGIONS)]


def test_what_is_in_the_way_is_erased_first():
    """All of it, also where nothing is written; the board gives signs of life meanwhile."""
    flash, content = MemoryFlash(SIZE), written()
    for name in NAMES:
        if name != "identity_a":
            flash.program(REGIONS[name][0] + 1024, bytes(32))
    board, host = served(flash, frames_of(in_order(content, REGIONS)))
    assert [kind for kind, _ in host.heard].count(line.BLANK) == len(NAMES)
    assert board.is_reset and flash.store == content


def test_a_board_with_an_identity_takes_nothing():
    """One byte of the first identity region is enough; not even a frame is read."""
    for place in (0, SECTOR // 2, SECTOR - 32):
        flash = MemoryFlash(SIZE)
        flash.program(REGIONS["identity_a"][0] + place, b"\xfe" + b"\xff" * 31)
        before = bytes(flash.store)
        assert not Storage(flash, REGIONS).is_blank()
        assert refused(served, flash, frames_of(in_order(written(), REGIONS))) == codes.REASON_FLASH_PROGRAM
        assert flash.store == before


def test_every_frame_may_come_twice():
    """A lost answer is asked for again: nothing is hashed or programmed twice."""
    flash, content = MemoryFlash(SIZE), written()
    script = frames_of(in_order(content, REGIONS))
    board, host = served(flash, [frame + frame for frame in script])
    assert board.is_reset and flash.store == content
    assert [kind for kind, _ in host.heard].count(line.WRITTEN) == 2 * (len(script) - 1)


def test_noise_is_no_frame():
    """Bytes between frames, and a frame of which some were lost, don't matter."""
    flash, content = MemoryFlash(SIZE), written()
    script = frames_of(in_order(content, REGIONS))
    script[0] = b"\xc5\x3a\x11noise" + script[0][:200] + script[0] + script[0]
    assert served(flash, script)[0].is_reset
    assert flash.store == content


def faults(script):
    """Serve a script; return (what the board said in FAULTs, flash): it isn't complete, and blank."""
    flash = MemoryFlash(SIZE)
    board, host = served(flash, script)
    assert not board.is_reset and Storage(flash, REGIONS).is_blank()
    assert line.DONE not in [kind for kind, _ in host.heard]
    return [said.decode() for kind, said in host.heard if kind == line.FAULT], flash


def test_spans_that_fit_nowhere():
    """Outside of the flash, over a region's end, not in whole units, and empty."""
    for offset, size in (
        (SIZE, 32),
        (0xFFFFFFE0, 32),
        (SECTOR * 3 - 32, 64),
        (16, 32),
        (0, 33),
        (0, 0),
    ):
        said, flash = faults([line.frame(line.WRITE, 0, 0, payload(offset, bytes(size)))])
        assert len(said) == 1 and "no region" in said[0], (offset, size)
        assert flash.store == b"\xff" * SIZE


def test_identity_a_is_never_taken():
    """Neither first nor last; the board copies it."""
    content = written()
    start = REGIONS["identity_a"][0]
    span = (start, content[start : start + 992])
    for parts in ([span], in_order(content, REGIONS) + [span]):
        said, _ = faults(frames_of(parts)[:-1])
        assert len(said) == 1 and "by the board alone" in said[0]


def test_order_is_kept():
    """Nothing behind identity_b but identity_b, nothing back, nothing over another."""
    parts = in_order(written(), REGIONS)
    for bad in (
        parts + parts[:1],
        parts + [(REGIONS["image_b"][0], bytes(32))],
        [parts[1], parts[0]],
        parts[:2] + parts[:1],
        [parts[0], (parts[0][0], bytes(32))],
        [(parts[0][0], bytes(64)), (parts[0][0] + 32, bytes(32))],
    ):
        said, _ = faults(frames_of(bad)[:-1])
        assert len(said) == 1 and "out of order" in said[0]


def test_done_is_for_what_was_written():
    """Another digest, no digest, a span left out, and DONE before anything."""
    script = frames_of(in_order(written(), REGIONS))
    wrong = line.frame(line.DONE, 0, 0, bytes(32))
    none = line.frame(line.DONE, 0, 0, b"")
    for bad in (script[:-1] + [wrong], script[:-1] + [none], script[1:], script[:-2] + script[-1:]):
        said, _ = faults(bad)
        assert said and "digest" in said[0]
    said, flash = faults(script[-1:])
    assert len(said) == 1 and "nothing was written" in said[0]
    assert flash.store == b"\xff" * SIZE


def test_an_identity_that_is_none_completes_nothing():
    """The record has to be whole, whatever the digest says."""
    content = bytearray(written())
    content[REGIONS["identity_b"][0] + 100] ^= 1
    said, _ = faults(frames_of(in_order(bytes(content), REGIONS)))
    assert len(said) == 1 and "identity" in said[0]
    said, _ = faults(frames_of(in_order(bytes(content), REGIONS)[:2]))
    assert len(said) == 1 and "identity" in said[0]


def test_flash_that_does_not_keep_is_told():
    """In the board's words; it stays blank."""
    flash = MemoryFlash(SIZE)
    flash.program = lambda offset, data: None
    board, host = served(flash, frames_of(in_order(written(), REGIONS))[:1])
    assert (line.FAULT, b"flash did not keep what was programmed") in host.heard
    assert not board.is_reset


def test_a_fault_begins_anew():
    """After it, spans from the first one on make the board complete."""
    flash, content = MemoryFlash(SIZE), written()
    script = frames_of(in_order(content, REGIONS))
    board, host = served(flash, script[:3] + script[:1] + script)
    assert line.FAULT in [kind for kind, _ in host.heard]
    assert board.is_reset and flash.store == content


class CutFlash(MemoryFlash):
    """A flash whose power goes in its operation number `last`, of which only the first half is done."""

    def __init__(self, last, store):
        self.left = 1000000
        super().__init__(SIZE)
        self.store[:] = store
        self.left = last

    def program(self, offset, data):
        self._count(lambda: MemoryFlash.program(self, offset, data[: len(data) // 64 * 32]))
        MemoryFlash.program(self, offset, data)

    def erase(self, offset):
        self._count(lambda: self._halve(offset))
        MemoryFlash.erase(self, offset)

    def _halve(self, offset):
        self.store[offset : offset + SECTOR // 2] = b"\xff" * (SECTOR // 2)

    def _count(self, torn):
        if self.left == 0:
            torn()
            raise PowerCutError
        self.left -= 1


def test_a_cut_at_any_operation():
    """A board is blank still, and then made complete, or it is complete; also over what another content left."""
    content, other = written(), bytearray(written(dict(IDENTITY, device="two")))
    start = REGIONS["identity_a"][0]
    other[start : start + SECTOR] = b"\xff" * SECTOR
    for before in (b"\xff" * SIZE, bytes(other)):
        ends = [0, 0]
        while not is_provisioned(CutFlash(sum(ends), before), content, ends):
            pass
        assert min(ends) > 1, ends


def is_provisioned(flash, content, ends):
    """Provision until the cut; count in `ends` how it left the board, which must be fit for use; return whether it came."""
    script = frames_of(in_order(content, REGIONS))
    board, _ = served(flash, script, False)
    storage = Storage(flash, REGIONS)
    is_blank = storage.is_blank()
    ends[is_blank] += 1
    if is_blank:
        again = CutFlash(1000000, flash.store)
        assert served(again, script, False)[0].is_reset and again.store == content, ends
    else:
        start = REGIONS["identity_a"][0]
        assert storage.identity().device == "one", ends
        assert flash.store[:start] == content[:start], ends
        assert flash.store[start + SECTOR :] == content[start + SECTOR :], ends
    return board.is_reset
