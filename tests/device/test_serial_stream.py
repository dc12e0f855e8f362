"""A connection over the serial line: what TLS reads, writes and polls, and how each end of it is named."""

import asyncio

from serial_peer import Bench

from pawl import codes, line
from pawl.errors import TransportError
from pawl.ports.firmware import net

READABLE, WRITABLE, POLL, CLOSE = 1, 4, 3, 4
PATTERN = bytes(range(251))


def opened(**rest):
    """Return (bench, stream) of a connection that stands."""
    bench = Bench(**rest)
    return bench, asyncio.run(bench.open())


def refusal(bench):
    """Return why a connection isn't opened."""
    try:
        asyncio.run(bench.open())
    except TransportError as error:
        return error.code, error.detail
    return None


def write_all(bench, stream, content):
    """Write it, in turns with the bridge."""
    at = 0
    for _ in range(10 * len(content)):
        at += stream.write(content[at:]) or 0
        bench.bridge.turn()
        if at == len(content) and bench.wire.flush():
            bench.bridge.turn()
            return
    raise AssertionError("stuck at %d" % at)


def read(stream, most=300):
    """Return what one call reads, or what it returns in place of a size."""
    buffer = bytearray(most)
    got = stream.readinto(memoryview(buffer))
    return bytes(buffer[:got]) if got is not None and got > 0 else got


def test_opens_to_where_it_is_told():
    """The bridge learns the target; each connection has another number, never that of provisioning."""
    bench = Bench()
    for target in (line.ANCHORS, line.BROKER):
        asyncio.run(bench.open(target))
    bench.bridge.turn()
    assert bench.bridge.targets == [line.ANCHORS, line.BROKER]
    numbers = [connection for kind, connection, _ in bench.bridge.kinds if kind == line.OPEN]
    assert 0 not in numbers and numbers[0] != numbers[1]
    assert (line.CLOSE, numbers[0], line.ENDED) in bench.bridge.kinds


def test_every_number_follows_every_number():
    """Whatever is random, the next one is another one, from 1 to 255."""
    bench = Bench()
    for value in range(256):
        for before in (0, 1, 128, 255):
            bench.port.random = lambda _, value=value: bytes((value,))
            bench.wire._number = before
            number = bench.wire.new_stream()._end.connection
            assert 1 <= number <= 255 and number != before, (value, before)


def test_carries_bytes_up_in_frames_against_credit():
    """More than the credit waits; a link that takes little at a time tears no frame."""
    bench, stream = opened(most=7, window=2048)
    content = PATTERN * 12
    at = 0
    for _ in range(50):
        at += stream.write(content[at:]) or 0
        bench.bridge.turn()
    assert 2000 < at == len(bench.bridge.came) < 2048
    assert stream.ioctl(POLL, WRITABLE) == 0 and stream.write(b"x") is None
    bench.bridge.grant(2048)
    assert stream.ioctl(POLL, WRITABLE) == WRITABLE
    write_all(bench, stream, content[at:])
    assert bench.bridge.came == content


def test_carries_bytes_down_and_gives_credit_back():
    """Ten windows: the bridge never waits for good, and never has more under way than the window."""
    bench, stream = opened()
    content = PATTERN * 160
    came, sent = b"", 0
    for _ in range(5000):
        sent += bench.bridge.send(content[sent:])
        assert sent - len(came) < net.WINDOW
        piece = read(stream)
        came += piece or b""
        bench.bridge.turn()
    assert came == content


def test_reading_nothing_is_no_end():
    """None until something came; then poll says so too, and what is left stays readable."""
    bench, stream = opened()
    assert read(stream) is None and stream.ioctl(POLL, READABLE) == 0
    bench.bridge.send(b"hello")
    assert stream.ioctl(POLL, READABLE | WRITABLE) == READABLE | WRITABLE
    assert (read(stream, 3), stream.ioctl(POLL, READABLE)) == (b"hel", READABLE)
    assert (read(stream), read(stream)) == (b"lo", None)


def test_credit_behind_data_that_nobody_reads():
    """A writer without credit finds it: the data before it waits in a buffer of its own, all that the window allows."""
    bench, stream = opened(window=512)
    write_all(bench, stream, bytes(501))  # all of the credit
    assert stream.write(PATTERN) is None
    sent = bench.bridge.send(PATTERN * 20)
    assert net.WINDOW - 100 < sent < net.WINDOW
    bench.bridge.grant(512)
    for _ in range(20):
        if stream.ioctl(POLL, WRITABLE):
            break
    write_all(bench, stream, PATTERN)
    came = b""
    while (piece := read(stream)) is not None:
        came += piece
    assert came == (PATTERN * 20)[:sent]


def test_the_server_closed():
    """What came before is read first; then there is no more, and nothing can be written."""
    bench, stream = opened()
    bench.bridge.send(b"goodbye")
    bench.bridge.say(bench.bridge.end.close(line.ENDED))
    assert (read(stream), read(stream), stream.fault) == (b"goodbye", 0, None)
    assert stream.write(b"x") == -104
    assert stream.ioctl(POLL, READABLE | WRITABLE) == READABLE | WRITABLE


