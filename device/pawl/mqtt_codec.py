"""MQTT 3.1.1 packets as bytes, both ways: values in, bytes out, and strict on the way back.

Refuses to do I/O, QoS 2, wills, user names, and every packet that a server must not send: what is malformed
raises `TransportError(REASON_LINK_LOST)`, because a peer that breaks the protocol is a lost link.

    stream.write(encode_publish("pawl/d/7/bench-1/up/hello", hello, qos=1, packet_id=3))
    topic, payload, qos, is_retained, packet_id = parse_publish(head, body)
"""

from pawl import codes
from pawl.compat import const
from pawl.errors import TransportError

# Control packet types with their fixed flags: MQTT 3.1.1 §2.2
CONNECT = const(0x10)
CONNACK = const(0x20)
PUBLISH = const(0x30)
PUBACK = const(0x40)
SUBSCRIBE = const(0x82)
SUBACK = const(0x90)
UNSUBSCRIBE = const(0xA2)
UNSUBACK = const(0xB0)
PINGRESP = const(0xD0)

PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"

SUBSCRIPTION_REFUSED = const(0x80)  # §3.9.3
REMAINING_LENGTH_MAX = const(268435455)  # §2.2.3: four bytes of seven bits
_TOPIC_MAX_BYTES = const(65535)  # §1.5.3
_CLEAN_SESSION = const(0x02)  # §3.1.2.3, and no other flag

# §3.2.2.3
_CONNECT_REFUSALS = {
    1: "the server doesn't speak MQTT 3.1.1",
    2: "the server doesn't take this client id",
    3: "the server is out of service: try again later",
    4: "bad user name or password",
    5: "not authorised: is the certificate's name enrolled?",
}


def malformed(detail):
    """Return the error for a packet that a server must not send."""
    return TransportError(codes.REASON_LINK_LOST, "malformed packet: " + detail)


# --- encoding


def encode_length(value) -> bytes:
    """Return a remaining length (§2.2.3); raises ValueError beyond 268435455."""
    if not 0 <= value <= REMAINING_LENGTH_MAX:
        raise ValueError("remaining length")
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _string(text) -> bytes:
    encoded = text.encode()
    if not 0 < len(encoded) <= _TOPIC_MAX_BYTES or b"\0" in encoded:
        raise ValueError("MQTT string")
    return len(encoded).to_bytes(2, "big") + encoded


def _topic_name(topic) -> bytes:
    if "+" in topic or "#" in topic:
        raise ValueError("wildcard in a topic name")
    return _string(topic)


def _packet_id(packet_id) -> bytes:
    if not 0 < packet_id <= 65535:
        raise ValueError("packet id")
    return packet_id.to_bytes(2, "big")


def _packet(head, body) -> bytes:
    return bytes((head,)) + encode_length(len(body)) + body


def encode_connect(client_id, keepalive_s) -> bytes:
    """Return a CONNECT with a clean session; raises ValueError unless 1 <= keepalive_s <= 65535."""
    if not 0 < keepalive_s <= 65535:
        raise ValueError("keepalive")
    fixed = b"\x00\x04MQTT\x04" + bytes((_CLEAN_SESSION,))
    return _packet(CONNECT, fixed + keepalive_s.to_bytes(2, "big") + _string(client_id))


def encode_publish(topic, payload, qos, packet_id) -> bytearray:
    """Return a PUBLISH that isn't retained; `packet_id` is used with QoS 1 only."""
    if qos not in (0, 1):
        raise ValueError("QoS")
    start = _topic_name(topic)
    if qos:
        start += _packet_id(packet_id)
    packet = bytearray((PUBLISH | qos << 1,))
    packet.extend(encode_length(len(start) + len(payload)))
    packet.extend(start)
    packet.extend(payload)
    return packet


def encode_puback(packet_id) -> bytes:
    """Return the acknowledgement of a QoS 1 message."""
    return _packet(PUBACK, _packet_id(packet_id))


def encode_subscribe(packet_id, topics, qos) -> bytes:
    """Return a SUBSCRIBE to one or more topic filters, all at one QoS (0 or 1)."""
    if qos not in (0, 1) or not topics:
        raise ValueError("subscription")
    filters = b"".join([_string(topic) + bytes((qos,)) for topic in topics])
    return _packet(SUBSCRIBE, _packet_id(packet_id) + filters)


def encode_unsubscribe(packet_id, topics) -> bytes:
    """Return an UNSUBSCRIBE from one or more topic filters."""
    if not topics:
        raise ValueError("subscription")
    return _packet(UNSUBSCRIBE, _packet_id(packet_id) + b"".join([_string(topic) for topic in topics]))


# --- parsing


def parse_length(buf, start, end):
    """Return (remaining length, where the body starts), or None if more bytes are needed."""
    value = 0
    for position in range(4):
        if start + position >= end:
            return None
        digit = buf[start + position]
        value |= (digit & 127) << 7 * position
        if digit < 128:
            if digit == 0 and position:
                raise malformed("remaining length has a zero too many")
            return value, start + position + 1
    raise malformed("remaining length is longer than 4 bytes")


def check_head(head):
    """Raise unless this first byte begins a packet that a server may send, with QoS 0 or 1."""
    if head & 0xF0 != PUBLISH:
        if head not in (CONNACK, PUBACK, SUBACK, UNSUBACK, PINGRESP):
            raise malformed("type or flags 0x%02x" % head)
        return
    qos = head >> 1 & 3
    if qos > 1:
        raise malformed("QoS %d" % qos)
    if not qos and head & 0x08:
        raise malformed("a duplicate with QoS 0")


def _uint16(body, position):
    if position + 2 > len(body):
        raise malformed("too short")
    return body[position] << 8 | body[position + 1]


def parse_connack(body):
    """Return None if the server accepted; raises REASON_LINK_REFUSED with its reason if not."""
    if len(body) != 2 or body[0]:
        raise malformed("CONNACK")
    if body[1]:
        why = _CONNECT_REFUSALS.get(body[1]) or "return code %d" % body[1]
        raise TransportError(codes.REASON_LINK_REFUSED, why)


def parse_publish(head, body):
    """Return (topic, payload, qos, is_retained, packet id); the payload is a slice of `body`, not a copy.

    Topics are ASCII on this wire: any other one is refused.
    """
    qos = head >> 1 & 3
    end = 2 + _uint16(body, 0)
    start = end + 2 if qos else end
    if end == 2 or start > len(body):
        raise malformed("PUBLISH")
    packet_id = _uint16(body, end) if qos else 0
    if qos and not packet_id:
        raise malformed("packet id 0")
    return _parse_topic(body[2:end]), body[start:], qos, bool(head & 1), packet_id


def _parse_topic(encoded):
    for byte in encoded:
        if not 0x20 < byte < 0x7F or byte in b"+#":
            raise malformed("topic")
    return str(encoded, "utf-8")


def parse_ack(body):
    """Return the packet id of a PUBACK or UNSUBACK."""
    if len(body) != 2:
        raise malformed("acknowledgement")
    packet_id = _uint16(body, 0)
    if not packet_id:
        raise malformed("packet id 0")
    return packet_id


def parse_suback(body):
    """Return (packet id, return codes), one code per filter: 0, 1, or SUBSCRIPTION_REFUSED."""
    if len(body) < 3:
        raise malformed("SUBACK")
    granted = bytes(body[2:])
    for code in granted:
        if code not in (0, 1, SUBSCRIPTION_REFUSED):
            raise malformed("SUBACK return code")
    return parse_ack(body[:2]), granted
