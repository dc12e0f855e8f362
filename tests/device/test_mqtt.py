"""The MQTT client against a scripted server; runs on both interpreters."""

import asyncio

from mqtt_peer import CONNACK, Clock, Peer, publish, standard_answer
from pawl import codes
from pawl import mqtt_codec as codec
from pawl.errors import TransportError
from pawl.mqtt import Client


class Session:
    """A connected client with its reader running; what it received is in `messages`."""

    def __init__(self, peer, keepalive_s=60, packet_max_bytes=64):
        self.peer = peer
        self.clock = Clock()
        self.messages = []
        self.client = Client(
            peer, "bench-1", keepalive_s, bytearray(packet_max_bytes), self._on_message, self.clock
        )
        self.client.ack_timeout_s = 5
        self.ended = None

    async def _on_message(self, topic, payload, retained):
        self.messages.append((topic, bytes(payload), retained))

    async def open(self):
        """Connect, and start the reader."""
        await self.client.connect()
        self._reader = asyncio.create_task(self._run())

    async def _run(self):
        try:
            await self.client.run()
        except Exception as error:
            self.ended = error

    async def end(self):
        """Return what `run` raised."""
        await asyncio.wait_for(self._reader, 5)
        return self.ended


async def _session(peer, keepalive_s=60, packet_max_bytes=64):
    session = Session(peer, keepalive_s, packet_max_bytes)
    await session.open()
    return session


async def _until(fact):
    for _ in range(500):
        if fact():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("waited too long")


async def _refusal(call):
    try:
        await call
    except TransportError as error:
        return error.code, error.detail
    return None


def test_connect_publish_subscribe_and_messages_in_every_cut():
    """A whole session, with the server's bytes in pieces of 1, 2, 3, 7 and all at once."""

    async def scenario(piece):
        peer = Peer(piece)
        session = await _session(peer)
        await session.client.subscribe(["t/a", "t/+"], 1)
        await session.client.publish("t/up", b"hello")
        await session.client.publish("t/up", memoryview(b"zero"), 0)
        await session.client.unsubscribe(["t/a"])
        peer.feed(publish("t/a", b"one") + publish("t/b", b"two", 7, 1) + publish("t/c", b""))
        await _until(lambda: len(session.messages) == 3 and len(peer.sent) == 6)
        assert session.messages == [("t/a", b"one", False), ("t/b", b"two", True), ("t/c", b"", False)]
        assert peer.sent == [
            codec.encode_connect("bench-1", 60),
            codec.encode_subscribe(1, ["t/a", "t/+"], 1),
            codec.encode_publish("t/up", b"hello", 1, 2),
            codec.encode_publish("t/up", b"zero", 0, 0),
            codec.encode_unsubscribe(3, ["t/a"]),
            codec.encode_puback(7),
        ]
        await session.client.disconnect()
        assert peer.sent[-1] == codec.DISCONNECT_PACKET and peer.is_closed
        assert (await session.end()).detail == "disconnected by us"

    for piece in (1, 2, 3, 7, 1000000):
        asyncio.run(scenario(piece))


def test_a_refused_connection_names_its_reason():
    """CONNACK with a return code is `link-refused`; anything else in its place is a lost link."""
    table = (
        (b"\x20\x02\x00\x05", codes.REASON_LINK_REFUSED),
        (b"\x20\x02\x01\x00", codes.REASON_LINK_LOST),
        (b"\xd0\x00", codes.REASON_LINK_LOST),
        (b"\x30\x05\x00\x01txx", codes.REASON_LINK_LOST),
        (b"HTTP/1.1 400", codes.REASON_LINK_LOST),
    )

    async def scenario(answer):
        return await _refusal(Session(Peer(1, lambda _: answer)).client.connect())

    for answer, code in table:
        assert asyncio.run(scenario(answer))[0] == code, answer


def test_a_server_that_closes_or_keeps_silent_in_the_connect():
    """The end of the stream is `link-lost`, silence is `link-timeout`."""

    async def scenario(closes):
        peer = Peer(1, lambda _: peer.close() if closes else None)
        session = Session(peer)
        session.client.ack_timeout_s = 0.05
        return (await _refusal(session.client.connect()))[0]

    assert asyncio.run(scenario(False)) == codes.REASON_LINK_TIMEOUT
    assert asyncio.run(scenario(True)) == codes.REASON_LINK_LOST


