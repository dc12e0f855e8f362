"""One history by hand: every kind of step that the generated ones are made of, once, and that it really happened.

What must hold is judged on the way by `life` and `witness`, as in the generated histories.
"""

import factory
import pytest
from board import REGIONS
from director import FORGERIES
from life import Life
from office import BAD_ANCHORS, DAY_S, HOUR_S, Office
from signing import signer

from pawl import codes

REVERTED = codes.EVENT_REVERTED
REFUSED = codes.EVENT_REFUSED


@pytest.fixture
def office():
    """A device that was provisioned and checked in."""
    made = Office(Life())
    made.life.live(60)
    return made


def has_told(life, event, reason):
    """Return whether a report said so."""
    return life.events[f"report {event}.{reason}"] > 0


def refuses(office, release, reason):
    """Offer something for an hour: it is refused for the reason, told and counted."""
    life = office.life
    runs, before = life.runs, life.refused[reason]
    office.want(release)
    life.live(HOUR_S)
    assert has_told(life, REFUSED, reason)
    assert life.refused[reason] > before
    assert life.runs == runs


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
    assert has_told(life, REVERTED, codes.REASON_TRIALS)
    assert has_told(life, REFUSED, codes.REASON_QUARANTINE_FINAL)
    assert not office.is_installable(bad.digest)


def test_a_wrong_attempt_is_quarantined_and_a_fifth_erase_is_over_budget(office):
    """The director lies about attempts; then it hurries."""
    life = office.life
    bad = office.want(office.release("plain"))
    life.is_app_healthy = False
    life.director.lie, life.director.number = "attempt", 0
    life.live(HOUR_S)
    assert life.witness.failures == {bad.digest: 1}
    assert has_told(life, REFUSED, codes.REASON_QUARANTINED)
    office.make_honest()
    for _ in range(3):
        office.want(office.release("plain"))
        life.live(HOUR_S)
    refuses(office, office.release("plain"), codes.REASON_BUDGET)
    life.live(2 * DAY_S)  # the hours before power was lost count for less
    assert life.runs == life.director.wanted


def test_the_policy_refuses_by_name(office):
    """Old, stranger's, unfit: nothing that was signed for something else."""
    life = office.life
    old = office.release("plain")
    office.settle(office.release("plain"))
    refuses(office, old, codes.REASON_SEQUENCE_LOW)
    refuses(office, office.release("plain", signers=(106,)), codes.REASON_UNAUTHORISED)
    refuses(office, office.release("plain", epoch_step=1025), codes.REASON_EPOCH_JUMP)
    refuses(office, office.release("plain", lowers=True), codes.REASON_VERSION_LOW)
    runs = life.runs
    office.recovery(names_accepted=False)
    life.live(HOUR_S)
    assert (life.runs, life.refused[codes.REASON_RECOVERY_NOT_FOR_THIS]) == (runs, 1)
    office.settle(office.release("plain", epoch_step=1))
    refuses(office, office.release("plain", epoch_step=-1), codes.REASON_EPOCH_LOW)


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


def test_release_keys_are_rotated(office):
    """Kept as boot sets, the old release boots on; dropped, only an install by the new set helps."""
    life = office.life
    by_old_keys = office.release("plain")
    old = life.runs
    office.rotate_release(keeps=True, threshold=2)
    life.live(HOUR_S)
    life.live(60)
    assert life.runs == old
    refuses(office, by_old_keys, codes.REASON_UNAUTHORISED)
    office.rotate_release(keeps=False, threshold=1)
    life.director.wanted = None
    life.live(60)
    life.live(60)
    assert (life.runs, life.events["recovery agent: nothing boots"]) == (None, 1)
    office.settle(office.release("plain"))


def test_roots_and_directors_are_rotated(office):
    """And what thieves of the former ones make is counted."""
    life = office.life
    office.rotate_root(2)
    office.rotate_director()
    office.settle(office.release("plain"))
    assert life.agent.loader.anchor.version == 3
    for kind in BAD_ANCHORS:
        assert office.forge_anchor(kind)
        assert life.events["forged anchor: " + kind] == 1
    office.rotate_root(1)
    for kind in FORGERIES:
        office.replay(kind, 0)
        assert life.events["forged offer: " + kind] == 1
    assert life.agent.loader.anchor.version == 4


