"""Reports that come late, again, or from an earlier life of a device: T29."""

import factory
from fleet_bench import speaking_of
from served import NAME, serving
from simulator import partition
from test_server_attacks import report

from pawl import codes, topics
from pawl_server.domain.fleet import AssignmentState

UP = topics.up(partition(), NAME, "report")


def own(message):
    """Sign as the device does."""
    return factory.p256.sign(factory.STRANGER.secret, message)


def test_t29_report_pairs_that_fall(attack, tmp_path):
    """A lower (boots, number) counts only with the newest offer of the server in it, and then it flags the device."""
    row = attack("T29", "report pairs that fall: without, and with, the newest offer in them")
    with serving(tmp_path) as (server, target):
        digest = target.assign(2)
        target.broker.retained.clear()
        target.run(timeout_s=5)
        before = target.snapshot(), server.assignment()
        accepted = target.agent.offers.accepted()
        old = (accepted[0], accepted[1] - 1)
        server.take(UP, report(own, digest=digest, event=codes.EVENT_NOTICED, boots=100, number=5))
        for boots, number, words in ((100, 4, None), (99, 9, None), (99, 9, old), (2, 9, old)):
            server.take(UP, report(own, digest=digest, boots=boots, number=number, accepted=words))
        row.refused(*{reason for _, _, reason in server.refusals()}, "replayed")
        assert server.refusals()[(NAME, "report", "replayed")] == 4
        assert server.device().flag is None
        row.kept(before, (target.snapshot(), server.assignment()))
        fallen = report(own, digest=digest, event=codes.EVENT_NOTICED, boots=99, number=9, accepted=accepted)
        server.take(UP, fallen)
        assert server.device().flag.reason == "report-number-fell"
        server.take(UP, fallen)
        assert server.refusals()[(NAME, "report", "replayed")] == 5


def test_t29_a_withheld_revert_of_another_release(attack, tmp_path):
    """The broker keeps the revert of release 2 and lets it go when release 3 is wanted: 3 doesn't fail by it."""
    row = attack("T29", "withheld revert of one release, let go while another is wanted")
    with serving(tmp_path) as (server, target):
        two = target.assign(2)
        target.broker.retained.clear()
        target.run(timeout_s=5)
        three = target.assign(3)
        target.broker.retained.clear()
        target.run(timeout_s=5)
        before = target.snapshot()
        wanted = server.assignment()
        assert (wanted.release, wanted.state) == (three, AssignmentState.OFFERED)
        late = {
            "boots": 1 << 20,
            "event": codes.EVENT_REVERTED,
            "reason": codes.REASON_TRIALS,
            "suit_report": speaking_of(two, codes.REASON_TRIALS),
        }
        server.take(UP, report(own, number=1, **late))
        row.failed(server.assignment() == wanted, True, "(settles release 2 only)")
        assert server.assignment(release=two).state == AssignmentState.FAILED
        server.take(UP, report(own, number=2, **{**late, "suit_report": None}))
        row.failed(server.assignment() == wanted, True, "(settles release 2 only)")
        assert server.refusals() == {}, "both were heard, and neither settled what is wanted"
        row.kept(before, target.snapshot())
