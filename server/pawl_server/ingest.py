"""What devices said becomes rows and offers: a batch of messages, one transaction.

A bad message is dropped, counted under a name, and never stops the others. The link acknowledges the batch after the
commit, so a batch may come twice: hellos may repeat, a report that comes again is refused as replayed.

    events = await ingest.take(batch)
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from pawl.names import event_name, reason_name
from pawl_server.domain import outcomes
from pawl_server.domain.changes import Changes, Refusal
from pawl_server.domain.fleet import Assignment, Device
from pawl_server.events import AssignmentSettled, Event, HelloReceived, MessageRefused, ReportReceived
from pawl_server.inbound import (
    NOBODY,
    Address,
    Fault,
    Kind,
    RefusedError,
    read_address,
    read_hello,
    read_report,
)
from pawl_server.mqtt.inbox import Message
from pawl_server.offering import OfferDesk
from pawl_server.store import Store


class Ingest:
    """Takes batches from the link; the clock gives seconds since 1970."""

    def __init__(self, store: Store, desk: OfferDesk, clock: Callable[[], float]) -> None:
        self._store = store
        self._desk = desk
        self._clock = clock

    async def take(self, messages: list[Message]) -> list[Event]:
        """Store what a batch of messages says and what it leads to; return what happened, in order."""
        now_s = int(self._clock())
        names = list(_senders(messages))
        async with self._store.writing() as transaction:
            batch = Batch(
                await transaction.devices(names), await transaction.assignments(names), self._desk, now_s
            )
            for message in messages:
                batch.take(message)
            await transaction.write(batch.changes, now_s)
        return batch.events


def _senders(messages: Iterable[Message]) -> set[str]:
    senders = set()
    for message in messages:
        try:
            senders.add(read_address(message.topic).device)
        except RefusedError:
            continue
    return senders


class Batch:
    """The fleet as far as a batch concerns it: message by message, it becomes what has to be written."""

    def __init__(
        self, devices: dict[str, Device], assignments: dict[str, Assignment], desk: OfferDesk, now_s: int
    ) -> None:
        self.changes = Changes()
        self.events: list[Event] = []
        self._devices = devices
        self._assignments = assignments
        self._desk = desk
        self._now_s = now_s

    def take(self, message: Message) -> None:
        """Take one message, or count why not."""
        sender = NOBODY
        try:
            address = read_address(message.topic)
            device = self._enrolled(address)
            sender = device.name
            _require_fresh(message, address)
            _TAKERS[address.kind](self, device, message.payload)
        except RefusedError as error:
            self._refuse(sender, error)

    def _enrolled(self, address: Address) -> Device:
        device = self._devices.get(address.device)
        if device is None:
            raise RefusedError(address.kind, Fault.UNKNOWN_DEVICE)
        return device

    def _refuse(self, sender: str, error: RefusedError) -> None:
        self.changes.refusals[Refusal(device=sender, where=str(error.where), reason=str(error.reason))] += 1
        self.events.append(MessageRefused(device=sender, where=str(error.where), reason=str(error.reason)))

    def _take_hello(self, device: Device, payload: bytes) -> None:
        hello = read_hello(payload)
        greeted = replace(
            device,
            nonce=hello.nonce,
            # A hello that got no answer comes again with the same nonce; under one nonce, numbers only rise.
            next_number=device.next_number if hello.nonce == device.nonce else 0,
            boots=hello.boots,
            running=hello.running,
            ratchet=hello.ratchet,
            last_seen_s=self._now_s,
        )
        self.events.append(HelloReceived(device=device.name, boots=hello.boots, running=hello.running))
        made = self._desk.serve(self.changes, greeted, self._assignments.get(device.name), self._now_s)
        if made is not None:
            self.events.append(made)
        self._reload(device.name)

    def _take_report(self, device: Device, payload: bytes) -> None:
        report = read_report(payload, device.enrolment)
        if not outcomes.is_newer(device, report):
            raise RefusedError(Kind.REPORT, Fault.REPLAYED)
        self.changes.devices[device.name] = replace(
            device,
            last_report=report.id,
            ratchet=report.ratchet or device.ratchet,
            last_seen_s=self._now_s,
        )
        self.changes.reports.append(report)
        self.events.append(
            ReportReceived(
                device=device.name,
                boots=report.id.boots,
                number=report.id.number,
                event=event_name(report.event),
                reason=reason_name(report.reason),
            )
        )
        self._settle(device.name, report)
        self._reload(device.name)

    def _settle(self, name: str, report: outcomes.SignedReport) -> None:
        before = self._assignments.get(name)
        if before is None:
            return
        after = outcomes.outcome(before, report)
        if after == before:
            return
        self.changes.keep_assignment(after)
        settled = AssignmentSettled(
            device=name, release=after.release, state=after.state, reason=reason_name(after.reason)
        )
        self.events.append(settled)

    def _reload(self, name: str) -> None:
        """Let the next message of the batch see what this one changed."""
        self._devices[name] = self.changes.devices[name]
        before = self._assignments.get(name)
        if before is not None:
            self._assignments[name] = self.changes.assignments.get((name, before.release), before)


def _require_fresh(message: Message, address: Address) -> None:
    # Only what the broker had kept carries the mark: a nonce of yesterday is not open today.
    if message.retained:
        raise RefusedError(address.kind, Fault.RETAINED)


_TAKERS: dict[Kind, Callable[[Batch, Device, bytes], None]] = {
    Kind.HELLO: Batch._take_hello,  # noqa: SLF001  # the table belongs to the class
    Kind.REPORT: Batch._take_report,  # noqa: SLF001  # as above
}
