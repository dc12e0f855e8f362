"""The end of a certificate's time: read from DER, compared with a floor."""

from pawl.ports import dates


def item(tag, *parts):
    """Return a DER item."""
    body = b"".join(parts)
    size = bytes((len(body),)) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes((tag,)) + size + body


def certificate(ends, tag=0x17, has_version=True):
    """Return what a certificate looks like as far as its dates."""
    version = item(0xA0, item(2, b"\x02")) if has_version else b""
    validity = item(0x30, item(0x17, b"000101000000Z"), item(tag, ends))
    issuer = item(0x30, bytes(200))
    body = item(0x30, version, item(2, bytes(16)), item(0x30, b"\x06\x00"), issuer, validity)
    return item(0x30, body, item(3, bytes(70)))


ROWS = (
    (b"700101000000Z", 0x17, 0),
    (b"491231235959Z", 0x17, 2524607999),
    (b"500101000000Z", 0x17, -631152000),
    (b"240229120000Z", 0x17, 1709208000),
    (b"240301000000Z", 0x17, 1709251200),
    (b"261121164500Z", 0x17, 1795279500),
    (b"20500101000000Z", 0x18, 2524608000),
    (b"21000301000000Z", 0x18, 4107542400),
    (b"99991231235959Z", 0x18, 253402300799),
)


def test_the_last_second():
    """Both forms of time, the year at which the short one turns, leap days, a century that has none."""
    for ends, tag, expected in ROWS:
        for has_version in (True, False):
            assert dates.not_after(memoryview(certificate(ends, tag, has_version))) == expected, ends


def test_a_certificate_counts_until_its_last_second():
    """And is refused in the one after it, at any depth of the chain."""
    der = certificate(b"261121164500Z")
    for depth in (0, 1):
        assert dates.verifier(1795279500)(der, depth) == 0
        assert dates.verifier(1795279501)(der, depth) == dates.ENDED


def test_what_cannot_be_read_counts_as_ended():
    """Cut anywhere before the end of its dates, of another form of time, or none at all."""
    der = certificate(b"261121164500Z")
    end = der.index(b"261121164500Z") + 13
    verify = dates.verifier(0)
    assert verify(der, 0) == 0
    assert all(verify(der[:size], 0) == dates.ENDED for size in range(end))
    for ends in (b"2611211645Z", b"261121164500+", b"26112116450xZ", b""):
        assert verify(certificate(ends), 0) == dates.ENDED
