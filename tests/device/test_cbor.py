"""The strict reader: what the deterministic profile allows decodes, everything else is refused."""

from pawl import cbor, codes
from pawl.errors import ManifestError
from support import refused

import vectors

REFUSED = (
    ("", "nothing"),
    ("1817", "head longer than needed"),
    ("190010", "head longer than needed"),
    ("1a0000ffff", "head longer than needed"),
    ("1b00000000ffffffff", "head longer than needed"),
    ("5f4100ff", "indefinite"),
    ("9f01ff", "indefinite"),
    ("bf0101ff", "indefinite"),
    ("f7", "undefined"),
    ("f0", "unassigned simple"),
    ("f818", "two-byte simple"),
    ("f97e00", "float"),
    ("fa47c35000", "float"),
    ("c100", "tag"),
    ("a2020101ff", "cut"),
    ("a202010101", "keys out of order"),
    ("a201010101", "key twice"),
    ("a26162016161" + "02", "keys out of order"),
    ("a1f600", "null as key"),
    ("61ff", "not UTF-8"),
    ("62c080", "overlong UTF-8"),
    ("63eda080", "surrogate"),
    ("64f4908080", "beyond Unicode"),
    ("81" * 9 + "80", "too deep"),
    ("9bffffffffffffffff", "count beyond the buffer"),
    ("bbffffffffffffffff", "count beyond the buffer"),
    ("5bffffffffffffffff00", "length beyond the buffer"),
)

VALUES = (0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1, -1, -24, -25, -256, -(2**64))


def plain(value):
    """Return a decoded value with its slices as bytes."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(value[key]) for key in value}
    return value


def test_refuses_what_is_not_deterministic():
    """Each item of the table is refused as malformed."""
    for text, why in REFUSED:
        assert refused(cbor.decode, bytes.fromhex(text)) == codes.REASON_MALFORMED, why


def test_refuses_trailing_bytes():
    """One byte after the item is named as such."""
    assert refused(cbor.decode, b"\x00\x00") == codes.REASON_TRAILING_BYTES


def test_integers_round_trip():
    """Every boundary of the head's sizes survives."""
    for value in VALUES:
        assert cbor.decode(cbor.encode(value)) == value


def test_encoder_sorts_keys_by_their_bytes():
    """Negative labels come after positive ones, text after both (RFC 8949 §4.2.1)."""
    assert cbor.encode({"a": 1, -1: 2, 10: 3, 1: 4, "": 5}) == bytes.fromhex("a501040a0320026005616101")


def test_encoder_round_trips_structures():
    """Whatever the encoder writes, the strict reader reads."""
    value = {1: [b"\x01\x02", "text", None, True, False, -7], 2: {"x": [], "y": {}}}
    assert plain(cbor.decode(cbor.encode(value))) == value


def test_every_truncation_is_refused():
    """No prefix of an item is an item."""
    whole = cbor.encode({1: [b"\x01\x02", "text", None], 2: {"x": [2**40]}})
    for size in range(len(whole)):
        assert refused(cbor.decode, whole[:size]) == codes.REASON_MALFORMED


def test_typed_reads_refuse_other_types():
    """Asking for one type and meeting another is malformed."""
    for method in ("uint", "bytes", "text", "array", "map", "nil"):
        reader = cbor.Reader(b"\x20")
        assert refused(getattr(reader, method)) == codes.REASON_MALFORMED


def test_rfc8949_appendix_a():
    """Well-formed items either decode to their value or are outside of the deterministic profile."""
    decoded = 0
    for case in vectors.load_json("cbor/appendix_a.json"):
        if case["hex"] == "f818":
            continue
        raw = bytes.fromhex(case["hex"])
        if not _in_profile(case["hex"]):
            assert refused(cbor.decode, raw) == codes.REASON_MALFORMED, case["hex"]
            continue
        value = plain(cbor.decode(raw))
        decoded += 1
        if "decoded" in case:
            assert value == case["decoded"], case["hex"]
        assert cbor.encode(value) == raw, case["hex"]
    assert decoded == 37


def _in_profile(text):
    """Tags, floats, other simple values and indefinite lengths are outside, at the top or within."""
    if text[:2] in ("1b", "3b"):
        return True
    is_outside = text[0] in "cd" or text[:2] in ("f0", "f7", "f9", "fa", "fb", "f8")
    return not is_outside and not any(mark in text for mark in ("5f", "7f", "9f", "bf"))


def test_rfc8949_appendix_f():
    """All 94 ill-formed items are refused."""
    cases = vectors.load_json("cbor/rfc8949_appendix_f_not_well_formed.json")["vectors"]
    assert len(cases) == 94
    for case in cases:
        assert refused(cbor.decode, bytes.fromhex(case["hex"])) in (
            codes.REASON_MALFORMED,
            codes.REASON_TRAILING_BYTES,
        ), case["hex"]


def test_errors_are_of_one_family():
    """A caller needs to catch ManifestError only."""
    try:
        cbor.decode(b"\xff")
    except ManifestError as error:
        assert error.detail
        return
    raise AssertionError("not refused")
