"""The other half of the history by hand: keys, anchors, directors and time. See `test_plain_history`."""

from board import REGIONS
from director import FORGERIES
from office import BAD_ANCHORS, DAY_S, HOUR_S

from pawl import codes

REVERTED = codes.EVENT_REVERTED


def test_release_keys_are_rotated(office):
    """Kept as boot sets, the old release boots on; dropped, only an install by the new set helps."""
    life = office.life
    by_old_keys = office.release("plain")
    old = life.runs
    office.rotate_release(keeps=True, threshold=2)
    life.live(HOUR_S)
    life.live(60)
    assert life.runs == old
    office.refuses(by_old_keys, codes.REASON_UNAUTHORISED)
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
    assert life.has_told(REVERTED, codes.REASON_BARRED)
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
    assert life.has_told(codes.EVENT_NOTICED, codes.REASON_RATCHET_LOST)
    office.settle(office.release("plain"))


def test_time_expires_an_anchor_and_the_root_renews_it(office):
    """A director that lies about the time stops installs, no more; a new anchor ends it."""
    life = office.life
    life.director.lie = "future"
    life.live(2 * DAY_S)
    office.refuses(office.release("plain"), codes.REASON_ANCHOR_EXPIRED)
    office.settle(office.release("plain"))
    assert life.chain.head.version == 2


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
