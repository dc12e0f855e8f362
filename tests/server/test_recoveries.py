"""Recovery releases of rollouts: really signed pairs, judged by both judges and by the device's own install policy."""

import asyncio
from dataclasses import replace

import pytest
from fleet_bench import make_fleet
from release_factory import make_release

from pawl import codes, policy, ratchet
from pawl.compat import sha256
from pawl.errors import ManifestError
from pawl_server.domain import director
from pawl_server.domain.fleet import AssignmentState
from pawl_server.domain.plan import Phase, PhaseKind, Plan, PlanError
from pawl_server.recoveries import require_fitting, require_recovers
from pawl_tools import release
from pawl_tools.statement import AuthorisationCondition, parse_condition

BAD, OTHER, GOOD, DATA = (bytes([n]) * (5000 + n) for n in (1, 2, 3, 4))
EPOCH = 1 << 32
PHASES = (Phase(kind=PhaseKind.PERCENT, size=100),)


@pytest.fixture
def fleet(tmp_path):
    return make_fleet(tmp_path)


def _named(*images):
    return tuple((sha256(image), len(image)) for image in images)


def _imported(fleet, **fields):
    """Return a release that both judges accept, as it is read back from its file."""
    return fleet.repository.open(fleet.repository.add(make_release(fleet.keys, **fields)).digest)


def _bad(fleet, **fields):
    return _imported(fleet, **{"image": BAD, "sequence": EPOCH + 5, "version": (2, 0), **fields})


def _recovery(fleet, **fields):
    wanted = {"image": GOOD, "sequence": EPOCH + 6, "version": (1, 0), "recovers": _named(BAD)}
    return _imported(fleet, **{**wanted, **fields})


def test_an_older_version_that_names_the_image_is_accepted(fleet):
    """With a higher counter, of the same epoch, signed by the recovery key: what `pawl release recover` makes."""
    require_recovers(_recovery(fleet), _bad(fleet))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"recovers": ()}, "pawl release recover"),
        ({"vendor": bytes(16)}, "another vendor or class"),
        ({"device_class": bytes(16)}, "another vendor or class"),
        ({"sequence": 6}, "another epoch than the release: sign one of epoch 1"),
        ({"sequence": 2 * EPOCH + 6}, "another epoch than the release: sign one of epoch 1"),
        ({"sequence": EPOCH + 5}, "counter isn't above that of the release: sign one with 6 or more"),
        ({"sequence": EPOCH + 4}, "counter isn't above"),
        ({"recovers": _named(OTHER)}, "name the release with --recovers"),
        ({"recovers": ((sha256(BAD), len(BAD) + 1),)}, "name the release with --recovers"),
        ({"only_if": (parse_condition("version<2.0"),)}, "in slot A would refuse it: version-condition"),
    ],
)
def test_what_does_not_recover_is_refused(fleet, fields, says):
    """By the field of the plan, with the next step, before any device is asked."""
    with pytest.raises(PlanError, match=says) as caught:
        require_recovers(_recovery(fleet, **fields), _bad(fleet))
    assert caught.value.field == "recovery"


def test_conditions_that_its_devices_meet_are_no_fault(fleet):
    """What the owner of a device decides can't be known here."""
    asked = (parse_condition("version=2.0"), AuthorisationCondition(5))
    require_recovers(_recovery(fleet, only_if=asked), _bad(fleet))


def test_the_images_of_both_slots_must_be_named(fleet):
    """A device confirmed one of them, by where it was installed; whoever has the other one must come back too."""
    bad = _bad(fleet, image=release.Payload(app=(BAD, OTHER)))
    good = release.Payload(app=(GOOD, DATA))
    for named in (BAD,), (OTHER,):
        with pytest.raises(PlanError, match="name the release with --recovers"):
            require_recovers(_recovery(fleet, image=good, recovers=_named(*named)), bad)
    require_recovers(_recovery(fleet, image=good, recovers=_named(BAD, OTHER)), bad)


def test_data_is_not_part_of_what_is_recovered_from(fleet):
    """The ratchet holds the application's image only."""
    bad = _bad(fleet, image=release.Payload(app=(BAD,), data=DATA))
    require_recovers(_recovery(fleet, image=release.Payload(app=(GOOD,), data=DATA)), bad)


def _plan(bad, recovery=None):
    return Plan(
        release=bytes(bad.envelope.digest),
        groups=("field",),
        phases=PHASES,
        recovery=None if recovery is None else bytes(recovery.envelope.digest),
    )


