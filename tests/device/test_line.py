"""Frames of a serial line and both ends of a connection over them; runs on both interpreters."""

from pawl import line

SMALL = line.frame(line.DATA, 7, 3, b"hello, line")


class Chance:
    """Numbers from a seed, the same on both interpreters."""

    def __init__(self, seed):
        self._state = seed

    def below(self, limit):
        """Return 0 to limit - 1."""
        self._state = (self._state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self._state >> 8) % limit

    def bytes(self, count):
        """Return so many bytes, magic ones more often than others."""
        return bytes((0xC5, 0x3A, self.below(256))[self.below(3)] for _ in range(count))


def feed(frames, data):
    """Return what is found when these bytes come in, payloads copied."""
    found = []
    rest = memoryview(data)
    while rest:
        room = frames.room()
        count = min(len(room), len(rest))
        assert count, "no room after everything was taken"
        room[:count] = rest[:count]
        frames.add(count)
        rest = rest[count:]
        found += taken(frames)
    return found


def taken(frames):
    """Return every whole frame that is held."""
    found = []
    while (one := frames.next()) is not None:
        found.append((one[0], one[1], one[2], bytes(one[3])))
    return found


def reach(end, frame):
    """Give a frame to an end; return whether it was accepted, and the payload's size."""
    ((kind, connection, sequence, payload),) = feed(line.Frames(), bytes(frame))
    assert connection == end.connection
    return end.note(kind, sequence, payload), len(payload)


def joined(board_window=100, bridge_window=200):
    """Return both ends of a connection that stands."""
    board, bridge = line.End(9, board_window), line.End(9, bridge_window)
    assert reach(bridge, board.open(line.BROKER))[0]
    assert reach(board, bridge.opened())[0]
    return board, bridge


def test_a_frame_is_the_bytes_of_the_protocol():
    """Written out by hand; the check is that of zlib's crc32."""
    assert (
        line.frame(line.OPEN, 7, 0, b"\x01\x04\x0b") == b"\xc5\x3a\x01\x07\x00\x00\x03\x01\x04\x0b\x8c\xe68,"
    )
    assert line.frame(line.CLOSE, 255, 255, b"\x03") == b"\xc5\x3a\x05\xff\xff\x00\x01\x03u|\x91\x96"


def test_frames_of_every_length_come_through_in_any_pieces():
    """Whole, byte by byte, and in pieces of chance; nothing is dropped."""
    chance = Chance(1)
    sent = [
        (n % 6, n % 256, n * 7 % 256, chance.bytes(size))
        for n, size in enumerate((0, 1, 2, 10, 1023, 1024) * 3)
    ]
    stream = b"".join(line.frame(*one) for one in sent)
    assert feed(line.Frames(), stream) == sent
    frames = line.Frames()
    found = []
    at = 0
    while at < len(stream):
        size = 1 + chance.below(50)
        found += feed(frames, stream[at : at + size])
        at += size
    assert found == sent and frames.dropped == 0 and not frames.is_partial()


def test_a_payload_that_is_too_long_is_our_own_fault():
    """An AssertionError, before a byte is written."""
    buffer = bytearray(line.FRAME_MAX + 10)
    try:
        line.frame_into(buffer, line.DATA, 1, 0, bytes(line.PAYLOAD_MAX + 1))
    except AssertionError:
        assert not any(buffer)
        return
    raise AssertionError("it was taken")


