"""The server's link against a real mosquitto: nothing acknowledged is lost, through kills on both sides."""

import asyncio
import os
import signal
import time

import pytest

from pawl_server.mqtt.broker_config import MESSAGE_MAX_BYTES
from pawl_server.mqtt.inbox import Inbox, Message, Received
from pawl_server.mqtt.link import LinkError, MqttLink

WAIT_S = 20
UP = "pawl/d/7/bench-1/up/hello"


async def _until(fact):
    deadline = time.monotonic() + WAIT_S
    while not fact():
        assert time.monotonic() < deadline, "waited too long"
        await asyncio.sleep(0.01)


class Collector:
    """A handler that keeps what it gets, and raises as often as asked."""

    def __init__(self, failures=0):
        self.batches = []
        self.failures = failures

    async def __call__(self, batch):
        """Be the handler."""
        if self.failures:
            self.failures -= 1
            raise OSError("the database is away")
        self.batches.append(batch)

    def payloads(self):
        """Return all payloads, in order."""
        return [message.payload for batch in self.batches for message in batch]


async def _nothing(batch):
    raise AssertionError(batch)


def test_messages_arrive_in_order_and_in_batches(bench):
    """A burst of 1000 messages comes in order, 200 at most at a time, in few batches."""

    async def scenario():
        received = Collector()
        sink, source = (
            MqttLink(bench.link_settings(), received),
            MqttLink(bench.link_settings("worker"), _nothing),
        )
        await sink.start(["pawl/d/+/+/up/#"])
        await source.start()
        sent = [str(number).encode() for number in range(1000)]
        await asyncio.gather(*(source.publish(UP, payload) for payload in sent))
        await _until(lambda: len(received.payloads()) >= 1000)
        await source.stop()
        await sink.stop()
        assert received.payloads() == sent
        assert max(len(batch) for batch in received.batches) <= 200
        assert len(received.batches) < 100

    with bench.broker():
        asyncio.run(scenario())


def test_a_retained_message_is_marked_so(bench):
    """The handler can tell what was retained from what is live."""

    async def scenario():
        received = Collector()
        source, sink = (
            MqttLink(bench.link_settings("worker"), _nothing),
            MqttLink(bench.link_settings(), received),
        )
        await source.start()
        await source.publish("pawl/k/2", b"anchor", retain=True)
        await sink.start(["pawl/k/+"])
        await _until(received.payloads)
        await source.publish("pawl/k/3", b"other", qos=0)
        await _until(lambda: len(received.payloads()) == 2)
        await sink.stop()
        await source.stop()
        messages = [message for batch in received.batches for message in batch]
        assert messages[0] == Message(topic="pawl/k/2", payload=b"anchor", retained=True)
        assert not messages[1].retained

    with bench.broker():
        asyncio.run(scenario())


def test_the_session_keeps_messages_while_nobody_is_there(bench):
    """What is published between two lives of a worker reaches the second."""

    async def scenario():
        received = Collector()
        first, source = (
            MqttLink(bench.link_settings(), _nothing),
            MqttLink(bench.link_settings("worker"), _nothing),
        )
        await first.start(["pawl/d/+/+/up/#"])
        await first.stop()
        await source.start()
        await source.publish(UP, b"1")
        second = MqttLink(bench.link_settings(), received)
        await second.start(["pawl/d/+/+/up/#"])
        await _until(received.payloads)
        await second.stop()
        await source.stop()
        assert received.payloads() == [b"1"]

    with bench.broker():
        asyncio.run(scenario())


def test_what_was_not_acknowledged_is_delivered_again(bench):
    """A worker that goes away in mid-batch gets, in its next life, all that its handler had not finished."""

    async def scenario():
        given = []

        async def dies(batch):
            given.extend(batch)
            raise OSError("commit failed")

        first, source = (
            MqttLink(bench.link_settings(), dies),
            MqttLink(bench.link_settings("worker"), _nothing),
        )
        await first.start(["pawl/d/+/+/up/#"])
        await source.start()
        await asyncio.gather(*(source.publish(UP, bytes((number,))) for number in range(20)))
        await _until(lambda: given)
        await first.stop()
        received = Collector()
        second = MqttLink(bench.link_settings(), received)
        await second.start(["pawl/d/+/+/up/#"])
        await _until(lambda: len(received.payloads()) >= 20)
        await second.stop()
        third = MqttLink(bench.link_settings(), _nothing)  # acknowledged now: nothing comes a third time
        await third.start(["pawl/d/+/+/up/#"])
        await asyncio.sleep(0.3)
        await third.stop()
        await source.stop()
        assert received.payloads() == [bytes((number,)) for number in range(20)]

    with bench.broker():
        asyncio.run(scenario())