def test_an_oversized_message_costs_neither_the_link_nor_memory():
    """Read away in pieces, counted, acknowledged at QoS 1, also if its topic alone is larger than the buffer."""
    long_topic = "t/" + "x" * 200
    table = (
        (publish("t/big", bytes(300)), b""),
        (publish("t/big", bytes(300), 9), codec.encode_puback(9)),
        (publish(long_topic, b"", 513), codec.encode_puback(513)),
        (publish(long_topic, bytes(70000)), b""),
    )

    async def scenario(piece, packet, acknowledgement):
        peer = Peer(piece)
        session = await _session(peer)
        peer.feed(publish("t/a", b"before") + packet + publish("t/a", b"behind"))
        await _until(lambda: len(session.messages) == 2)
        assert session.messages == [("t/a", b"before", False), ("t/a", b"behind", False)]
        assert session.client.oversized == 1
        assert peer.sent[1:] == ([acknowledgement] if acknowledgement else [])
        await session.client.disconnect()
        await session.end()

    for packet, acknowledgement in table:
        for piece in (1, 5, 1000000) if len(packet) < 1000 else (50, 1000000):
            asyncio.run(scenario(piece, packet, acknowledgement))


def test_a_message_that_just_fits_is_delivered():
    """Exactly `packet_max_bytes` of body is no oversize; one more is."""

    async def scenario():
        peer = Peer(3)
        session = await _session(peer)
        peer.feed(publish("t/a", bytes(59)) + publish("t/a", bytes(60)) + publish("t/a", b"z"))
        await _until(lambda: len(session.messages) == 2)
        assert [len(payload) for _, payload, _ in session.messages] == [59, 1]
        assert session.client.oversized == 1
        await session.client.disconnect()
        await session.end()

    asyncio.run(scenario())


def test_malformed_packets_end_the_link():
    """Whatever the server must not send: the reader stops, nothing of it is delivered, and all who wait learn it."""
    table = (
        b"\x34\x05\x00\x01t\x00\x01",  # QoS 2
        b"\x36\x05\x00\x01t\x00\x01",  # QoS 3
        b"\x10\x00",  # a client's packet
        b"\xf0\x00",
        b"\x62\x02\x00\x01",  # PUBREL
        b"\x30\x80\x80\x80\x80\x01",  # remaining length
        b"\x30\x80\x00",
        b"\x40\x03\x00\x01\x00",  # PUBACK too long
        b"\x40\x02\x00\x00",
        b"\x90\x03\x00\x01\x02",  # SUBACK grants QoS 2
        b"\x90\x7f" + bytes(127),  # larger than the buffer, and no PUBLISH
        b"\xd0\x01\x00",  # PINGRESP with a body
        b"\x20\x02\x00\x00",  # a second CONNACK
        b"\x30\x01\x00",
        b"\x30\x03\x00\x01\xff",
        b"\x32\xff\x01\x00\xff" + bytes(250),  # oversized: topic longer than the packet leaves
        b"\x32\xff\x01\x00\x01t" + bytes(252),  # oversized: packet id 0
        b"\x30\xff\x01\x00\x00" + bytes(253),  # oversized: no topic
    )

    async def scenario(packet):
        peer = Peer(1)
        session = await _session(peer)
        peer._answer = lambda _: b""
        waiting = asyncio.create_task(_refusal(session.client.publish("t/up", b"")))
        await _until(lambda: len(peer.sent) == 2)
        peer.feed(packet)
        error = await session.end()
        assert isinstance(error, TransportError) and error.code == codes.REASON_LINK_LOST, packet
        assert session.messages == [], packet
        assert (await waiting)[0] == codes.REASON_LINK_LOST, packet
        assert (await _refusal(session.client.publish("t/up", b"")))[0] == codes.REASON_LINK_LOST

    for packet in table:
        asyncio.run(scenario(packet))


