"""One history by hand: every kind of step that the generated ones are made of, once, and that it really happened.

What must hold is judged on the way by `life` and `witness`, as in the generated histories.
"""

import factory
from board import REGIONS
from office import DAY_S, HOUR_S
from signing import signer

from pawl import codes

REVERTED = codes.EVENT_REVERTED
REFUSED = codes.EVENT_REFUSED


def test_the_library_signs_as_the_device_does():
    """Both are RFC 6979: the histories' keys are the simulators' keys."""
    made, same = signer(102), factory.RELEASE
    assert made.key.identity == same.key.identity
    assert made.sign(b"payload", b"aad", False) == same.sign(b"payload", b"aad", False)


def test_installs_of_each_kind(office):
    """Images, data, one image per slot; into both slots."""
    for kind in ("plain", "data", "bound", "data"):
        office.settle(office.release(kind))
    assert office.life.events["installs into a"] == office.life.events["installs into b"] == 2
    office.settle(office.release("plain", epoch_step=1))


def test_cuts_and_lost_links_end_in_the_same_install(office):
    """In every region that an update writes, and in the middle of a download."""
    life = office.life
    regions = ("page_b", "envelope_b", "image_b", "ratchet", "clock", "boots")
    for region in regions:
        life.flash.cut(0, 5, REGIONS[region])
    life.broker.cut_after = 2
    release = office.want(office.release("data", size=9000))
    life.live(2 * DAY_S)
    assert life.flash.cuts == life.events["cut"] == len(regions)
    assert life.broker.cut_after is None
    assert life.runs == release.digest


def test_an_unhealthy_release_reverts_and_is_quarantined(office):
    """Three trials each, three attempts; then never again, though the director goes on."""
    life = office.life
    before = life.runs
    bad = office.want(office.release("plain"))
    life.is_app_healthy = False
    life.flash.cut(0, 3, REGIONS["log"])
    life.flash.cut(0, 3, REGIONS["quarantine"])
    life.live(DAY_S)
    assert life.flash.cuts == 2
    assert life.witness.failures == {bad.digest: 3}
    assert life.witness.events["trial"] == 9
    assert life.runs == before
    assert life.has_told(REVERTED, codes.REASON_TRIALS)
    assert life.has_told(REFUSED, codes.REASON_QUARANTINE_FINAL)
    assert not office.is_installable(bad.digest)


def test_a_wrong_attempt_is_quarantined_and_a_fifth_erase_is_over_budget(office):
    """The director lies about attempts; then it hurries."""
    life = office.life
    bad = office.want(office.release("plain"))
    life.is_app_healthy = False
    life.director.lie, life.director.number = "attempt", 0
    life.live(HOUR_S)
    assert life.witness.failures == {bad.digest: 1}
    assert life.has_told(REFUSED, codes.REASON_QUARANTINED)
    office.make_honest()
    for _ in range(3):
        office.want(office.release("plain"))
        life.live(HOUR_S)
    office.refuses(office.release("plain"), codes.REASON_BUDGET)
    life.live(2 * DAY_S)  # the hours before power was lost count for less
    assert life.runs == life.director.wanted


def test_the_policy_refuses_by_name(office):
    """Old, stranger's, unfit: nothing that was signed for something else."""
    life = office.life
    old = office.release("plain")
    office.settle(office.release("plain"))
    office.refuses(old, codes.REASON_SEQUENCE_LOW)
    office.refuses(office.release("plain", signers=(106,)), codes.REASON_UNAUTHORISED)
    office.refuses(office.release("plain", epoch_step=1025), codes.REASON_EPOCH_JUMP)
    office.refuses(office.release("plain", lowers=True), codes.REASON_VERSION_LOW)
    runs = life.runs
    office.recovery(names_accepted=False)
    life.live(HOUR_S)
    assert (life.runs, life.refused[codes.REASON_RECOVERY_NOT_FOR_THIS]) == (runs, 1)
    office.settle(office.release("plain", epoch_step=1))
    office.refuses(office.release("plain", epoch_step=-1), codes.REASON_EPOCH_LOW)


def test_a_recovery_lowers_the_version(office):
    """The slot that it recovers from never boots again."""
    life = office.life
    office.settle(office.release("plain"))
    before = life.witness.accepted
    recovery = office.recovery(names_accepted=True)
    life.live(DAY_S)
    assert life.runs == recovery.digest
    assert recovery.version < before.version
    assert life.witness.events[f"failed {codes.REASON_RECOVERED}"] == 1
    assert life.witness.events["pending of a recovery"] == 1


def test_a_rotten_slot_is_repaired(office):
    """Meanwhile the older one runs; the director offers the same release again."""
    life = office.life
    release = office.release("data")
    office.settle(release)
    life.rot("data_b", 7)
    life.live(DAY_S)
    assert life.events["fallback"] == 1
    assert life.witness.events["pending of a repair"] == 1
    assert life.runs == release.digest


def test_eight_bad_boots_call_the_recovery_agent(office):
    """While TLS fails no boot does well; an hour of the recovery agent, then the application again."""
    life = office.life
    runs = life.runs
    life.port.authority = b"another"
    for _ in range(9):
        life.live(30)
    assert (life.runs, life.events["recovery agent: unwell"]) == (None, 1)
    life.live(2 * HOUR_S)
    assert life.runs == runs
    life.port.authority = b"certificate"
    office.settle(office.release("plain"))
