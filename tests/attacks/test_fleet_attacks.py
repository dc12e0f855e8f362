"""Devices of the fleet turned against its server, and copies of them: T45, T47."""

import factory
from served import NAME, serving
from simulator import partition
from test_server_attacks import report

from pawl import codes, topics
from pawl_server.mqtt.inbox import Message
from pawl_server.rates import HELLO_BURST, REPORT_BURST

UP = topics.up(partition(), NAME, "report")


def own(message):
    """Sign as the device does."""
    return factory.p256.sign(factory.STRANGER.secret, message)


def test_t45_a_storm_of_hellos_and_reports(attack, tmp_path):
    """What a device sends without end is answered, and verified, at a bounded rate."""
    row = attack("T45", "storm: a hello and a forged report, each a thousand times")
    with serving(tmp_path) as (server, target):
        target.run(timeout_s=5)
        before, numbers = target.snapshot(), server.device().next_number
        hello = next(one for one in target.broker.heard if one[0].endswith("/hello"))
        forged = (UP, report(own, device="bench-2"))
        storm = [Message(topic=topic, payload=payload, retained=False) for topic, payload in (hello, forged)]
        server.do(server.ingest.take(storm * 1000))
        refusals = server.refusals()
        row.refused(*{reason for _, where, reason in refusals if where == "hello"}, "rate")
        assert server.device().next_number - numbers < 2 * HELLO_BURST
        assert refusals[NAME, "report", "foreign"] < 2 * REPORT_BURST
        assert refusals[NAME, "report", "rate"] + refusals[NAME, "report", "foreign"] == 1000
        row.kept(before, target.snapshot())


def test_t47_a_copy_of_a_device_forks_its_report_numbers(attack, tmp_path):
    """Another report under a number that the device used: refused, and the device is flagged for people to look at."""
    row = attack("T47", "copy of a device: another report under a boot and number that came before")
    with serving(tmp_path) as (server, target):
        target.run(timeout_s=5)
        before = target.snapshot(), server.device().last_report
        last = server.device().last_report
        server.take(UP, report(own, event=codes.EVENT_NOTICED, boots=last.boots, number=last.number))
        row.refused(*{reason for _, _, reason in server.refusals()}, "replayed")
        assert server.device().flag.reason == "report-number-forked"
        row.kept(before, (target.snapshot(), server.device().last_report))