def _require(fleet, plan):
    async def opened(digest):
        return fleet.repository.open(digest)

    asyncio.run(require_fitting(plan, opened))


def test_a_plan_opens_both_releases(fleet):
    """A fitting pair passes; a plan without a recovery asks for none."""
    _require(fleet, _plan(_bad(fleet), _recovery(fleet)))
    _require(fleet, _plan(_bad(fleet)))


def test_a_recovery_is_no_release_of_a_rollout(fleet):
    """Every device that doesn't run the bad image would refuse it, and stop the rollout."""
    with pytest.raises(
        PlanError, match="name it as `recovery` of a rollout, or assign it to a device"
    ) as caught:
        _require(fleet, _plan(_recovery(fleet)))
    assert caught.value.field == "release"


def test_a_recovery_of_the_release_key_is_refused_at_import(fleet):
    """What it declares says who must sign it."""
    recovers = _named(BAD)
    statement = {"sequence": EPOCH + 6, "recovers": recovers}
    keys = fleet.keys
    swapped = type(keys)(root=keys.root, release=keys.recovery, recovery=keys.release, director=keys.director)
    with pytest.raises(ManifestError) as caught:
        fleet.repository.add(make_release(swapped, image=GOOD, **statement))
    assert caught.value.code == codes.REASON_UNAUTHORISED


def test_import_knows_a_recovery(fleet):
    """By the manifest's shape."""
    repository = fleet.repository
    assert repository.add(make_release(fleet.keys, recovers=_named(BAD))).is_recovery
    assert not repository.add(make_release(fleet.keys)).is_recovery


def _judged(bundle, accepted, slot, *, attempt, failures):
    """Return what a device's install policy says to an offer of this bundle."""
    is_recovery, recovers = policy.recovery_of(bundle.manifest)
    digest = bytes(bundle.envelope.digest)
    facts = policy.Facts(
        accepted=accepted,
        release=ratchet.release_of(bundle.manifest, digest, slot),
        has_offer=True,
        is_trial=False,
        is_expired=False,
        unauthorised=codes.REASON_OK,
        unfit=codes.REASON_OK,
        has_room=True,
        is_recovery=is_recovery,
        recovers=recovers,
        running=accepted.digest,
        failures=failures,
        attempt=attempt,
        is_spent=False,
        is_held=False,
    )
    return policy.decide(facts)


@pytest.mark.parametrize("running", [codes.RUNNING_A, codes.RUNNING_B])
def test_devices_that_confirmed_the_bad_release_install_it(fleet, running):
    """From either slot, under the attempt that the director offers, after up to two reverts of the recovery itself."""
    bad, recovery = _bad(fleet), _recovery(fleet)
    require_recovers(recovery, bad)
    accepted = ratchet.release_of(bad.manifest, bytes(bad.envelope.digest), running)
    assignment = director.assign(None, "bench-1", bytes(recovery.envelope.digest))
    for failures in range(policy.ATTEMPTS_MAX):
        decision = _judged(recovery, accepted, 1 - running, attempt=assignment.attempt, failures=failures)
        assert (decision.action, decision.reason) == (policy.INSTALL, codes.REASON_OK)
        reverted = {"state": AssignmentState.FAILED, "reason": codes.REASON_TRIALS, "failures": failures + 1}
        failed = replace(assignment, **reverted)
        assignment = director.assign(failed, "bench-1", failed.release)
    decision = _judged(
        recovery, accepted, 1 - running, attempt=assignment.attempt, failures=policy.ATTEMPTS_MAX
    )
    assert decision.reason == codes.REASON_QUARANTINE_FINAL


def test_devices_that_never_took_the_bad_release_refuse_it(fleet):
    """So nobody is asked to who didn't confirm it."""
    bad, recovery = _bad(fleet), _recovery(fleet)
    before = _imported(fleet, image=OTHER, sequence=EPOCH + 4, version=(1, 0))
    accepted = ratchet.release_of(before.manifest, bytes(before.envelope.digest), codes.RUNNING_A)
    decision = _judged(recovery, accepted, codes.RUNNING_B, attempt=1, failures=0)
    assert decision.reason == codes.REASON_RECOVERY_NOT_FOR_THIS
    assert bad.manifest.sequence_number < recovery.manifest.sequence_number