def test_every_packet_cut_short_is_a_lost_link():
    """The stream ends inside a packet: `run` says that the server closed, and delivers nothing of it."""
    packet = publish("t/a", b"payload", 5)

    async def scenario(cut):
        peer = Peer(2)
        session = await _session(peer)
        peer.feed(packet[:cut])
        peer.feed(b"")
        error = await session.end()
        assert (error.code, error.detail) == (codes.REASON_LINK_LOST, "the server closed the connection")
        assert session.messages == []

    for cut in range(len(packet)):
        asyncio.run(scenario(cut))


def test_a_denied_topic_is_named():
    """One refused filter among granted ones: `link-denied`, with the filter; the link stays."""

    async def scenario():
        def answer(packet):
            if packet[0] == codec.SUBSCRIBE:
                return b"\x90\x04" + packet[2:4] + b"\x01\x80"
            return standard_answer(packet)

        session = await _session(Peer(4, answer))
        refusal = await _refusal(session.client.subscribe(["t/mine", "t/other"], 1))
        assert refusal == (codes.REASON_LINK_DENIED, "t/other")
        await session.client.publish("t/up", b"")
        await session.client.disconnect()
        await session.end()

    asyncio.run(scenario())


def test_answers_that_fit_no_question():
    """Late or unknown acknowledgements are ignored; one of another kind, or for too few topics, is malformed."""

    async def late():
        peer = Peer()
        session = await _session(peer)
        peer.feed(b"\x40\x02\x12\x34\xb0\x02\x00\x63")
        await session.client.publish("t/up", b"")
        await session.client.disconnect()
        await session.end()

    async def wrong(answer):
        session = await _session(Peer(1000, lambda packet: answer if packet[0] != codec.CONNECT else CONNACK))
        return (await _refusal(session.client.subscribe(["t/a", "t/b"], 1)))[0]

    asyncio.run(late())
    assert asyncio.run(wrong(b"\x40\x02\x00\x01")) == codes.REASON_LINK_LOST
    assert asyncio.run(wrong(b"\x90\x03\x00\x01\x01")) == codes.REASON_LINK_LOST


def test_a_missing_acknowledgement_is_a_timeout():
    """The publish ends with `link-timeout`; the link and the next publish do not suffer."""

    async def scenario():
        peer = Peer()
        session = await _session(peer)
        session.client.ack_timeout_s = 0.05
        peer._answer = lambda _: b""
        assert (await _refusal(session.client.publish("t/up", b"")))[0] == codes.REASON_LINK_TIMEOUT
        peer._answer = standard_answer
        peer.feed(b"\x40\x02\x00\x01")
        await session.client.publish("t/up", b"")
        await session.client.disconnect()
        await session.end()

    asyncio.run(scenario())


def test_a_message_is_handled_to_its_end_before_the_next_is_read():
    """Back-pressure: while the handler waits, no packet is read; the acknowledgement comes after it returned."""

    async def scenario():
        peer, steps, go_on = Peer(), [], asyncio.Event()

        async def slow(topic, payload, retained):
            steps.append("begin " + topic)
            await go_on.wait()
            steps.append("end " + topic)

        client = Client(peer, "bench-1", 60, bytearray(64), slow, Clock())
        await client.connect()
        reader = asyncio.create_task(_refusal(client.run()))
        peer.feed(publish("t/a", b"", 1) + publish("t/b", b"", 2))
        await _until(lambda: steps)
        await asyncio.sleep(0.02)
        assert steps == ["begin t/a"] and len(peer.sent) == 1
        go_on.set()
        await _until(lambda: len(peer.sent) == 3)
        assert steps == ["begin t/a", "end t/a", "begin t/b", "end t/b"]
        await client.disconnect()
        await reader

    asyncio.run(scenario())


def test_a_handler_may_send_what_waits_for_nothing():
    """`send_unsubscribe` and QoS 0 inside `on_message` don't wait for the reader, which is busy with them."""

    async def scenario():
        peer = Peer()

        async def answers(topic, payload, retained):
            await client.send_unsubscribe([topic])
            await client.publish("t/up", b"seen", 0)

        client = Client(peer, "bench-1", 60, bytearray(64), answers, Clock())
        await client.connect()
        reader = asyncio.create_task(_refusal(client.run()))
        peer.feed(publish("t/a", b""))
        await _until(lambda: len(peer.sent) == 3)
        assert peer.sent[1:] == [
            codec.encode_unsubscribe(1, ["t/a"]),
            codec.encode_publish("t/up", b"seen", 0, 0),
        ]
        await client.publish("t/up", b"")
        await client.disconnect()
        await reader

    asyncio.run(scenario())