def test_cuts_inside_a_walk_lose_no_anchor(office):
    """In either copy and in the ratchet, at each operation: never row 1, and the walk ends at the newest."""
    life = office.life
    for region in ("anchor_a", "anchor_b", "anchor_a", "anchor_b", "ratchet"):
        for after in range(2 if region != "ratchet" else 1):
            office.step()
            life.flash.cut(after, after, REGIONS[region])
            life.live(HOUR_S)
            life.flash.call_off()
            assert life.agent.loader.anchor.version == life.chain.head.version
    assert life.flash.cuts >= 5
    assert life.events["boot row 1"] == 0


def test_a_cut_before_the_ratchet_is_finished_at_boot(office):
    """R keeps a release that was confirmed, also if it is barred later."""
    life = office.life
    office.settle(office.release("plain"))
    before = life.witness.accepted
    office.want(office.release("plain"))
    life.flash.cut(0, 1, REGIONS["ratchet"])
    life.live(HOUR_S)
    assert life.flash.cuts == 1
    assert life.witness.accepted.sequence > before.sequence
    office.bar(life.runs)
    life.live(60)
    life.live(60)
    assert life.runs == before.digest
    assert life.agent.loader.accepted.digest == life.witness.accepted.digest


def test_a_release_on_trial_is_barred(office):
    """It is not confirmed, and the report says why."""
    life = office.life
    before = life.runs
    release = office.want(office.release("plain"))
    life.one_boot()
    assert life.witness.events["pending"] == 1
    office.bar(release.digest)
    life.live(HOUR_S)
    assert life.runs == before
    assert life.witness.events[f"failed {codes.REASON_BARRED}"] == 1
    assert has_told(life, REVERTED, codes.REASON_BARRED)
    assert life.witness.events["confirmed"] == 0


def test_what_runs_is_barred(office):
    """The older one is the fallback; without one the recovery agent installs what comes next."""
    life = office.life
    first = life.runs
    office.settle(office.release("plain"))
    life.director.wanted = None
    office.bar(life.runs)
    life.live(60)
    life.live(60)
    assert (life.runs, life.events["fallback"]) == (first, 1)
    office.bar(first)
    life.live(60)
    life.live(60)
    assert (life.runs, life.events["recovery agent: nothing boots"]) == (None, 1)
    office.settle(office.release("plain"))


def test_rot_of_anchors_and_ratchet(office):
    """Row 1 until the walk is back; a ratchet that is lost is reported, and written again."""
    life = office.life
    office.settle(office.release("plain"))
    office.step()
    life.live(60)
    before = life.events["boot row 1"]
    life.rot("anchor_a", 60)
    life.rot("anchor_b", 60)
    life.live(60)
    assert life.events["boot row 1"] == before + 1
    office.settle(office.release("plain"))
    start, size = REGIONS["ratchet"]
    for at in range(0, size, 512):
        if life.flash.store[start + at] != 255:
            life.rot("ratchet", at)
    life.live(60)
    assert has_told(life, codes.EVENT_NOTICED, codes.REASON_RATCHET_LOST)
    office.settle(office.release("plain"))


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


def test_time_expires_an_anchor_and_the_root_renews_it(office):
    """A director that lies about the time stops installs, no more; a new anchor ends it."""
    life = office.life
    life.director.lie = "future"
    life.live(2 * DAY_S)
    refuses(office, office.release("plain"), codes.REASON_ANCHOR_EXPIRED)
    office.settle(office.release("plain"))
    assert life.chain.head.version == 2


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


def test_a_director_that_lies_without_signing_gains_nothing(office):
    """Silence, hold, none, an anchor that nobody has: the device runs what it ran."""
    life = office.life
    runs = life.runs
    office.want(office.release("plain"))
    life.director.is_silent = True
    life.live(HOUR_S)
    life.director.is_silent = False
    for lie in ("hold", "none", "newer-anchor"):
        life.director.lie, life.director.told = lie, 0
        life.live(HOUR_S)
        assert life.director.told
    assert life.runs == runs
    assert life.refused[codes.REASON_ANCHOR_BEHIND] >= 1
    office.make_honest()
    life.live(HOUR_S)
    assert life.runs == life.director.wanted
