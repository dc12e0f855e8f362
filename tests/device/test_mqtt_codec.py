"""MQTT packets as bytes; runs on both interpreters."""

from pawl import codes
from pawl import mqtt_codec as codec
from support import refused


def _raises_value_error(function, *arguments):
    try:
        function(*arguments)
    except ValueError:
        return True
    return False


def test_packets_are_the_bytes_of_the_specification():
    """Each packet that a client sends, written out by hand from MQTT 3.1.1."""
    table = (
        (codec.encode_connect("a", 60), b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"),
        (codec.encode_publish("a/b", b"hi", 0, 0), b"\x30\x07\x00\x03a/bhi"),
        (codec.encode_publish("a/b", memoryview(b"hi"), 1, 10), b"\x32\x09\x00\x03a/b\x00\x0ahi"),
        (codec.encode_puback(258), b"\x40\x02\x01\x02"),
        (codec.encode_subscribe(1, ["a", "b/+"], 1), b"\x82\x0c\x00\x01\x00\x01a\x01\x00\x03b/+\x01"),
        (codec.encode_unsubscribe(2, ["a"]), b"\xa2\x05\x00\x02\x00\x01a"),
        (codec.PINGREQ_PACKET, b"\xc0\x00"),
        (codec.DISCONNECT_PACKET, b"\xe0\x00"),
    )
    for encoded, expected in table:
        assert encoded == expected, expected


def test_packets_that_we_must_not_send_are_our_own_fault():
    """Misuse is a ValueError, before a byte is written."""
    table = (
        (codec.encode_connect, "", 60),
        (codec.encode_connect, "a", 0),
        (codec.encode_connect, "a", 65536),
        (codec.encode_publish, "", b"", 0, 0),
        (codec.encode_publish, "a/+", b"", 0, 0),
        (codec.encode_publish, "a/#", b"", 0, 0),
        (codec.encode_publish, "a\0", b"", 0, 0),
        (codec.encode_publish, "a" * 65536, b"", 0, 0),
        (codec.encode_publish, "a", b"", 2, 1),
        (codec.encode_publish, "a", b"", 1, 0),
        (codec.encode_publish, "a", b"", 1, 65536),
        (codec.encode_puback, 0),
        (codec.encode_subscribe, 1, [], 0),
        (codec.encode_subscribe, 1, ["a"], 2),
        (codec.encode_unsubscribe, 1, []),
        (codec.encode_length, -1),
        (codec.encode_length, 268435456),
    )
    for row in table:
        assert _raises_value_error(*row), row


def test_remaining_lengths_go_both_ways():
    """The limits of each length, from the table in MQTT 3.1.1 section 2.2.3."""
    table = (
        (0, b"\x00"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (16383, b"\xff\x7f"),
        (16384, b"\x80\x80\x01"),
        (2097151, b"\xff\xff\x7f"),
        (2097152, b"\x80\x80\x80\x01"),
        (268435455, b"\xff\xff\xff\x7f"),
    )
    for value, encoded in table:
        assert codec.encode_length(value) == encoded
        assert codec.parse_length(b"x" + encoded, 1, 1 + len(encoded)) == (value, 1 + len(encoded))
        for cut in range(len(encoded)):
            assert codec.parse_length(encoded, 0, cut) is None


def test_bad_remaining_lengths_are_refused():
    """Five bytes, or more bytes than the number needs."""
    for encoded in (b"\x80\x80\x80\x80\x01", b"\xff\xff\xff\xff", b"\x80\x00", b"\xff\x80\x00"):
        assert refused(codec.parse_length, encoded, 0, len(encoded)) == codes.REASON_LINK_LOST, encoded


def test_only_what_a_server_may_send_passes():
    """All 256 first bytes: five fixed ones, and PUBLISH with QoS 0 or 1."""
    accepted = [head for head in range(256) if refused(codec.check_head, head) is None]
    assert accepted == [0x20, 0x30, 0x31, 0x32, 0x33, 0x3A, 0x3B, 0x40, 0x90, 0xB0, 0xD0]


def test_publish_is_parsed_without_a_copy():
    """The payload is a slice of the packet; flags and packet id come out as values."""
    packet = memoryview(bytearray(b"\x00\x03a/b\x01\x02hi"))
    topic, payload, qos, is_retained, packet_id = codec.parse_publish(0x33, packet)
    assert (topic, bytes(payload), qos, is_retained, packet_id) == ("a/b", b"hi", 1, True, 258)
    packet[7] = ord("o")
    assert bytes(payload) == b"oi"
    topic, payload, qos, is_retained, packet_id = codec.parse_publish(0x30, memoryview(b"\x00\x01a"))
    assert (topic, bytes(payload), qos, is_retained, packet_id) == ("a", b"", 0, False, 0)


def test_malformed_publishes_are_refused():
    """Cut short, empty or strange topics, and packet id 0."""
    table = (
        (0x30, b""),
        (0x30, b"\x00"),
        (0x30, b"\x00\x00"),
        (0x30, b"\x00\x02a"),
        (0x30, b"\xff\xffa"),
        (0x32, b"\x00\x01a"),
        (0x32, b"\x00\x01a\x00"),
        (0x32, b"\x00\x01a\x00\x00"),
        (0x30, b"\x00\x01+"),
        (0x30, b"\x00\x01#"),
        (0x30, b"\x00\x01\x00"),
        (0x30, b"\x00\x01 "),
        (0x30, b"\x00\x02\xc3\xa4"),
        (0x30, b"\x00\x01\xff"),
    )
    for head, body in table:
        assert refused(codec.parse_publish, head, memoryview(body)) == codes.REASON_LINK_LOST, body


def test_connack_is_an_answer_or_a_refusal():
    """0 is yes; everything else names its reason under `link-refused`."""
    assert codec.parse_connack(b"\x00\x00") is None
    for code in (1, 2, 3, 4, 5, 6, 255):
        assert refused(codec.parse_connack, bytes((0, code))) == codes.REASON_LINK_REFUSED, code
    for body in (b"", b"\x00", b"\x00\x00\x00", b"\x01\x00", b"\x02\x00"):
        assert refused(codec.parse_connack, body) == codes.REASON_LINK_LOST, body


def test_acknowledgements():
    """Packet ids and return codes; every other shape is refused."""
    assert codec.parse_ack(b"\x01\x02") == 258
    assert codec.parse_suback(memoryview(b"\x00\x01\x00\x01\x80")) == (1, b"\x00\x01\x80")
    for body in (b"", b"\x01", b"\x00\x00", b"\x00\x01\x00"):
        assert refused(codec.parse_ack, body) == codes.REASON_LINK_LOST, body
    for body in (b"", b"\x00\x01", b"\x00\x00\x01", b"\x00\x01\x02", b"\x00\x01\x00\x81"):
        assert refused(codec.parse_suback, memoryview(body)) == codes.REASON_LINK_LOST, body
