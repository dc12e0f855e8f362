"""Which offer a device gets: action, number under its nonce, attempt; and what the server remembers of it."""

import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from fleet_bench import NOW_S, FakeFleetDevice, KeyPair, make_fleet

from pawl import codes, messages
from pawl.errors import OfferError
from pawl.ports.host.verifier import verify
from pawl_server.domain import director
from pawl_server.domain.director import AnchorReference
from pawl_server.domain.fleet import Assignment, AssignmentState, Device, OfferMark
from pawl_server.signing import DirectorKeyError, load_director

ANCHOR = AnchorReference(version=3, digest=b"a" * 32)
RELEASE = b"r" * 32
NONCE = b"n" * 16


def _device(**fields):
    return Device(enrolment=FakeFleetDevice(name="bench-1").enrolment, **fields)


def _assignment(state=AssignmentState.ASSIGNED, **fields):
    return Assignment(device="bench-1", release=RELEASE, state=state, **fields)


def test_no_offer_without_an_open_nonce():
    """An offer answers a nonce; a device that never said hello gets none."""
    assert director.make_offer(_device(), _assignment(), ANCHOR, NOW_S) is None


def test_an_offer_says_what_its_device_needs_to_judge_it():
    """Device, nonce, number, time and anchor are in every offer."""
    issued = director.make_offer(_device(nonce=NONCE, next_number=4), _assignment(attempt=2), ANCHOR, NOW_S)
    assert issued.offer == messages.Offer(
        "bench-1", NONCE, 4, NOW_S, (3, b"a" * 32), codes.OFFER_INSTALL, RELEASE, 2, None
    )


@pytest.mark.parametrize(
    ("state", "action"),
    [
        (None, codes.OFFER_NONE),
        (AssignmentState.ASSIGNED, codes.OFFER_INSTALL),
        (AssignmentState.OFFERED, codes.OFFER_INSTALL),
        (AssignmentState.HELD, codes.OFFER_HOLD),
        (AssignmentState.SUCCEEDED, codes.OFFER_NONE),
        (AssignmentState.FAILED, codes.OFFER_NONE),
    ],
)
def test_the_action_follows_the_assignment(state, action):
    """Every state has an action, and only an install names a release."""
    assignment = _assignment(state) if state else None
    offer = director.make_offer(_device(nonce=NONCE), assignment, ANCHOR, NOW_S).offer
    assert offer.action == action
    assert (offer.digest is not None) == (offer.attempt is not None) == (action == codes.OFFER_INSTALL)


def test_every_state_has_an_action():
    """The table is total."""
    assert set(director._ACTIONS) == set(AssignmentState)


def test_numbers_rise_under_one_nonce_and_begin_at_0():
    """Several offers may follow one hello; each has the next number."""
    device, numbers = _device(nonce=NONCE), []
    for _ in range(3):
        issued = director.make_offer(device, None, ANCHOR, NOW_S)
        device = issued.device
        numbers.append(issued.offer.number)
    assert numbers == [0, 1, 2]


def test_the_first_install_offer_under_a_nonce_is_remembered():
    """Reports that accepted it, or a later one, speak of this assignment."""
    first = director.make_offer(_device(nonce=NONCE, next_number=2, boots=7), _assignment(), ANCHOR, NOW_S)
    assert first.assignment.state == AssignmentState.OFFERED
    assert first.assignment.offered == OfferMark(nonce=NONCE, number=2, boots=7)
    again = director.make_offer(first.device, first.assignment, ANCHOR, NOW_S)
    assert again.assignment.offered == first.assignment.offered
    other = director.make_offer(_device(nonce=b"o" * 16, boots=8), again.assignment, ANCHOR, NOW_S)
    assert other.assignment.offered == OfferMark(nonce=b"o" * 16, number=0, boots=8)


def test_assigning_again_asks_for_the_attempt_after_the_failures():
    """A device tries what failed on it under the next attempt only."""
    assert director.assign(None, "bench-1", RELEASE).attempt == 1
    failed = _assignment(AssignmentState.FAILED, failures=1, reason=80)
    again = director.assign(failed, "bench-1", RELEASE)
    assert (again.state, again.attempt, again.failures, again.reason) == (AssignmentState.ASSIGNED, 2, 1, 0)


def test_assigning_again_without_a_failure_keeps_the_attempt():
    """A release that was held or refused has not failed."""
    assert director.assign(_assignment(AssignmentState.HELD), "bench-1", RELEASE).attempt == 1


def test_a_release_that_is_refused_for_good_is_not_assigned_again():
    """The device said so, signed: three attempts were used."""
    final = _assignment(AssignmentState.FAILED, reason=codes.REASON_QUARANTINE_FINAL)
    with pytest.raises(director.FinalError, match="bench-1 tried this release 3 times"):
        director.assign(final, "bench-1", RELEASE)


@pytest.mark.parametrize(("attempts", "attempt"), [(0, 1), (1, 2), (2, 3), (3, 4), (99, 4)])
def test_the_stored_count_is_taken_after_a_quarantined_refusal(attempts, attempt):
    """A hint that nobody signed: it decides which attempt is asked for, at most one beyond the last."""
    refused = _assignment(AssignmentState.FAILED, reason=codes.REASON_QUARANTINED)
    hinted = director.take_hint(refused, attempts)
    assert (hinted.state, hinted.reason) == (refused.state, refused.reason)
    assert director.assign(hinted, "bench-1", RELEASE).attempt == attempt


@pytest.mark.parametrize("state", AssignmentState)
def test_the_hint_counts_after_a_quarantined_refusal_only(state):
    """Whoever forges a hello doesn't change anything else."""
    before = _assignment(state, reason=codes.REASON_TRIALS, failures=1)
    assert director.take_hint(before, 3) == before


def test_hold_stops_what_is_open_only():
    """What is settled has nothing to stop."""
    assert director.hold(_assignment(AssignmentState.OFFERED)).state == AssignmentState.HELD
    assert director.hold(_assignment(AssignmentState.SUCCEEDED)).state == AssignmentState.SUCCEEDED


def test_a_device_opens_what_the_director_signed(tmp_path):
    """The signed message is within the limit, and no other key's signature does."""
    fleet = make_fleet(tmp_path)
    offer = director.make_offer(_device(nonce=NONCE), _assignment(), ANCHOR, NOW_S).offer
    message = fleet.chain.signer.sign_offer(offer)
    assert fleet.opened_offer(message) == offer
    assert len(message) <= codes.OFFER_MAX_BYTES
    with pytest.raises(OfferError):
        messages.open_offer(message, [KeyPair().key], verify)


def test_a_key_that_others_can_read_is_refused(tmp_path):
    """The file's mode is checked before its content."""
    fleet = make_fleet(tmp_path)
    path = tmp_path / "director.pem"
    path.chmod(0o640)
    with pytest.raises(DirectorKeyError, match="can be read by others"):
        load_director(path, fleet.anchor.directors)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def _ed25519_pem():
    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no key", "no unencrypted private key"),
        (_ed25519_pem(), "not a P-256 key"),
        (KeyPair().pem(), "does not name the key"),
    ],
)
def test_a_key_that_is_no_director_is_refused(tmp_path, content, says):
    """Devices would refuse whatever it signs."""
    fleet = make_fleet(tmp_path)
    path = tmp_path / "director.pem"
    path.write_bytes(content)
    with pytest.raises(DirectorKeyError, match=says):
        load_director(path, fleet.anchor.directors)
