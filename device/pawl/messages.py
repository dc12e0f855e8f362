"""Offers, hellos and reports: their bytes, for the side that writes them and the side that reads them.

Formats: `docs/protocol.md`. A reader raises on anything the format doesn't name; nothing is acted on here.
"""

from collections import namedtuple

from pawl import cbor, codes, cose
from pawl.compat import const
from pawl.errors import ManifestError, OfferError
from pawl.ratchet import encode_release, read_release

_FORMAT = const(1)
_FAILED_MAX = const(8)
_ID_SIGNS = "abcdefghijklmnopqrstuvwxyz0123456789-"
NONCE_BYTES = const(16)

# anchor: (version, digest); digest, attempt, delay_s: None if not given
Offer = namedtuple(
    "Offer", ("device", "nonce", "number", "time", "anchor", "action", "digest", "attempt", "delay_s")
)
# slots: {image: [(state, digest, sequence), (…)]}; failed: [(digest, attempts, reason)]
Hello = namedtuple(
    "Hello",
    (
        "nonce",
        "agent",
        "anchor",
        "ratchets",
        "slots",
        "running",
        "failed",
        "ids",
        "encodings",
        "boots",
        "time_floor",
        "refusals",
    ),
)
# accepted: (nonce, number) of the newest accepted offer, or None
Report = namedtuple(
    "Report",
    ("device", "boots", "number", "accepted", "ratchets", "running", "event", "reason", "suit_report"),
)


def write_offer(offer) -> bytes:
    """Return the content of an offer, to be signed as attached payload."""
    values = list(offer)
    values[4] = list(offer.anchor)
    return cbor.encode({label + 1: value for label, value in enumerate(values) if value is not None})


def open_offer(buf, directors, verify):
    """Return the Offer in a message that one of the director's keys signed, or raise OfferError."""
    return open_offer_by(buf, directors, verify)[0]


def open_offer_by(buf, directors, verify):
    """Return (Offer, key): which of the director's keys signed it; or raise OfferError."""
    if len(buf) > codes.OFFER_MAX_BYTES:
        raise OfferError(codes.REASON_OFFER_SIGNATURE, "offer is too large to be one")
    try:
        content, key = cose.open_attached_by(buf, directors, codes.AAD_OFFER, verify)
        return _read_offer(content), key
    except ManifestError as error:
        raise OfferError(codes.REASON_OFFER_SIGNATURE, error.detail) from None


def _anchor_reference(reader):
    reader.array(2)
    return reader.uint(), reader.bytes_of(32)


def _uint(reader):
    return reader.uint()


def _nonce(reader):
    return reader.bytes_of(NONCE_BYTES)


def _sha(reader):
    return reader.bytes_of(32)


def _device(reader):
    device = reader.text()
    if not 1 <= len(device) <= 63 or device[0] == "-" or any(sign not in _ID_SIGNS for sign in device):
        raise cbor.malformed("not a device id")
    return device


def _at_most(most):
    def read(reader):
        value = reader.uint()
        if value > most:
            raise cbor.malformed("number out of range")
        return value

    return read


_action = _at_most(codes.OFFER_HOLD)
_running = _at_most(codes.RUNNING_RECOVERY)
_state = _at_most(codes.SLOT_FAILED)
_OFFER_READERS = (_device, _nonce, _uint, _uint, _anchor_reference, _action, _sha, _uint, _uint)


def _read_fields(buf, readers, required):
    """Read a map whose labels count from 1, each by its reader; missing ones at the end are None."""
    reader = cbor.Reader(buf)
    values = [None] * len(readers)
    for label in reader.keys():
        if not isinstance(label, int) or not 1 <= label <= len(readers):
            raise cbor.malformed("unknown label")
        values[label - 1] = readers[label - 1](reader)
    reader.end()
    if None in values[:required]:
        raise cbor.malformed("a field is missing")
    return values


def _read_offer(content):
    offer = Offer(*_read_fields(content, _OFFER_READERS, 6))
    if offer.action == codes.OFFER_INSTALL and offer.digest is None:
        raise cbor.malformed("what to install is missing")
    return offer


