"""What a signed report settles, and what it doesn't."""

from dataclasses import replace

import pytest
from fleet_bench import FakeFleetDevice

from pawl import codes
from pawl_server.domain import outcomes
from pawl_server.domain.fleet import (
    Assignment,
    AssignmentState,
    Device,
    Enrolment,
    OfferMark,
    Ratchet,
    ReportNumber,
)
from pawl_server.domain.outcomes import SignedReport, Subject

RELEASE = b"r" * 32
NONCE = b"n" * 16
OFFERED = Assignment(
    device="bench-1",
    release=RELEASE,
    state=AssignmentState.OFFERED,
    offered=OfferMark(nonce=NONCE, number=3, boots=5),
)


def _report(event, *, digest=None, subject=RELEASE, reason=0, **changes):
    boots = changes.get("boots", 6)
    return SignedReport(
        device="bench-1",
        id=ReportNumber(boots=boots, number=1),
        accepted=changes.get("accepted", (NONCE, 3)),
        ratchet=Ratchet(sequence=1, digest=digest),
        event=event,
        reason=reason,
        digest=bytes(32),
        subject=subject and Subject(release=subject, reason=reason),
    )


@pytest.mark.parametrize("event", [codes.EVENT_INSTALLED, codes.EVENT_STARTED])
@pytest.mark.parametrize("state", AssignmentState)
def test_success_is_the_confirmed_digest(event, state):
    """Whatever was believed before: the device signed that it runs the release, confirmed."""
    before = Assignment(device="bench-1", release=RELEASE, state=state, reason=80)
    after = outcomes.outcome(before, _report(event, digest=RELEASE))
    assert (after.state, after.reason) == (AssignmentState.SUCCEEDED, 0)


@pytest.mark.parametrize("event", [codes.EVENT_INSTALLED, codes.EVENT_STARTED])
@pytest.mark.parametrize("digest", [None, b"o" * 32])
def test_another_digest_is_no_success(event, digest):
    """An installation of something else settles nothing."""
    assert outcomes.outcome(OFFERED, _report(event, digest=digest)) == OFFERED


def test_no_ratchet_is_no_success():
    """A report may speak of no image that the server knows."""
    report = SignedReport(
        device="bench-1",
        id=ReportNumber(boots=1, number=1),
        accepted=None,
        ratchet=None,
        event=codes.EVENT_INSTALLED,
        reason=0,
        digest=bytes(32),
    )
    assert outcomes.outcome(OFFERED, report) == OFFERED


@pytest.mark.parametrize("event", [codes.EVENT_REFUSED, codes.EVENT_FAILED])
@pytest.mark.parametrize("number", [3, 4])
def test_a_refusal_of_this_offer_or_a_later_one_fails(event, number):
    """The reason is kept; nothing was tried, so no failure is counted."""
    report = _report(event, accepted=(NONCE, number), reason=codes.REASON_BLOCK_DIGEST)
    after = outcomes.outcome(OFFERED, report)
    assert (after.state, after.reason, after.failures) == (
        AssignmentState.FAILED,
        codes.REASON_BLOCK_DIGEST,
        0,
    )


@pytest.mark.parametrize("accepted", [None, (NONCE, 2), (b"o" * 16, 9)])
def test_a_refusal_of_another_offer_settles_nothing(accepted):
    """It may be about the release that was assigned before."""
    assert outcomes.outcome(OFFERED, _report(codes.EVENT_REFUSED, accepted=accepted, reason=44)) == OFFERED


def test_a_revert_in_a_later_boot_fails_and_is_counted():
    """A revert is told after a reset: it names no offer."""
    report = _report(codes.EVENT_REVERTED, accepted=None, reason=codes.REASON_TRIALS)
    after = outcomes.outcome(OFFERED, report)
    assert (after.state, after.reason, after.failures) == (AssignmentState.FAILED, codes.REASON_TRIALS, 1)


@pytest.mark.parametrize("boots", [4, 5])
def test_a_revert_before_the_offer_settles_nothing(boots):
    """What was offered in this boot can't have been reverted by it."""
    assert outcomes.outcome(OFFERED, _report(codes.EVENT_REVERTED, boots=boots, reason=80)) == OFFERED


def test_what_was_never_offered_can_not_fail():
    """Neither refused nor reverted."""
    before = Assignment(device="bench-1", release=RELEASE)
    for event in (codes.EVENT_REFUSED, codes.EVENT_REVERTED):
        assert outcomes.outcome(before, _report(event, reason=80)) == before


def test_the_first_reason_of_a_failure_stays():
    """After a revert the device refuses the same attempt as quarantined: that is no news."""
    failed = outcomes.outcome(OFFERED, _report(codes.EVENT_REVERTED, reason=codes.REASON_TRIALS))
    assert outcomes.outcome(failed, _report(codes.EVENT_REFUSED, reason=codes.REASON_QUARANTINED)) == failed
    assert outcomes.outcome(failed, _report(codes.EVENT_REVERTED, boots=9, reason=81)) == failed


def test_success_is_final():
    """The ratchet never falls: a later refusal speaks of something else."""
    done = outcomes.outcome(OFFERED, _report(codes.EVENT_INSTALLED, digest=RELEASE))
    for event in (codes.EVENT_REFUSED, codes.EVENT_REVERTED, codes.EVENT_FAILED):
        assert outcomes.outcome(done, _report(event, reason=80)) == done


def test_an_unknown_event_settles_nothing():
    """A newer agent may say more than this server knows."""
    assert outcomes.outcome(OFFERED, _report(999, digest=RELEASE)) == OFFERED


