"""Time that an adversary tells, or stops telling: T03, T04, T32."""

import factory
import pytest
from served import NAME, serving
from target import DAY_S, Target
from test_offer_attacks import withheld
from test_roots import values

from pawl import codes, health
from pawl_server.events import DeviceLate
from pawl_server.freshness import FreshnessWatch
from pawl_server.settings import LATE_AFTER_S

EXPIRY = factory.ISSUED + 1000000


def told(target, first_s, days, *, runs_on=True):
    """Let the director say a time at every check-in of some days, which runs on with uptime or stands still."""

    async def tell(hello):
        target.changes["time"] = first_s + (int(target.port.loop.now_s) if runs_on else 0)
        await target.answer(hello)

    target.broker.on_hello = tell
    target.run(timeout_s=days * DAY_S)
    target.agent.clock.save()
    return target


@pytest.mark.parametrize("first_s", [EXPIRY + 1, 1 << 40], ids=["just past", "far future"])
def test_t03_an_expired_anchor_installs_no_intermediate_release(attack, first_s):
    """Away for so long that the anchor expired: a release newer than mine that was good then is refused now."""
    row = attack("T03", "intermediate release under an anchor that has expired by attested time")
    target = told(Target(), first_s, 2)
    before = target.snapshot()
    target.publish(factory.release(sequence=2, version=(2,)))
    row.refused(target.refusal(), codes.REASON_ANCHOR_EXPIRED)
    row.unchanged(before, target.snapshot())


def test_t32_one_far_time_expires_nothing(attack):
    """The same far future at every check-in of 10 days: no second offer bears the first one out."""
    row = attack("T32", "director thief says the year 36812 for 10 days, one value")
    target = told(Target(), 1 << 40, 10, runs_on=False)
    row.failed(target.agent.clock.is_expired(target.anchor), False, "(nothing expires)")
    target.publish(factory.release(sequence=2, version=(2,)))
    assert target.installs()
    row.kept(target.snapshot().ratchet[0], 2, "updated, on purpose")


def test_t32_a_day_apart_is_what_it_takes(attack):
    """Times past the expiry that agree with each other for 23 hours are not enough; with honest ones after, never."""
    row = attack("T32", "times past the expiry, 23 hours of them, then honest ones")
    target = told(Target(), EXPIRY + 1, 23 / 24)
    row.failed(target.agent.clock.is_expired(target.anchor), False, "(nothing expires)")
    told(target, factory.ISSUED + 5, 2)
    target.publish(factory.release(sequence=2, version=(2,)))
    assert target.installs()
    row.kept(target.snapshot().ratchet[0], 2, "updated, on purpose")


def test_t32_an_expired_anchor_stops_neither_boot_nor_walk(attack):
    """What runs boots, says hello, reports and walks; the anchor that it walks to lets it install again."""
    row = attack("T32", "expired anchor: boot, hello, report and walk go on")
    target = told(Target(), EXPIRY + 1, 2)
    target.publish(factory.release(sequence=2, version=(2,)))
    before = target.snapshot()
    target.broker.up.clear()
    row.refused(target.refusal(), codes.REASON_ANCHOR_EXPIRED)
    assert {kind for kind, _ in target.broker.up} >= {"hello", "report"}
    row.unchanged(before, target.snapshot())
    target.take_anchor(factory.anchor_file({**values(2), codes.ANCHOR_EXPIRY: EXPIRY * 2}))
    assert target.installs()


def test_t04_silence_is_noticed_by_the_application(attack):
    """A broker that only replays: after a day of uptime the application is told, over a reset too; one offer ends it."""
    row = attack("T04", "freeze: silence, seen by the application")
    target = Target()
    old = target.offer(number=9)
    before = target.snapshot()
    withheld(target, [old])
    target.run(timeout_s=DAY_S - 60)
    assert not health.stale()
    target.run(timeout_s=DAY_S // 8)
    row.refused(*target.agent.refusals, codes.REASON_OFFER_NONCE)
    row.failed(health.stale(), True, "health.stale")
    target.agent.clock.save()
    target.run(timeout_s=60)
    assert health.stale(), "a reset is no news"
    row.unchanged(before, target.snapshot())
    target.broker.on_hello = target.answer
    target.run(timeout_s=60)
    assert not health.stale()


def test_t04_silence_is_shown_by_the_server(attack, tmp_path):
    """Hellos that a broker repeats keep no device fresh: three check-ins without a signed proof make it late."""
    row = attack("T04", "freeze: hellos replayed to the server, the device cut off")
    with serving(tmp_path) as (server, target):
        target.run(timeout_s=10)
        before = target.snapshot()
        now_s = [server.now_s() + LATE_AFTER_S]
        watch = FreshnessWatch(server.store, lambda: now_s[0], limit_s=LATE_AFTER_S)
        told = server.fleet.told
        server.do(watch.look())
        assert DeviceLate(device=NAME) not in told
        hellos = [one for one in target.broker.heard if one[0].endswith("/hello")]
        for topic, payload in hellos * 3:
            server.take(topic, payload)
        now_s[0] += 1
        server.do(watch.look())
        row.failed(told[-1:], [DeviceLate(device=NAME)], "late")
        row.unchanged(before, target.snapshot())
