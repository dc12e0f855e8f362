"""Offers, hellos and reports: read as they were written, refused for anything else."""

import factory
from factory import DIRECTOR, RELEASE, STRANGER, verify
from support import new_clock, refused

from pawl import cbor, codes, diary, heard, log, messages
from pawl.offers import Offers
from pawl.ratchet import Release, floor

D1 = b"\x01" * 32
NONCE = b"\x07" * 16
OTHER_NONCE = b"\x08" * 16


def offer(**changes):
    """Return an install offer for the device bench-1, with changes."""
    values = {
        "device": "bench-1",
        "nonce": NONCE,
        "number": 0,
        "time": factory.ISSUED + 60,
        "anchor": (1, factory.anchor().digest),
        "action": codes.OFFER_INSTALL,
        "digest": D1,
        "attempt": 1,
        "delay_s": None,
    }
    values.update(changes)
    names = ("device", "nonce", "number", "time", "anchor", "action", "digest", "attempt", "delay_s")
    return messages.Offer(*[values[name] for name in names])


def signed(value, key=DIRECTOR, aad=codes.AAD_OFFER):
    """Return the message of an offer."""
    return key.sign(messages.write_offer(value), aad, False)


def offers():
    """Return the Offers of bench-1 with a nonce open."""
    made = Offers("bench-1", factory.anchor(), verify, new_clock())
    made.open(NONCE)
    return made


def test_offer_round_trip():
    """What the director wrote is what the device reads."""
    for value in (offer(), offer(action=codes.OFFER_NONE, digest=None, attempt=None), offer(delay_s=30)):
        assert messages.open_offer(signed(value), [DIRECTOR.key], verify) == value


def test_offer_of_another_signer_or_type_is_refused():
    """A release key, a stranger, or a signature made for another kind of object (T18, T22)."""
    for raw in (
        signed(offer(), RELEASE),
        signed(offer(), STRANGER),
        signed(offer(), aad=codes.AAD_REPORT),
        signed(offer(), aad=b""),
        signed(offer())[:-1],
        signed(offer()) + b"\x00",
        bytes(600),
        b"",
    ):
        assert refused(offers().accept, raw) == codes.REASON_OFFER_SIGNATURE


def test_offers_out_of_shape_are_refused():
    """An install without a digest, an unknown action, an unknown label, a missing field."""
    for content in (
        messages.write_offer(offer(digest=None)),
        messages.write_offer(offer(action=3)),
        cbor.encode({1: "bench-1"}),
        cbor.encode({10: 1}),
    ):
        raw = DIRECTOR.sign(content, codes.AAD_OFFER, False)
        assert refused(offers().accept, raw) == codes.REASON_OFFER_SIGNATURE


def test_offers_are_fresh_and_ours():
    """Rows 1 and 3: each refusal has its reason, and leaves what was accepted before."""
    made = offers()
    accepted = made.accept(signed(offer()))
    for changes, reason in (
        ({"device": "bench-2"}, codes.REASON_OFFER_DEVICE),
        ({"nonce": OTHER_NONCE}, codes.REASON_OFFER_NONCE),
        ({"number": 0}, codes.REASON_OFFER_COUNTER),
        ({"number": 1, "anchor": (2, D1)}, codes.REASON_ANCHOR_BEHIND),
        ({"number": 1, "anchor": (1, D1)}, codes.REASON_ANCHOR_FORK),
    ):
        assert refused(made.accept, signed(offer(**changes))) == reason
        assert made.current == accepted
    assert made.accept(signed(offer(number=1))).number == 1
    assert made.time_floor == factory.ISSUED + 60


def test_a_nonce_closes_at_the_next_check_in():
    """An offer for the old nonce is refused, one for the new nonce starts from number 0 again."""
    made = offers()
    made.accept(signed(offer(number=5)))
    made.open(OTHER_NONCE)
    assert refused(made.accept, signed(offer(number=6))) == codes.REASON_OFFER_NONCE
    assert made.accept(signed(offer(nonce=OTHER_NONCE))).number == 0


def test_no_offer_before_the_first_check_in():
    """Without an open nonce nothing is fresh, whatever the director signed."""
    made = Offers("bench-1", factory.anchor(), verify, new_clock())
    assert refused(made.accept, signed(offer())) == codes.REASON_OFFER_NONCE


