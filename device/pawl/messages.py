"""Offers, hellos and reports as a device reads and writes them: their bytes; what hosts read is in `heard`.

Formats: `docs/protocol.md`. A reader raises on anything the format doesn't name; nothing is acted on here.
"""

from collections import namedtuple

from pawl import cbor, codes, cose
from pawl.compat import const
from pawl.errors import ManifestError, OfferError
from pawl.ratchet import encode_release

FORMAT = const(1)
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


def anchor_reference(reader):
    """Read (version, digest) of an anchor."""
    reader.array(2)
    return reader.uint(), reader.bytes_of(32)


def uint(reader):
    """Read an unsigned integer."""
    return reader.uint()


def nonce(reader):
    """Read a nonce."""
    return reader.bytes_of(NONCE_BYTES)


def _sha(reader):
    return reader.bytes_of(32)


def device(reader):
    """Read a device id."""
    device = reader.text()
    if not 1 <= len(device) <= 63 or device[0] == "-" or any(sign not in _ID_SIGNS for sign in device):
        raise cbor.malformed("not a device id")
    return device


def at_most(most):
    """Return the reader of an unsigned integer that is no larger."""

    def read(reader):
        value = reader.uint()
        if value > most:
            raise cbor.malformed("number out of range")
        return value

    return read


_action = at_most(codes.OFFER_HOLD)
_OFFER_READERS = (device, nonce, uint, uint, anchor_reference, _action, _sha, uint, uint)


def read_fields(buf, readers, required):
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
    offer = Offer(*read_fields(content, _OFFER_READERS, 6))
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
    return cbor.encode({label + 1: value for label, value in enumerate([FORMAT] + values)})


def write_report(report) -> bytes:
    """Return the content of a report, to be signed as attached payload by the device's report key."""
    values = list(report)
    values[3] = None if report.accepted is None else list(report.accepted)
    values[4] = {image: encode_release(report.ratchets[image]) for image in report.ratchets}
    if report.suit_report is None:
        values.pop()
    return cbor.encode({label + 1: value for label, value in enumerate(values)})