@pytest.mark.parametrize(
    ("boots", "number", "is_newer"),
    [(3, 4, False), (3, 3, False), (2, 9, False), (3, 5, True), (4, 1, True), (4, 0, True)],
)
def test_t29_replayed_report(boots, number, is_newer):
    """The pair of boot count and number must rise, the boot count first."""
    device = Device(
        enrolment=FakeFleetDevice(name="bench-1").enrolment, last_report=ReportNumber(boots=3, number=4)
    )
    report = SignedReport(
        device="bench-1",
        id=ReportNumber(boots=boots, number=number),
        accepted=None,
        ratchet=None,
        event=1,
        reason=0,
        digest=bytes(32),
    )
    assert outcomes.is_newer(device, report) is is_newer


@pytest.mark.parametrize("event", [codes.EVENT_REFUSED, codes.EVENT_FAILED, codes.EVENT_REVERTED])
@pytest.mark.parametrize("subject", [None, b"o" * 32])
def test_a_failure_of_another_release_settles_nothing(event, subject):
    """Whatever offer was accepted, in whatever boot: the report must name the release."""
    assert outcomes.outcome(OFFERED, _report(event, subject=subject, reason=80)) == OFFERED


@pytest.mark.parametrize(
    "subject", [Subject(release=b"o" * 32, reason=0), Subject(release=RELEASE, reason=75)]
)
def test_success_is_not_what_the_suit_report_denies(subject):
    """The ratchet names the release, but the report speaks of another one, or of a failure."""
    report = replace(_report(codes.EVENT_INSTALLED, digest=RELEASE), subject=subject)
    assert outcomes.outcome(OFFERED, report) == OFFERED


def test_a_recovery_agent_that_starts_is_no_success():
    """It names no release; its ratchet still names the one that flash has lost, and that is to be repaired."""
    report = _report(codes.EVENT_STARTED, digest=RELEASE, subject=None)
    assert outcomes.outcome(OFFERED, report) == OFFERED


def test_success_needs_no_suit_report():
    """The ratchet in the signed report says it all."""
    report = _report(codes.EVENT_INSTALLED, digest=RELEASE, subject=None)
    assert outcomes.outcome(OFFERED, report).state == AssignmentState.SUCCEEDED


@pytest.mark.parametrize("event", [codes.EVENT_CHECKED, codes.EVENT_NOTICED])
def test_news_settles_nothing(event):
    """Neither a proof of freshness nor a notice is about an installation."""
    assert outcomes.outcome(OFFERED, _report(event, digest=RELEASE)) == OFFERED
    assert outcomes.outcome(OFFERED, _report(event, reason=codes.REASON_RATCHET_LOST)) == OFFERED


@pytest.mark.parametrize(
    ("accepted", "is_fresh", "is_newest"),
    [
        (None, False, False),
        ((NONCE, 6), False, False),
        ((NONCE, 7), True, False),
        ((NONCE, 8), True, True),
        ((NONCE, 9), False, False),
        ((b"o" * 16, 8), False, False),
    ],
)
def test_t04_what_proves_freshness(accepted, is_fresh, is_newest):
    """An offer since the nonce was opened; a nonce that was opened again makes no old report fresh."""
    device = Device(
        enrolment=FakeFleetDevice(name="bench-1").enrolment, nonce=NONCE, first_number=7, next_number=9
    )
    report = _report(codes.EVENT_CHECKED, accepted=accepted)
    assert outcomes.is_fresh(device, report) is is_fresh
    assert outcomes.answers_newest(device, report) is is_newest


@pytest.mark.parametrize("reason", [codes.REASON_ANCHOR_BEHIND, codes.REASON_ANCHOR_FORK])
def test_t04_a_device_that_is_kept_from_our_anchor_is_not_fresh(reason):
    """It follows offers that ask for nothing, and says that it doesn't go by the anchor that they name."""
    device = Device(
        enrolment=FakeFleetDevice(name="bench-1").enrolment, nonce=NONCE, first_number=7, next_number=9
    )
    report = _report(codes.EVENT_CHECKED, accepted=(NONCE, 8))
    assert outcomes.is_fresh(device, report)
    assert not outcomes.is_fresh(device, replace(report, reason=reason))


@pytest.mark.parametrize(
    "wrong",
    [
        {"device": "Bench"},
        {"device": ""},
        {"device": "-x"},
        {"device": "x" * 64},
        {"device": "a\n"},
        {"vendor": b"short"},
        {"class_id": bytes(17)},
        {"report_x": bytes(32), "report_y": bytes(32)},
        {"report_x": b"", "report_y": b""},
    ],
)
def test_an_enrolment_that_no_device_could_have_is_refused(wrong):
    """Ids, identifiers and keys are judged where they come in."""
    good = FakeFleetDevice(name="bench-1").enrolment
    fields = {name: getattr(good, name) for name in ("device", "vendor", "class_id", "report_x", "report_y")}
    with pytest.raises(ValueError, match=r"."):
        Enrolment(**{**fields, **wrong})


def test_t04_a_report_that_was_held_back_proves_no_more_than_its_offer():
    """Fresh is when the accepted offer was made: the newest one, or any before it under the open nonce."""
    enrolment = FakeFleetDevice(name="bench-1").enrolment
    device = Device(
        enrolment=enrolment, nonce=NONCE, first_number=3, next_number=6, nonce_at_s=100, offered_at_s=200
    )
    for number, proven in ((5, 200), (4, 100), (3, 100)):
        report = _report(codes.EVENT_CHECKED, accepted=(NONCE, number))
        assert outcomes.is_fresh(device, report)
        assert outcomes.proven_at_s(device, report) == proven