def test_a_handler_that_fails_gets_the_same_batch_again(bench):
    """A database that is away for a moment costs a pause, no message, no reconnect."""

    async def scenario():
        received = Collector(failures=2)
        sink, source = (
            MqttLink(bench.link_settings(), received),
            MqttLink(bench.link_settings("worker"), _nothing),
        )
        await sink.start(["pawl/d/+/+/up/#"])
        await source.start()
        await source.publish(UP, b"1")
        await _until(received.payloads)
        await sink.stop()
        await source.stop()
        assert received.payloads() == [b"1"] and sink.inbox.failures == 2

    with bench.broker():
        asyncio.run(scenario())


def _save(broker):
    """Make mosquitto save its state now (SIGUSR1), and wait for the file."""
    path = broker.settings.folder / "mosquitto.db"
    os.kill(broker.pid, signal.SIGUSR1)
    deadline = time.monotonic() + WAIT_S
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert path.exists()


def test_a_killed_broker_costs_no_message(bench):
    """Killed in mid-stream, twice: both links reconnect by themselves, and every payload arrives.

    The kill comes when what was acknowledged has been passed on: mosquitto keeps the rest in memory until it saves.
    """

    async def scenario():
        broker = bench.broker()
        broker.start()
        received = Collector()
        sink, source = (
            MqttLink(bench.link_settings(), received),
            MqttLink(bench.link_settings("worker"), _nothing),
        )
        await sink.start(["pawl/d/+/+/up/#"])
        await source.start()
        sent = [str(number).encode() for number in range(600)]
        may_send = asyncio.Event()
        may_send.set()
        between_batches = asyncio.Event()
        begun = 0

        async def send():
            nonlocal begun
            for start in range(0, 600, 20):
                begun = start
                between_batches.set()
                await may_send.wait()
                between_batches.clear()
                await asyncio.gather(*(source.publish(UP, payload) for payload in sent[start : start + 20]))
            begun = len(sent)
            between_batches.set()

        _save(broker)
        sending = asyncio.create_task(send())
        for mark in (200, 400):
            await _until(lambda mark=mark: len(set(received.payloads())) >= mark)
            may_send.clear()
            await between_batches.wait()
            await _until(lambda: len(set(received.payloads())) == begun)
            os.kill(broker.pid, signal.SIGKILL)
            may_send.set()
            await asyncio.sleep(0.2)
            broker = await asyncio.to_thread(_restarted, broker)
        await asyncio.wait_for(sending, 60)
        await _until(lambda: set(received.payloads()) == set(sent))
        await source.stop()
        await sink.stop()
        broker.stop()
        assert sink.session_losses == 0

    asyncio.run(scenario())


def _restarted(broker):
    broker.stop()
    broker.start()
    return broker


def test_a_broker_that_forgot_the_session_is_noticed(bench):
    """After a crash before its first save the link subscribes again, counts the loss, and goes on."""

    async def scenario():
        broker = bench.broker()
        broker.start()
        received = Collector()
        link = MqttLink(bench.link_settings(), received)
        await link.start(["pawl/d/+/+/up/#"])
        os.kill(broker.pid, signal.SIGKILL)
        await asyncio.to_thread(_restarted, broker)
        await _until(lambda: link.session_losses == 1)
        await link.publish(UP, b"1")
        await _until(received.payloads)
        await link.stop()
        broker.stop()

    asyncio.run(scenario())


def test_publishing_is_refused_where_it_can_not_work(bench):
    """Before start, after stop, too large, or not allowed: an error at once, and no reconnect loop."""

    async def scenario():
        link = MqttLink(bench.link_settings(), _nothing)
        with pytest.raises(LinkError, match="doesn't run"):
            await link.publish(UP, b"")
        await link.start()
        with pytest.raises(ValueError, match="65536 is the most"):
            await link.publish(UP, bytes(MESSAGE_MAX_BYTES + 1))
        with pytest.raises(LinkError, match="refused"):
            await link.publish("elsewhere", b"")
        await link.publish("pawl/b/i/0/0", bytes(MESSAGE_MAX_BYTES))
        await link.stop()
        await link.stop()
        with pytest.raises(LinkError, match="doesn't run"):
            await link.publish(UP, b"")

    with bench.broker():
        asyncio.run(scenario())


