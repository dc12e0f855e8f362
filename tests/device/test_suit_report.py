"""SUIT_Report: what is written is read back, and any other shape is refused."""

from support import refused

from pawl import cbor, codes, suit_report

DIGEST = b"\x07" * 32


def test_what_is_written_is_read():
    """Success and failure, with and without a slot and a reference URI."""
    for uri, slot, reason in (
        ("", None, codes.REASON_OK),
        ("https://example.com/r/5", codes.RUNNING_B, codes.REASON_OK),
        ("", codes.RUNNING_A, codes.REASON_TRIALS),
    ):
        report = suit_report.SuitReport(DIGEST, uri, slot, reason)
        assert suit_report.read(suit_report.write(report)) == report


def test_the_drafts_labels_and_reasons():
    """Reference 99, records 3, result 4; a failed condition is 10, what the draft has no name for is 11."""
    for reason, named in (
        (codes.REASON_VENDOR, 10),
        (codes.REASON_UNAUTHORISED, 4),
        (codes.REASON_TRIALS, 11),
    ):
        raw = suit_report.write(suit_report.SuitReport(DIGEST, "", 1, reason))
        fields = cbor.decode(raw)
        assert sorted(fields) == [3, 4, 99]
        assert fields[99][0] == "" and fields[99][1][0] == -16 and bytes(fields[99][1][1]) == DIGEST
        assert (fields[4][5], fields[4][7]) == (reason, named)
        assert fields[3][0][5] == 1


def test_other_shapes_are_refused():
    """A field too many, too few, or of another kind."""
    good = {99: ["", [-16, DIGEST]], 3: [], 4: True}
    assert refused(suit_report.read, cbor.encode(good)) is None
    for change in (
        {99: ["", [-44, DIGEST]]},
        {99: None},
        {3: [{0: [], 5: 2}]},
        {3: [{0: [], 5: 0}, {0: [], 5: 1}]},
        {4: False},
        {4: {5: 0}},
        {4: {7: 11}},
        {1: 1},
    ):
        fields = dict(good)
        fields.update(change)
        assert refused(suit_report.read, cbor.encode(fields)) == codes.REASON_MALFORMED, change
    for missing in (99, 4):
        fields = dict(good)
        fields.pop(missing)
        assert refused(suit_report.read, cbor.encode(fields)) == codes.REASON_MALFORMED
