"""SUIT_Report (draft-ietf-suit-report-18): which manifest a device speaks of, in which slot, and what came of it.

Travels inside a signed report, never alone. One record names the slot; a result that isn't success carries Pawl's
reason code and the nearest reason that the draft knows. Refuses any other shape.
"""

from collections import namedtuple

from pawl import cbor, codes

_SECTION_INSTALL = codes.MANIFEST_INSTALL

# digest: of the manifest; uri: the manifest's reference URI or ""; slot: RUNNING_A, RUNNING_B or None; reason: REASON_*
SuitReport = namedtuple("SuitReport", ("digest", "uri", "slot", "reason"))

# What a report speaks of: manifest digest, reference URI or None, slot or None
Subject = namedtuple("Subject", ("digest", "uri", "slot"))

# First match decides; what isn't here is an operation that failed.
_SUIT_REASONS = (
    ((codes.REASON_MALFORMED, codes.REASON_TRAILING_BYTES), codes.SUIT_REASON_CBOR),
    ((codes.REASON_ALGORITHM,), codes.SUIT_REASON_ALGORITHM),
    ((codes.REASON_UNAUTHORISED, codes.REASON_BARRED), codes.SUIT_REASON_UNAUTHORISED),
    ((codes.REASON_COMMAND,), codes.SUIT_REASON_COMMAND),
    ((codes.REASON_COMPONENT,), codes.SUIT_REASON_COMPONENT),
    ((codes.REASON_PARAMETER,), codes.SUIT_REASON_PARAMETER),
    (
        (
            codes.REASON_VENDOR,
            codes.REASON_CLASS,
            codes.REASON_COMPONENT_SLOT,
            codes.REASON_VERSION_CONDITION,
            codes.REASON_UPDATE_AUTHORIZED,
            codes.REASON_NO_BRANCH,
            codes.REASON_IMAGE_DIGEST,
        ),
        codes.SUIT_REASON_CONDITION,
    ),
)


def _suit_reason(reason):
    for reasons, found in _SUIT_REASONS:
        if reason in reasons:
            return found
    return codes.SUIT_REASON_OPERATION


def write(report) -> bytes:
    """Return the bytes of a SuitReport."""
    records = []
    if report.slot is not None:
        claim = {
            codes.REPORT_CLAIM_COMPONENT: [codes.COMPONENT_APP],
            codes.PARAMETER_COMPONENT_SLOT: report.slot,
        }
        records.append(claim)
    return cbor.encode(
        {
            codes.REPORT_REFERENCE: [report.uri, [codes.ALG_SHA256, report.digest]],
            codes.REPORT_RECORDS: records,
            codes.REPORT_RESULT: True if report.reason == codes.REASON_OK else _result(report.reason),
        }
    )


def _result(reason):
    return {
        codes.REPORT_RESULT_CODE: reason,
        codes.REPORT_RESULT_RECORD: [[], _SECTION_INSTALL, 0, 0, {}],
        codes.REPORT_RESULT_REASON: _suit_reason(reason),
    }


def read(buf) -> "SuitReport":
    """Return the SuitReport in a report; ManifestError for another shape."""
    reader = cbor.Reader(buf)
    digest, uri, slot, reason = None, None, None, None
    for label in reader.keys():
        if label == codes.REPORT_REFERENCE:
            uri, digest = _read_reference(reader)
        elif label == codes.REPORT_RECORDS:
            slot = _read_slot(reader)
        elif label == codes.REPORT_RESULT:
            reason = _read_result(reader)
        else:
            raise cbor.malformed("unknown label")
    reader.end()
    if digest is None or reason is None:
        raise cbor.malformed("a field is missing")
    return SuitReport(digest, uri, slot, reason)


def _read_reference(reader):
    reader.array(2)
    uri = reader.text()
    reader.array(2)
    if reader.int() != codes.ALG_SHA256:
        raise cbor.malformed("digest algorithm is not SHA-256")
    return uri, reader.bytes_of(32)


def _read_slot(reader):
    count = reader.array()
    if count == 0:
        return None
    if count > 1:
        raise cbor.malformed("more than one record")
    slot = None
    for label in reader.keys():
        if label == codes.REPORT_CLAIM_COMPONENT:
            reader.value()
        elif label == codes.PARAMETER_COMPONENT_SLOT:
            slot = reader.uint()
        else:
            raise cbor.malformed("unknown claim")
    if slot not in (codes.RUNNING_A, codes.RUNNING_B):
        raise cbor.malformed("no slot")
    return slot


def _read_result(reader):
    if reader.peek() != cbor.MAP:
        if reader.value() is not True:
            raise cbor.malformed("a result is true or a map")
        return codes.REASON_OK
    reason = None
    for label in reader.keys():
        if label == codes.REPORT_RESULT_CODE:
            reason = reader.uint()
        else:
            reader.value()
    if not reason:
        raise cbor.malformed("a failure without its reason")
    return reason