def test_hold_withdraws_what_was_allowed():
    """After `hold` or `none` the release may not become pending."""
    made = offers()
    made.accept(signed(offer()))
    assert made.allows(D1)
    made.accept(signed(offer(number=1, action=codes.OFFER_HOLD)))
    assert not made.allows(D1)


def hello():
    """Return a hello with something in every field."""
    slots = {codes.IMAGE_APP: [(codes.SLOT_CONFIRMED, D1, 5), (codes.SLOT_EMPTY, None, None)]}
    ratchets = {codes.IMAGE_APP: Release(5, D1, (1, 0), (D1, 4000))}
    return messages.Hello(
        NONCE,
        ("pawl 0", 1),
        (1, D1),
        ratchets,
        slots,
        0,
        [(D1, 1, 80)],
        (D1[:16], D1[16:]),
        1,
        9,
        17,
        {60: 2},
    )


def test_hello_round_trip():
    """Every field survives, and a provisioned ratchet does too."""
    assert heard.read_hello(messages.write_hello(hello())) == hello()
    provisioned = messages.Hello(*(hello()[:3] + ({1: floor(3)},) + hello()[4:]))
    assert heard.read_hello(messages.write_hello(provisioned)) == provisioned


def test_bad_hellos_are_malformed():
    """Every truncation, and a hello beyond its limit."""
    whole = messages.write_hello(hello())
    for size in range(0, len(whole), 3):
        assert refused(heard.read_hello, whole[:size]) == codes.REASON_MALFORMED
    assert refused(heard.read_hello, bytes(codes.HELLO_MAX_BYTES + 1)) == codes.REASON_TOO_LARGE


def test_hellos_out_of_range_are_malformed():
    """Each field has its range; a server believes none of a hello, but stores it."""
    good = hello()
    for place, value in (
        (3, {}),
        (3, {9: floor(1)}),
        (3, {1: Release(1, None, (), None)}),
        (4, {1: [(6, None, None)] * 2}),
        (5, 3),
        (6, [(D1, 1, 80)] * 9),
        (11, {-1: 2}),
        (11, {"a": 2}),
    ):
        values = list(good)
        values[place] = value
        raw = messages.write_hello(messages.Hello(*values))
        assert refused(heard.read_hello, raw) in (codes.REASON_MALFORMED, codes.REASON_SET_VERSION), (
            place,
            value,
        )


def test_device_ids_have_one_form():
    """What could not be a certificate's name and a topic's level is no device."""
    for device in ("", "-a", "A", "a/b", "a+", "ü", "a" * 64):
        assert refused(offers().accept, signed(offer(device=device))) == codes.REASON_OFFER_SIGNATURE, device


def test_report_round_trip_and_signer():
    """A report counts under its device's key only."""
    for accepted in (None, (NONCE, 3)):
        ratchets = {codes.IMAGE_APP: Release(5, D1, (1, 0), (D1, 4000))}
        report = messages.Report("bench-1", 4, 2, accepted, ratchets, 1, codes.EVENT_INSTALLED, 0, None)
        raw = RELEASE.sign(messages.write_report(report), codes.AAD_REPORT, False)
        assert heard.open_report(raw, RELEASE.key, verify) == report
        assert refused(heard.open_report, raw, STRANGER.key, verify) == codes.REASON_UNAUTHORISED


def test_logs_are_read_as_the_device_writes_them():
    """Entries with and without a detail come back; other shapes and sizes are refused."""
    entries = [
        log.Entry(3, 70, codes.REASON_TRIALS, b"\x07" * 32),
        log.Entry(2, 5, codes.REASON_BUDGET, None),
    ]
    assert heard.read_log(diary.message(entries, codes.LOG_MAX_BYTES)) == [tuple(one) for one in entries]
    for bad in ([[1, 2]], [[1, 2, 3, b"", 5]], [[1, 2, 3, bytes(65)]], [[1, 2, "x"]], [[1, 2, -3]], {}):
        assert refused(heard.read_log, cbor.encode(bad)) == codes.REASON_MALFORMED, bad
    assert refused(heard.read_log, bytes(codes.LOG_MAX_BYTES + 1)) == codes.REASON_TOO_LARGE
