"""Forged and replayed reports on their way through the real broker to a server that runs: T29."""

import os
from collections import Counter

from fleet_bench import FakeFleetDevice, speaking_of
from test_broker_attacks import Link

from pawl import codes, topics
from pawl.identity import partition_of
from pawl.ratchet import Release as Confirmed

RELEASE = 202


def on_its_way(site, group, sequence):
    """Return a release and its rollout's devices: two that were asked and keep silent, two that wait for them."""
    release = site.release(sequence)
    asked, waiting = site.join(group, 2), site.join(f"{group}-later", 2)
    site.roll_out(group, release, [group, f"{group}-later"])
    site.settle([*asked, *waiting])
    assert site.counts(group) == [{"open": 2}, {"waiting": 2}]
    return release, asked, waiting


def success(device, release, keys=None, **fields):
    """Return a report that the release runs confirmed, signed by any key."""
    return device.report(codes.EVENT_INSTALLED, digest=release, keys=keys, **fields)


def test_t29_reports_on_another_devices_topics(attack, site):
    """An enrolled device with a certificate of its own: the broker takes nothing of it for anybody else."""
    row = attack("T29", "running server: an enrolled device reports on another one's topics")
    release, [victim, thief], _ = on_its_way(site, "topics", RELEASE)
    lie = success(victim.device, release, thief.device.keys, boots=5)
    before = site.counts("topics"), site.refusals(victim.name), site.refusals(thief.name)
    with Link(site.bench, thief.name) as link:
        answers = {
            link.publish(victim.device.topic(kind), payload=lie, retain=retain)
            for kind in ("report", "hello", "log")
            for retain in (False, True)
        }
    row.failed(answers, {False}, "not authorised (by the broker)")
    site.settle([victim])
    row.kept(before, (site.counts("topics"), site.refusals(victim.name), site.refusals(thief.name)))
    site.command("topics", "cancel")


def forgeries(site, victim, other, release):
    """Yield (topic, payload, the place and reason that operators are shown) of what is said in the victim's name."""
    device, topic = victim.device, victim.device.topic("report")
    for keys in (other.device.keys, site.fleet.keys.director, site.fleet.keys.release, site.fleet.keys.root):
        yield topic, success(device, release, keys, boots=9), ("report", "unauthorised")
    yield topic, success(other.device, release, boots=9), ("report", "unauthorised")
    alien = FakeFleetDevice(name=other.name, keys=device.keys)
    yield topic, success(alien, release, boots=9), ("report", "foreign")
    yield topic, success(device, release, boots=9) + bytes(1), ("report", "trailing-bytes")
    yield topic, b"\x81" * 100, ("report", "malformed")
    yield topic, b"", ("report", "malformed")
    yield topic, bytes(60_000), ("report", "too-large")
    yield device.topic("hello"), bytes(60_000), ("hello", "too-large")
    yield device.topic("hello"), b"\xff", ("hello", "malformed")
    yield device.topic("log"), b"\xff", ("log", "malformed")


def test_t29_what_the_brokers_owner_says_in_a_devices_name(attack, site):
    """Everything but the device's signature is his: each lie is refused by name, and shown at that device."""
    row = attack("T29", "running server: reports and hellos forged by the owner of the broker")
    release, [victim, other], _ = on_its_way(site, "forged", RELEASE + 1)
    lies = list(forgeries(site, victim, other, release))
    before, counts = site.refusals(victim.name), site.counts("forged")
    with Link(site.bench, "_server", client_id="_owner", side="server") as owner:
        for topic, payload, _ in lies:
            assert owner.publish(topic, payload=payload)
    wanted = Counter(told for *_, told in lies)
    site.until(lambda: sum(site.refusals(victim.name).values()) >= len(lies))
    assert (before, site.refusals(victim.name)) == ({}, wanted)
    for _, reason in sorted(wanted):
        row.refused(reason, reason)
    site.settle([victim, other])
    row.kept(counts, site.counts("forged"), "yes (phase counts)")
    site.command("forged", "cancel")


def test_t29_true_reports_again_late_and_elsewhere(attack, site):
    """What the device did sign says nothing new: sent again, held back, about another offer, or in another one's name."""
    row = attack("T29", "running server: true reports replayed, withheld, of another offer, of other devices")
    release, [victim, other], _ = on_its_way(site, "again", RELEASE + 2)
    topic = victim.device.topic("report")
    victim.boots, victim.number = 3, 0
    withheld = victim.signed(codes.EVENT_STARTED)
    refusal = speaking_of(release, codes.REASON_BLOCK_DIGEST)
    strange = {"reason": codes.REASON_BLOCK_DIGEST, "suit_report": refusal, "boots": 3}
    # Of a nonce that no offer has, and of a number below the offer that asked for this release.
    for number, accepted in ((2, (os.urandom(16), 1)), (3, (victim.nonce, victim.installs()[0].number - 1))):
        yield_nothing = victim.device.report(codes.EVENT_REFUSED, number=number, accepted=accepted, **strange)
        site.do(victim.publish("report", yield_nothing))
    said = [victim.device.report(codes.EVENT_STARTED, boots=3, number=4)]
    victim.sent = (3, 4)
    site.do(victim.publish("report", said[0]))
    site.settle([victim])
    before = site.refusals(victim.name), site.counts("again")
    assert before == ({}, [{"open": 2}, {"waiting": 2}])
    with Link(site.bench, "_server", client_id="_owner", side="server") as owner:
        for payload in (said[0], withheld, said[0]):
            assert owner.publish(topic, payload=payload)
        assert owner.publish(other.device.topic("report"), payload=said[0])
        elsewhere = topics.up((partition_of(victim.name) + 1) % 64, victim.name, "report")
        assert owner.publish(elsewhere, payload=said[0])
    site.until(lambda: site.refusals(victim.name).get(("report", "replayed")) == 3)
    site.until(lambda: site.refusals(other.name) == {("report", "unauthorised"): 1})
    row.refused("replayed", "replayed")
    row.refused("unauthorised", "unauthorised")
    site.settle([victim, other])
    row.kept(before[1], site.counts("again"), "yes (phase counts)")
    site.command("again", "cancel")


def test_t29_success_by_hello_only(attack, site):
    """The device itself, or who repeats its nonce, claims the release in a hello: the phase waits for a signed report."""
    row = attack("T29", "running server: success that only hellos claim")
    release, [victim, other], _ = on_its_way(site, "claimed", RELEASE + 3)
    counts = site.counts("claimed")
    lie = {codes.IMAGE_APP: Confirmed(2, release, (RELEASE + 3,), (bytes(32), 10))}
    payload = victim.device.hello(victim.nonce, boots=2, running=codes.RUNNING_B, ratchets=lie)
    site.do(victim.publish("hello", payload))
    site.until(lambda: site.ask("GET", f"/devices/{victim.name}")["boots"] == 2)
    site.settle([victim, other])
    row.failed(victim.offers[-1].action, codes.OFFER_INSTALL, "(no success: still asked)")
    row.kept(counts, site.counts("claimed"), "yes (phase counts)")
    site.command("claimed", "cancel")