def test_a_fault_of_the_handler_comes_out_of_run():
    """It isn't called a lost link, but who waits for an acknowledgement learns that the link is over."""

    async def scenario():
        peer = Peer()

        async def broken(topic, payload, retained):
            raise KeyError(topic)

        client = Client(peer, "bench-1", 60, bytearray(64), broken, Clock())
        await client.connect()
        reader = asyncio.create_task(client.run())
        peer.feed(publish("t/a", b"", 1))
        try:
            await reader
            raise AssertionError("run returned")
        except KeyError:
            pass
        assert (await _refusal(client.publish("t/up", b"")))[0] == codes.REASON_LINK_LOST
        assert len(peer.sent) == 1  # the message was not acknowledged

    asyncio.run(scenario())


def test_an_idle_link_is_kept_alive_across_the_wrap_of_the_ticks():
    """Half a keepalive after the last packet a PINGREQ goes out, its answer keeps the link; the ticks wrap meanwhile."""

    async def scenario():
        peer = Peer()
        session = await _session(peer, 1)
        for count in (1, 2, 3):
            session.clock.advance(500)
            await _until(lambda count=count: peer.sent.count(codec.PINGREQ_PACKET) == count)
        assert session.ended is None
        await session.client.disconnect()
        await session.end()

    asyncio.run(scenario())


def test_a_silent_server_is_a_lost_link():
    """No PINGRESP within the keepalive ends the link; bytes that still flow, or a busy handler, put it off."""

    async def scenario():
        peer = Peer(1000, lambda packet: CONNACK if packet[0] == codec.CONNECT else b"")
        session = await _session(peer, 1)
        session.clock.advance(600)
        await _until(lambda: codec.PINGREQ_PACKET in peer.sent)
        peer.feed(publish("t/a", b""))
        session.clock.advance(900)
        await asyncio.sleep(0.6)
        assert session.ended is None
        session.clock.advance(1100)
        error = await session.end()
        assert error.code == codes.REASON_LINK_LOST and "PINGREQ" in error.detail

    asyncio.run(scenario())


def test_a_server_that_takes_no_bytes_is_a_lost_link():
    """A write that never drains can't hide the end: the ping's own wait is bounded."""

    async def scenario():
        peer = Peer()
        session = await _session(peer, 1)
        peer.is_stuck = True
        session.client.ack_timeout_s = 2
        waiting = asyncio.create_task(_refusal(session.client.publish("t/up", b"")))
        await asyncio.sleep(0.02)
        session.clock.advance(600)
        error = await session.end()
        assert error.code == codes.REASON_LINK_LOST and "no more bytes" in error.detail
        assert (await waiting)[0] == codes.REASON_LINK_TIMEOUT

    asyncio.run(scenario())


def test_concurrent_publishes_do_not_mix_their_packets():
    """Ten tasks publish at once over one stream: ten whole packets, ten packet ids, ten acknowledgements."""

    async def scenario():
        peer = Peer(3)
        session = await _session(peer)
        await asyncio.gather(*[session.client.publish("t/up", bytes((number,)) * 20) for number in range(10)])
        assert sorted(packet[-1] for packet in peer.sent[1:]) == list(range(10))
        await session.client.disconnect()
        await session.end()

    asyncio.run(scenario())


def test_a_write_cancelled_in_mid_packet_ends_the_link():
    """Half a packet on the wire can't be taken back: nothing is sent behind it."""

    async def scenario():
        peer = Peer()
        session = await _session(peer)
        peer.is_stuck = True
        session.client.ack_timeout_s = 0.05
        assert (await _refusal(session.client.publish("t/up", b"")))[0] == codes.REASON_LINK_TIMEOUT
        error = await session.end()
        assert error.code == codes.REASON_LINK_LOST and "not written to its end" in error.detail

    asyncio.run(scenario())


def test_packet_ids_wrap_and_skip_those_in_use():
    """65535 is followed by 1; an id that still waits is not given twice."""
    client = Session(Peer()).client
    client._last_id = 65534
    client._waiters[1] = None
    assert [client._next_id() for _ in range(3)] == [65535, 2, 3]
