"""What devices say, as hosts read it: hellos, reports, logs. No device imports this file: its heap has no room to spare.

Formats: `docs/protocol.md`. A reader raises on anything the format doesn't name; nothing is acted on here.
"""

from pawl import cbor, codes, cose, messages
from pawl.compat import const
from pawl.errors import ManifestError
from pawl.ratchet import read_release

_FAILED_MAX = const(8)
_DETAIL_MAX_BYTES = const(64)

_running = messages.at_most(codes.RUNNING_RECOVERY)
_state = messages.at_most(codes.SLOT_FAILED)


def _format(reader):
    if reader.uint() != messages.FORMAT:
        raise cbor.malformed("another format")
    return messages.FORMAT


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
    messages.nonce,
    _agent,
    messages.anchor_reference,
    _ratchets,
    _slots,
    _running,
    _failed,
    _ids,
    messages.uint,
    messages.uint,
    messages.uint,
    _refusals,
)


def read_hello(buf):
    """Return the Hello in a message of at most 2 KiB; it is not signed: nothing but a nonce is to be believed."""
    if len(buf) > codes.HELLO_MAX_BYTES:
        raise ManifestError(codes.REASON_TOO_LARGE, "hello is too large")
    return messages.Hello(*messages.read_fields(buf, _HELLO_READERS, len(_HELLO_READERS))[1:])


def _accepted(reader):
    if reader.is_nil():
        return ()
    reader.array(2)
    return reader.bytes_of(messages.NONCE_BYTES), reader.uint()


def _suit_report(reader):
    return bytes(reader.bytes())


_REPORT_READERS = (
    messages.device,
    messages.uint,
    messages.uint,
    _accepted,
    _ratchets,
    _running,
    messages.uint,
    messages.uint,
    _suit_report,
)


def open_report(buf, key, verify):
    """Return the Report in a message of at most 4 KiB that the device's report key signed."""
    if len(buf) > codes.REPORT_MAX_BYTES:
        raise ManifestError(codes.REASON_TOO_LARGE, "report is too large")
    values = messages.read_fields(
        cose.open_attached(buf, [key], codes.AAD_REPORT, verify), _REPORT_READERS, 8
    )
    values[3] = values[3] or None
    return messages.Report(*values)


def _log_entry(reader):
    count = reader.array()
    if not 3 <= count <= 4:
        raise cbor.malformed("not a log entry")
    boot, uptime, code = reader.uint(), reader.uint(), reader.uint()
    detail = bytes(reader.bytes()) if count == 4 else None
    if detail is not None and len(detail) > _DETAIL_MAX_BYTES:
        raise cbor.malformed("detail is too long")
    return boot, uptime, code, detail


def read_log(buf):
    """Return the (boot, uptime, code, detail or None) in a log of at most 4 KiB; it is not signed: for people to see."""
    if len(buf) > codes.LOG_MAX_BYTES:
        raise ManifestError(codes.REASON_TOO_LARGE, "log is too large")
    reader = cbor.Reader(buf)
    entries = [_log_entry(reader) for _ in range(reader.array())]
    reader.end()
    return entries
