"""Devices that say nothing, on a server that runs: T46."""

from pawl import codes

SILENCE_S = 3600
PACE_S = 10  # what the server adds for the delay that offers ask for
RETRY_S = 4500  # the longest pause before a silent device is asked once more
DAY_S = 86400


def everybody(**changes):
    return [{"kind": "percent", "size": 100, **changes}]


def test_t46_a_phase_with_silent_devices_ends(attack, site):
    """They count as failures when their time is over, not before; the next phase never begins, and people are told."""
    row = attack("T46", "2 of 6 canaries say nothing at all")
    release = site.release(102)
    canaries = site.join("quiet", 6, {release: codes.REASON_OK})
    for client in canaries[:2]:
        client.answers.clear()
    production = site.join("quiet-later", 4, {release: codes.REASON_OK})
    phases = [{"kind": "group", "group": name, "failure_count": 2} for name in ("quiet", "quiet-later")]
    plan = {"phases": phases, "silence_s": SILENCE_S, "tries_max": 1}
    site.roll_out("silence", release, ["quiet", "quiet-later"], **plan)
    site.settle(canaries)
    assert site.counts("silence")[0] == {"open": 2, "succeeded": 4}
    site.settle(canaries, SILENCE_S + PACE_S)
    assert site.rollout("silence")["state"] == "running"
    site.settle(canaries, 1)
    shown = site.rollout("silence")
    assert shown["state"] == "paused"
    row.failed("quiet-0: silent" in shown["reason"], True, "silent")
    assert site.counts("silence") == [{"failed": 2, "succeeded": 4}, {"waiting": 4}]
    assert site.attention("quiet-0") == site.attention("quiet-1") == {"failed": "silent"}
    assert canaries[0].offers[-1].action == codes.OFFER_NONE
    # One was only late: what it says, signed, repairs its failure, and only its own.
    late = canaries[0]
    late.boots, late.number, late.confirmed = 2, 0, release
    site.do(late.report(codes.EVENT_INSTALLED, release))
    site.settle(canaries, DAY_S)
    assert site.counts("silence")[0] == {"failed": 1, "succeeded": 5}
    assert "failed" not in site.attention("quiet-0")
    assert site.attention("quiet-1")["failed"] == "silent"
    row.kept([client.installs() for client in production], [[]] * 4, "the phase resolved; production unasked")
    site.command("silence", "cancel")


def test_t46_a_hello_is_no_sign_of_life(attack, site):
    """Whoever can publish hellos for a silent device, which nobody signs, doesn't keep its phase open."""
    row = attack("T46", "a silent device in whose name hellos are said")
    release = site.release(112)
    [client] = site.join("mute", 1)
    site.roll_out("mute", release, ["mute"], silence_s=SILENCE_S, tries_max=1)
    site.settle([client])
    for _ in range(3):
        site.settle([client], SILENCE_S // 3)
        site.do(client.hello())
    site.settle([client], PACE_S + 1)
    row.failed("mute-0: silent" in site.rollout("mute")["reason"], True, "silent")
    row.kept(site.counts("mute"), [{"failed": 1}], "the phase resolved")
    site.command("mute", "cancel")


def test_t46_silent_after_it_was_held(attack, site):
    """While it is held nobody waits for it; asked again, its time begins anew, and it is asked as often as the plan says."""
    row = attack("T46", "silent after hold and resume, asked twice")
    release = site.release(122)
    [client] = site.join("held", 1)
    site.roll_out("held", release, ["held"], silence_s=SILENCE_S, tries_max=5)
    site.settle([client])
    site.command("held", "pause")
    site.settle([client])
    assert client.offers[-1].action == codes.OFFER_HOLD
    site.settle([client], 3 * DAY_S)
    assert site.counts("held") == [{"held": 1}]
    site.command("held", "resume")
    site.settle([client])
    site.settle([client], SILENCE_S)
    assert site.counts("held") == [{"open": 1}]
    for pause_s in (SILENCE_S, RETRY_S, SILENCE_S + 2 * PACE_S):
        assert site.rollout("held")["state"] == "running"
        site.settle([client], pause_s)
    row.failed("held-0: silent" in site.rollout("held")["reason"], True, "silent")
    site.settle([client], 30 * DAY_S)
    offered = len(client.installs())
    row.kept((site.counts("held"), offered), ([{"failed": 1}], 3), "asked, resumed, once more: 3 offers")
    site.command("held", "cancel")


def test_t46_silent_on_the_way_back(attack, site):
    """The recovery doesn't wait for ever either: the rollout ends, and names who is left with the bad release."""
    row = attack("T46", "silent while the recovery is brought to it")
    bad = site.release(132)
    recovery = site.recovery(133, 132)
    fleet = site.join("lost", 2, {bad: codes.REASON_OK, recovery: codes.REASON_OK})
    fleet[1].answers[recovery] = None
    site.roll_out("lost", bad, ["lost"], recovery=recovery, silence_s=SILENCE_S, stays_open=True)
    site.settle(fleet)
    site.command("lost", "roll-back")
    site.settle(fleet)
    assert site.counts("lost") == [{"recovered": 1, "recovering": 1}]
    for _ in range(4):
        site.settle(fleet, RETRY_S)
    row.failed(site.attention("lost-1")["failed"], "unrecovered: silent", "unrecovered: silent")
    assert site.rollout("lost")["state"] == "rolled-back"
    row.kept(site.counts("lost"), [{"recovered": 1, "unrecovered": 1}], "the way back resolved")