def write_hello(hello) -> bytes:
    """Return the bytes of a hello."""
    values = list(hello)
    values[1] = list(hello.agent)
    values[2] = list(hello.anchor)
    values[3] = {image: encode_release(hello.ratchets[image]) for image in hello.ratchets}
    values[4] = {image: [list(slot) for slot in hello.slots[image]] for image in hello.slots}
    values[6] = [list(entry) for entry in hello.failed]
    values[7] = list(hello.ids)
    return cbor.encode({label + 1: value for label, value in enumerate([_FORMAT] + values)})


def _format(reader):
    if reader.uint() != _FORMAT:
        raise cbor.malformed("another format")
    return _FORMAT


def _agent(reader):
    reader.array(2)
    return reader.text(), reader.uint()


def _by_image(reader, read):
    """Read {image: what `read` reads}, for one or both images."""
    found = {image: read(reader) for image in reader.keys()}
    if not found or any(image not in (codes.IMAGE_APP, codes.IMAGE_FIRMWARE) for image in found):
        raise cbor.malformed("not an image")
    return found


def _ratchets(reader):
    return _by_image(reader, read_release)


def _slot(reader):
    reader.array(3)
    state = _state(reader)
    digest = None if reader.is_nil() else reader.bytes_of(32)
    return state, digest, None if reader.is_nil() else reader.uint()


def _slot_pair(reader):
    return [_slot(reader) for _ in range(reader.array(2))]


def _slots(reader):
    return _by_image(reader, _slot_pair)


def _failed(reader):
    count = reader.array()
    if count > _FAILED_MAX:
        raise cbor.malformed("more than 8 failures")
    return [_failed_entry(reader) for _ in range(count)]


def _failed_entry(reader):
    reader.array(3)
    return reader.bytes_of(32), reader.uint(), reader.uint()


def _refusals(reader):
    found = {}
    for code in reader.keys():
        if not isinstance(code, int) or code < 0:
            raise cbor.malformed("not a reason code")
        found[code] = reader.uint()
    return found


def _ids(reader):
    reader.array(2)
    return reader.bytes_of(16), reader.bytes_of(16)


_HELLO_READERS = (
    _format,
    _nonce,
    _agent,
    _anchor_reference,
    _ratchets,
    _slots,
    _running,
    _failed,
    _ids,
    _uint,
    _uint,
    _uint,
    _refusals,
)


def read_hello(buf):
    """Return the Hello in a message of at most 2 KiB; it is not signed: nothing but a nonce is to be believed."""
    if len(buf) > codes.HELLO_MAX_BYTES:
        raise ManifestError(codes.REASON_TOO_LARGE, "hello is too large")
    return Hello(*_read_fields(buf, _HELLO_READERS, len(_HELLO_READERS))[1:])


def write_report(report) -> bytes:
    """Return the content of a report, to be signed as attached payload by the device's report key."""
    values = list(report)
    values[3] = None if report.accepted is None else list(report.accepted)
    values[4] = {image: encode_release(report.ratchets[image]) for image in report.ratchets}
    if report.suit_report is None:
        values.pop()
    return cbor.encode({label + 1: value for label, value in enumerate(values)})


def _accepted(reader):
    if reader.is_nil():
        return ()
    reader.array(2)
    return reader.bytes_of(NONCE_BYTES), reader.uint()


def _suit_report(reader):
    return bytes(reader.bytes())


_REPORT_READERS = (_device, _uint, _uint, _accepted, _ratchets, _running, _uint, _uint, _suit_report)


def open_report(buf, key, verify):
    """Return the Report in a message of at most 4 KiB that the device's report key signed."""
    if len(buf) > codes.REPORT_MAX_BYTES:
        raise ManifestError(codes.REASON_TOO_LARGE, "report is too large")
    values = _read_fields(cose.open_attached(buf, [key], codes.AAD_REPORT, verify), _REPORT_READERS, 8)
    values[3] = values[3] or None
    return Report(*values)