def test_the_bridges_reasons_have_words():
    """Each CLOSE but the usual one is a fault of the link, in words."""
    for reason, words in (
        (line.UNREACHABLE, "can't reach"),
        (line.LOST, "bytes were lost"),
        (line.UNKNOWN, "started again"),
        (line.REFUSED, "refuses"),
        (77, "reason 77"),
    ):
        bench, stream = opened()
        bench.bridge.say(bench.bridge.end.close(reason))
        assert read(stream) == -104
        assert stream.fault.code == codes.REASON_LINK_LOST and words in stream.fault.detail, reason


def test_no_bridge():
    """Nobody answers: an error that says so, in bounded time."""
    bench = Bench()
    bench.bridge.is_answering = False
    bench.port.step_ms = 200
    code, detail = refusal(bench)
    assert code == codes.REASON_LINK_LOST and "no bridge answers on the line" in detail
    assert net.OPEN_TIMEOUT_MS <= bench.port.now_ms < 2 * net.OPEN_TIMEOUT_MS


def test_a_blocked_line_is_no_bridge():
    """A line that takes nothing: the same, and nothing hangs."""
    bench = Bench()
    bench.port.step_ms = 200
    bench.link.is_blocked = True
    assert "no bridge" in refusal(bench)[1]


def test_an_open_that_the_bridge_declines():
    """Its reason is the error."""
    bench = Bench()
    bench.bridge.is_answering = False

    async def declined():
        task = asyncio.create_task(bench.open())
        await bench.turn_until(lambda: bench.bridge.end is not None)
        bench.bridge.say(bench.bridge.end.close(line.UNREACHABLE))
        return await task

    try:
        asyncio.run(declined())
        detail = ""
    except TransportError as error:
        detail = error.detail
    assert "can't reach the server" in detail


def test_a_missing_frame_ends_the_connection():
    """The bridge is told, and the reader: nothing behind the gap is delivered."""
    bench, stream = opened()
    bench.bridge.end.data(b"never sent")
    bench.bridge.send(b"behind the gap")
    assert read(stream) == -104 and "bytes were lost" in stream.fault.detail
    bench.bridge.turn()
    assert bench.bridge.kinds[-1] == (line.CLOSE, stream._end.connection, line.LOST)


def test_more_data_than_the_window():
    """A bridge that doesn't keep to the credit is refused before the buffer overflows."""
    bench, stream = opened(window=512)
    write_all(bench, stream, bytes(501))
    bench.bridge.end.credit = 1 << 20
    bench.bridge.send(bytes(2 * net.WINDOW))
    for _ in range(20):
        stream.ioctl(POLL, WRITABLE)  # without credit: looks for it
    assert stream.fault is not None
    assert stream._last <= net.WINDOW


def test_noise_and_half_a_frame():
    """Bytes that are no frame are dropped; half a frame is given up after a while, and the next one is read."""
    bench, stream = opened()
    bench.bridge.say(b"noise \xc5\x3a more")
    bench.bridge.say(line.frame(line.DATA, 9, 0, bytes(600))[:300])
    assert read(stream) is None
    bench.port.now_ms += 600
    read(stream)
    bench.bridge.send(b"after")
    came = [read(stream) for _ in range(4)]
    assert b"after" in came and bench.wire._frames.dropped > 300


def test_a_flood_of_noise_lets_others_run():
    """One look reads a bounded piece of it."""
    bench, stream = opened()
    bench.bridge.link._outgoing[0] = bytes(100000)
    assert stream.ioctl(POLL, READABLE) == 0
    assert bench.link.any() > 90000


def test_a_frame_of_another_connection_is_answered():
    """With CLOSE `unknown`; a CLOSE of another connection isn't answered."""
    bench, stream = opened()
    other = stream._end.connection % 255 + 1
    bench.bridge.say(line.frame(line.DATA, other, 0, b"stale"))
    bench.bridge.say(line.frame(line.CLOSE, other, 1, bytes((line.ENDED,))))
    assert read(stream) is None and read(stream) is None
    bench.bridge.turn()
    closes = [found for found in bench.bridge.kinds if found[0] == line.CLOSE]
    assert closes == [(line.CLOSE, other, line.UNKNOWN)]


def test_close_says_so_once():
    """Through ioctl as TLS does it, or directly; the stream is dead then, and no later one is touched by it."""
    bench, stream = opened()
    assert stream.ioctl(CLOSE, 0) == 0
    stream.close()
    second = asyncio.run(bench.open())
    stream.close()
    assert read(stream) == -104 and stream.write(b"x") == -104
    write_all(bench, second, b"alive")
    closes = [found for found in bench.bridge.kinds if found[0] == line.CLOSE]
    assert (closes, bench.bridge.came) == ([(line.CLOSE, stream._end.connection, line.ENDED)], b"alive")


def test_a_frame_that_was_begun_is_finished_before_the_next_connection():
    """Buffers are shared: what the line hasn't taken of the last frame goes out whole, before OPEN."""
    bench, stream = opened()
    bench.link.most = 40
    stream.write(PATTERN * 2)
    bench.link.is_blocked = True
    stream.close()

    async def reopened():
        task = asyncio.create_task(bench.open())
        await asyncio.sleep(0.01)
        bench.link.is_blocked = False
        return await task

    asyncio.run(reopened())
    assert bench.bridge.came == PATTERN * 2 and bench.bridge.frames.dropped == 0
    assert bench.bridge.kinds[-1][0] == line.OPEN


def test_other_requests_are_invalid():
    """TLS asks for nothing else."""
    assert opened()[1].ioctl(10, 0) == -22