def test_every_flipped_bit_is_noticed():
    """No frame with one wrong bit is taken, and the whole one behind it always is, at the latest after a silence."""
    after = (line.CLOSE, 7, 4, b"\x00")
    for bit in range(8 * len(SMALL)):
        wrong = bytearray(SMALL)
        wrong[bit // 8] ^= 1 << (bit % 8)
        frames = line.Frames()
        found = feed(frames, bytes(wrong) + line.frame(*after))
        if frames.is_partial():
            frames.forget()
            found += taken(frames)
        assert found == [after], bit
        assert frames.dropped == len(SMALL), bit


def test_a_frame_that_is_cut_anywhere_costs_itself_alone():
    """Its sender was reset in it: what comes next is found, at the latest after a silence, wherever the cut was."""
    after = [(line.OPEN, 8, 0, b"\x01\x04\x0b"), (line.DATA, 8, 1, bytes(200))]
    for cut in range(1, len(SMALL)):
        for behind in (after[:1], after):
            frames = line.Frames()
            found = feed(frames, SMALL[:cut] + b"".join(line.frame(*one) for one in behind))
            if frames.is_partial():
                frames.forget()
                found += taken(frames)
            assert found == behind, cut
            assert frames.dropped == cut, cut


def test_a_length_that_lies_holds_back_no_more_than_itself():
    """A head that promises 1024 bytes: the frames that stand where its payload should are found."""
    lying = b"\xc5\x3a\x03\x07\x00\x04\x00"
    inside = [(line.DATA, 7, n, bytes(40)) for n in range(30)]
    frames = line.Frames()
    assert feed(frames, lying + b"".join(line.frame(*one) for one in inside)) == inside
    assert frames.dropped == len(lying)


def test_a_length_above_the_limit_is_no_frame():
    """1025 bytes and more are dropped at once, whatever the check says."""
    for size in (1025, 0x7FFF, 0xFFFF):
        frames = line.Frames()
        assert feed(frames, b"\xc5\x3a\x03\x07\x00" + size.to_bytes(2, "big") + b"\0" * 10 + SMALL)
        assert frames.dropped == 17


def test_forget_leaves_nothing_of_what_has_begun():
    """Half a frame, one byte, a lone magic byte: after a silence nothing is held."""
    for held in (SMALL[:-1], SMALL[:1], SMALL[:2], b"x", SMALL[:9] + SMALL[:9]):
        frames = line.Frames()
        assert feed(frames, held) == []
        frames.forget()
        assert not frames.is_partial() and frames.dropped == len(held)
        assert feed(frames, SMALL) == [(line.DATA, 7, 3, b"hello, line")]


def test_forget_with_nothing_held_does_nothing():
    """Also right behind a frame that was taken."""
    frames = line.Frames()
    frames.forget()
    assert feed(frames, SMALL)
    frames.forget()
    assert frames.dropped == 0 and feed(frames, SMALL)


def test_noise_between_frames_is_dropped_and_counted():
    """Fixed seeds: runs of bytes with many magic ones in front of, between and behind frames; none is invented."""
    for seed in range(40):
        chance = Chance(seed)
        sent = [(line.DATA, 5, n, chance.bytes(chance.below(60))) for n in range(6)]
        stream, noise = b"", 0
        for one in sent:
            junk = chance.bytes(chance.below(90))
            noise += len(junk)
            stream += junk + line.frame(*one)
        frames = line.Frames()
        found = feed(frames, stream)
        while frames.is_partial():
            frames.forget()
            found += taken(frames)
        assert found == sent, seed
        assert frames.dropped == noise, seed


def test_damaged_streams_never_give_what_was_not_sent():
    """Fixed seeds: bytes flipped, left out, and put in; what is found was sent, in its order."""
    for seed in range(60):
        chance = Chance(1000 + seed)
        sent = [(line.DATA, 5, n, chance.bytes(chance.below(80))) for n in range(12)]
        stream = bytearray(b"".join(line.frame(*one) for one in sent))
        for _ in range(5):
            at = chance.below(len(stream) - 1)
            how = chance.below(3)
            if how == 0:
                stream[at] ^= 1 + chance.below(255)
            elif how == 1:
                stream = stream[:at] + stream[at + 1 :]
            else:
                stream = stream[:at] + chance.bytes(1) + stream[at:]
        frames = line.Frames()
        found = feed(frames, bytes(stream))
        while frames.is_partial():
            frames.forget()
            found += taken(frames)
        order = [sent.index(one) for one in found]
        assert order == sorted(order), seed
        assert len(found) >= 12 - 2 * 5, seed


def test_a_connection_opens_and_carries_both_ways():
    """The first credit is the other side's window; every frame costs what it is long."""
    board, bridge = joined(board_window=100, bridge_window=2000)
    assert (board.credit, bridge.credit) == (2000, 100)
    assert (board.room(), bridge.room()) == (1024, 89)
    assert reach(bridge, board.data(b"x" * 1024)) == (True, 1024)
    assert board.credit == 2000 - 1035
    assert reach(board, bridge.data(b"y" * 89)) == (True, 89)
    assert bridge.room() == -11


def test_a_gap_ends_a_connection():
    """A frame that is missing, comes twice, or comes from another beginning isn't accepted."""
    for step in (-1, 1, 2, 128, 255):
        _, bridge = joined()
        assert not bridge.note(line.DATA, (1 + step) & 255, b"x"), step
    _, bridge = joined()
    assert bridge.note(line.DATA, 1, b"x")


def test_numbers_go_on_after_255():
    """600 frames, each of them in order."""
    board, bridge = joined(bridge_window=100)
    for n in range(600):
        assert board.room() > 0, n
        accepted, size = reach(bridge, board.data(b"abc"))
        assert accepted, n
        if (credit := bridge.consumed(size)) is not None:
            assert reach(board, credit)[0], n


def test_data_beyond_the_credit_is_not_accepted():
    """A side that sends more than it was given has no place on the line: the other one has no room for it."""
    board, bridge = joined(bridge_window=50)
    assert reach(bridge, board.data(b"x" * 39))[0]
    assert board.room() == -11
    assert not reach(bridge, board.data(b""))[0]
    _, bridge = line.End(9, 50), line.End(9, 50)
    assert bridge.note(line.OPEN, 0, b"\x01\x00\x64")
    assert not bridge.note(line.DATA, 1, b"before it was opened")


def test_frames_that_make_no_sense_are_not_accepted():
    """Wrong lengths, kinds of provisioning, kinds that don't exist."""
    table = (
        (line.OPEN, b""),
        (line.OPEN, b"\x01\x00"),
        (line.OPEN, b"\x01\x00\x00\x00"),
        (line.OPENED, b"\x00"),
        (line.CREDIT, b""),
        (line.CREDIT, b"\x00\x00\x00"),
        (line.CLOSE, b""),
        (line.CLOSE, b"\x00\x00"),
        (0, b""),
        (6, b""),
        (line.BLANK, b"virt"),
        (line.WRITE, b"\x00\x00\x00\x00x"),
        (255, b""),
    )
    for kind, payload in table:
        assert not line.End(9, 100).note(kind, 0, payload), kind
    assert line.End(9, 100).note(line.CLOSE, 0, b"\x00")


def test_credit_is_given_back_in_halves_of_a_window():
    """Not for each frame, and exactly what was used, overhead included."""
    _, bridge = joined(bridge_window=100)
    assert bridge.consumed(20) is None
    ((kind, _, _, payload),) = feed(line.Frames(), bytes(bridge.consumed(10)))
    assert (kind, payload) == (line.CREDIT, b"\x00\x34")
    assert bridge.consumed(20) is None


def test_two_sides_never_wait_for_each_other():
    """Fixed seeds, windows from 12 bytes on: whatever the sizes, used-up data always makes room for more."""
    for seed in range(60):
        chance = Chance(5000 + seed)
        window = 12 + chance.below(60 if seed % 2 else 3000)
        board, bridge = joined(bridge_window=window)
        unused, carried = [], 0
        for _ in range(300):
            room = board.room()
            if room > 0 and (chance.below(2) or not unused):
                accepted, size = reach(bridge, board.data(bytes(1 + chance.below(room))))
                assert accepted
                unused.append(size)
                carried += size
            else:
                assert unused, "no room, and nothing to use up"
                if (credit := bridge.consumed(unused.pop(0))) is not None:
                    assert reach(board, credit)[0]
            assert sum(unused) + 11 * len(unused) <= window
        assert carried > 0


def test_reasons_have_names():
    """One each, in the order of their numbers."""
    for number, name in ((line.ENDED, "ended"), (line.UNREACHABLE, "unreachable"), (line.LOST, "lost")):
        assert line.REASON_NAMES[number] == name
    assert (line.REASON_NAMES[line.UNKNOWN], line.REASON_NAMES[line.REFUSED]) == ("unknown", "refused")