def test_stop_ends_what_waits_for_an_acknowledgement(bench):
    """A publish that a dead broker will never acknowledge ends with an error when the link stops."""

    async def scenario():
        broker = bench.broker()
        broker.start()
        link = MqttLink(bench.link_settings(), _nothing)
        await link.start()
        os.kill(broker.pid, signal.SIGKILL)
        broker.stop()
        publishing = asyncio.create_task(link.publish(UP, b"1"))
        await asyncio.sleep(0.1)
        await link.stop()
        with pytest.raises(LinkError, match="stopped before"):
            await publishing

    asyncio.run(scenario())


def test_start_says_why_it_failed(bench):
    """No broker there: an error that names the address and the likely causes, within the timeout."""

    async def scenario():
        link = MqttLink(bench.link_settings(start_timeout_s=1.0), _nothing)
        with pytest.raises(LinkError, match=f"port {bench.settings.server_port}: .*is the broker there"):
            await link.start(["pawl/#"])

    asyncio.run(scenario())


def test_the_inbox_is_bounded_and_a_second_copy_takes_the_place_of_the_first():
    """Redelivery after a reconnect doesn't double what waits; acknowledgements go to the newest connection."""

    async def scenario():
        received, acknowledged = Collector(), []
        inbox = Inbox(received, acknowledged.append, capacity=2)

        def put(number, connection, payload):
            message = Message(topic=UP, payload=payload, retained=False)
            inbox.put(Received(message=message, connection=connection, number=number))

        for number in (1, 2, 3, 4, 5):
            put(number, 0, bytes((number,)))
        assert inbox.dropped == 1
        put(1, 1, b"\x01")
        assert inbox.dropped == 1
        running = asyncio.create_task(inbox.run())
        await _until(lambda: len(acknowledged) == 4)
        inbox.close()
        await running
        assert received.payloads() == [b"\x01", b"\x02", b"\x03", b"\x04"]
        assert [(one.number, one.connection) for one in acknowledged] == [(1, 1), (2, 0), (3, 0), (4, 0)]

    asyncio.run(scenario())


def test_a_flood_without_acknowledgements_takes_no_room_from_what_must_not_be_lost():
    """It has a bound of its own: a message that was dropped unacknowledged would come again after a reconnect only."""

    async def scenario():
        received, acknowledged = Collector(), []
        inbox = Inbox(received, acknowledged.append, capacity=4)

        def put(number, payload):
            message = Message(topic=UP, payload=payload, retained=False)
            inbox.put(Received(message=message, connection=0, number=number))

        for number in range(100):
            put(0, b"flood %d" % number)
        assert inbox.dropped == 96
        for number in range(1, 9):
            put(number, bytes((number,)))
        assert inbox.dropped == 96
        running = asyncio.create_task(inbox.run())
        await _until(lambda: len(acknowledged) == 12)
        for number in range(100):
            put(0, b"again %d" % number)
        assert inbox.dropped == 2 * 96
        await _until(lambda: len(acknowledged) == 16)
        inbox.close()
        await running
        assert [one.number for one in acknowledged] == [0] * 4 + list(range(1, 9)) + [0] * 4

    asyncio.run(scenario())


def test_a_session_that_somebody_subscribed_to_more_is_heard_for_its_own_topics_only(bench):
    """A session outlives connections, and its subscriptions with it: what isn't ours is acknowledged, and not handed on."""

    async def scenario():
        received = Collector()
        stranger = MqttLink(bench.link_settings(), _nothing)
        await stranger.start(["pawl/#"])
        await stranger.stop()
        link = MqttLink(bench.link_settings(receive_max=2), received)
        await link.start([UP])
        for number in range(6):
            await link.publish(f"{UP}/else", bytes((number,)))
            await link.publish(UP, bytes((number,)))
        await _until(lambda: link.strangers == 6 and link.inbox.is_empty)
        # What both subscriptions have comes twice, as it may after a reconnect.
        assert set(received.payloads()) == {bytes((number,)) for number in range(6)}
        assert {message.topic for batch in received.batches for message in batch} == {UP}
        await link.stop()

    with bench.broker():
        asyncio.run(scenario())
