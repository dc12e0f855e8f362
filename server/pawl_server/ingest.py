"""What devices said becomes rows and offers: a batch of messages, one transaction.

A bad message is dropped, counted under a name, and never stops the others. The link acknowledges the batch after the
commit, so a batch may come twice: hellos may repeat, a report that comes again is refused as replayed.

    await ingest.take(batch)
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from pawl.errors import PawlError
from pawl.names import event_name, reason_name
from pawl_server.domain import director, outcomes
from pawl_server.domain.changes import Changes, Refusal
from pawl_server.domain.fleet import Assignment, Device, Flag
from pawl_server.events import (
    AssignmentSettled,
    DeviceFlagged,
    DeviceFresh,
    Event,
    HelloReceived,
    MessageRefused,
    ReportReceived,
)
from pawl_server.inbound import (
    NOBODY,
    Address,
    Fault,
    Hello,
    Kind,
    RefusedError,
    read_address,
    read_hello,
    read_report,
    report_digest,
    require_log,
)
from pawl_server.mqtt.inbox import Message
from pawl_server.offering import OfferDesk
from pawl_server.store import Store, Transaction

# Why a device is flagged: its reports are of an earlier state of its flash, or of another device with its key.
REPORT_NUMBER_FELL = "report-number-fell"


class Ingest:
    """Takes batches from the link; the clock gives seconds since 1970."""

    def __init__(self, store: Store, desk: OfferDesk, clock: Callable[[], float]) -> None:
        self._store = store
        self._desk = desk
        self._clock = clock

    async def take(self, messages: list[Message]) -> None:
        """Store what a batch of messages says and what it leads to, and tell it."""
        now_s = int(self._clock())
        async with self._store.writing() as transaction:
            batch = Batch(await _known(transaction, messages), self._desk, now_s)
            for message in messages:
                batch.take(message)
            await transaction.write(batch.changes, now_s)
            transaction.tell(*batch.events)


@dataclass(slots=True, kw_only=True)
class Known:
    """What the store says of the senders of a batch; `reports` are (device, digest) of those that came before."""

    devices: dict[str, Device] = field(default_factory=dict)
    assignments: dict[tuple[str, bytes], Assignment] = field(default_factory=dict)
    reports: set[tuple[str, bytes]] = field(default_factory=set)


async def _known(transaction: Transaction, messages: list[Message]) -> Known:
    names = list(_senders(messages))
    return Known(
        devices=await transaction.devices(names),
        assignments=await transaction.every_assignment(names),
        reports=await transaction.reports.known(names, _report_digests(messages)),
    )


def _report_digests(messages: Iterable[Message]) -> set[bytes]:
    """Return the digests of what may be reports; whether they are is judged when their turn comes."""
    digests = set()
    for message in messages:
        try:
            if read_address(message.topic).kind is Kind.REPORT:
                digests.add(report_digest(message.payload))
        except (RefusedError, PawlError):
            continue
    return digests


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

    def __init__(self, known: Known, desk: OfferDesk, now_s: int) -> None:
        self.changes = Changes()
        self.events: list[Event] = []
        self._known = known
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
        device = self._known.devices.get(address.device)
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
            nonce_at_s=device.nonce_at_s if hello.nonce == device.nonce else self._now_s,
            # A hello that got no answer comes again with the same nonce. Numbers rise over all nonces: a hello of
            # yesterday that somebody repeats must not lead to an offer that was made before.
            first_number=device.first_number if hello.nonce == device.nonce else device.next_number,
            hello=bytes(payload),
            boots=hello.boots,
            running=hello.running,
            ratchet=hello.ratchet,
            last_seen_s=self._now_s,
        )
        self.events.append(HelloReceived(device=device.name, boots=hello.boots, running=hello.running))
        self._take_hints(device.name, hello)
        made = self._desk.serve(self.changes, greeted, self._current(greeted), self._now_s)
        if made is not None:
            self.events.append(made)
        self._reload(device.name)

    def _take_hints(self, name: str, hello: Hello) -> None:
        for release, attempts in hello.failed.items():
            before = self._known.assignments.get((name, release))
            after = before and director.take_hint(before, attempts)
            if after is not None and after != before:
                self._keep(after)

    def _current(self, device: Device) -> Assignment | None:
        return (
            None if device.assigned is None else self._known.assignments.get((device.name, device.assigned))
        )

    def _take_report(self, device: Device, payload: bytes) -> None:
        report = read_report(payload, device.enrolment)
        is_newer = outcomes.is_newer(device, report)
        if (device.name, report.digest) in self._known.reports:
            raise RefusedError(Kind.REPORT, Fault.REPLAYED)
        if not is_newer and not outcomes.answers_newest(device, report):
            raise RefusedError(Kind.REPORT, Fault.REPLAYED)
        heard = replace(device, ratchet=report.ratchet or device.ratchet, last_seen_s=self._now_s)
        heard = replace(heard, last_report=report.id) if is_newer else self._flagged(heard)
        if outcomes.is_fresh(device, report):
            heard = self._refreshed(heard, outcomes.proven_at_s(device, report))
        self.changes.devices[device.name] = heard
        self.changes.reports.append(report)
        self._known.reports.add((device.name, report.digest))
        self.events.append(
            ReportReceived(
                device=device.name,
                boots=report.id.boots,
                number=report.id.number,
                event=event_name(report.event),
                reason=reason_name(report.reason),
            )
        )
        for release in sorted(outcomes.concerned(report)):
            self._settle(device.name, release, report)
        self._reload(device.name)

    def _take_log(self, device: Device, payload: bytes) -> None:
        require_log(payload)
        self.changes.devices[device.name] = replace(device, log=bytes(payload), last_seen_s=self._now_s)
        self._reload(device.name)

    def _flagged(self, device: Device) -> Device:
        """Flag a device whose report numbers fell, and keep the highest: what it said before must not count again."""
        self.events.append(DeviceFlagged(device=device.name, reason=REPORT_NUMBER_FELL))
        return replace(device, flag=Flag(at_s=self._now_s, reason=REPORT_NUMBER_FELL))

    def _refreshed(self, device: Device, at_s: int | None) -> Device:
        if device.is_late:
            self.events.append(DeviceFresh(device=device.name))
        return replace(device, fresh_at_s=at_s, is_late=False)

    def _settle(self, name: str, release: bytes, report: outcomes.SignedReport) -> None:
        before = self._known.assignments.get((name, release))
        if before is None:
            return
        after = outcomes.outcome(before, report)
        if after == before:
            return
        self._keep(after)
        settled = AssignmentSettled(
            device=name, release=after.release, state=after.state, reason=reason_name(after.reason)
        )
        self.events.append(settled)

    def _keep(self, assignment: Assignment) -> None:
        self.changes.keep_assignment(assignment)
        self._known.assignments[assignment.device, assignment.release] = assignment

    def _reload(self, name: str) -> None:
        """Let the next message of the batch see what this one changed."""
        self._known.devices[name] = self.changes.devices[name]
        self._known.assignments.update(
            {key: one for key, one in self.changes.assignments.items() if key[0] == name}
        )


def _require_fresh(message: Message, address: Address) -> None:
    # Only what the broker had kept carries the mark: a nonce of yesterday is not open today.
    if message.retained:
        raise RefusedError(address.kind, Fault.RETAINED)


_TAKERS: dict[Kind, Callable[[Batch, Device, bytes], None]] = {
    Kind.HELLO: Batch._take_hello,  # noqa: SLF001  # the table belongs to the class
    Kind.REPORT: Batch._take_report,  # noqa: SLF001  # as above
    Kind.LOG: Batch._take_log,  # noqa: SLF001  # as above
}
