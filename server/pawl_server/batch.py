"""A batch of messages as it is taken: message by message, it becomes what has to be written, told and counted.

Refuses what it can't take by name; the next message finds what this one changed. No database, no broker.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pawl.names import event_name, reason_name
from pawl_server.domain import clones, director, outcomes
from pawl_server.domain.changes import Changes, Refusal
from pawl_server.domain.fleet import Assignment, Device, Flag
from pawl_server.domain.outcomes import SignedReport
from pawl_server.domain.registration import Candidate, Registration
from pawl_server.domain.versions import version_key, version_text
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
    require_log,
)
from pawl_server.mqtt.inbox import Message
from pawl_server.offering import OfferDesk
from pawl_server.rates import Limits


@dataclass(slots=True, kw_only=True)
class Known:
    """What the store says of the senders of a batch; `reports` are (device, digest) of those that came before.

    `stopped` are devices whose rollout was paused, cancelled or goes back, and that weren't told yet.
    """

    devices: dict[str, Device] = field(default_factory=dict)
    assignments: dict[tuple[str, bytes], Assignment] = field(default_factory=dict)
    reports: set[tuple[str, bytes]] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a batch is taken by: who signs offers, how many messages are taken, who may come without an enrolment."""

    desk: OfferDesk
    limits: Limits
    registration: Registration = Registration.PRE_REGISTERED


class Batch:
    """The fleet as far as a batch concerns it; `doubtful` are reports that came after a newer one of their device."""

    def __init__(self, known: Known, rules: Rules, now_s: int) -> None:
        self.changes = Changes()
        self.events: list[Event] = []
        self.doubtful: list[SignedReport] = []
        self._known = known
        self._rules = rules
        self._now_s = now_s

    def take(self, message: Message) -> None:
        """Take one message, or count why not."""
        sender = NOBODY
        try:
            address = read_address(message.topic)
            device = self._enrolled(message, address)
            sender = device.name
            _require_fresh(message, address)
            self._require_rate(address)
            _TAKERS[address.kind](self, device, message.payload)
        except RefusedError as error:
            self._refuse(sender, error)

    def _enrolled(self, message: Message, address: Address) -> Device:
        device = self._known.devices.get(address.device)
        if device is not None:
            return device
        is_hello = address.kind is Kind.HELLO and not message.retained
        if is_hello and self._rules.registration is Registration.CLAIM:
            self._note_candidate(address, message.payload)
            raise RefusedError(address.kind, Fault.UNCLAIMED)
        raise RefusedError(address.kind, Fault.UNKNOWN_DEVICE)

    def _note_candidate(self, address: Address, payload: bytes) -> None:
        """Show who said hello; nothing else comes of it."""
        if not self._rules.limits.take_candidate():
            raise RefusedError(address.kind, Fault.RATE)
        vendor, class_id = read_hello(payload).ids
        self.changes.candidates[address.device] = Candidate(
            device=address.device,
            vendor=vendor,
            class_id=class_id,
            first_seen_s=self._now_s,
            last_seen_s=self._now_s,
        )

    def _require_rate(self, address: Address) -> None:
        if not self._rules.limits.take(address.device, is_report=address.kind is Kind.REPORT):
            raise RefusedError(address.kind, Fault.RATE)

    def _refuse(self, sender: str, error: RefusedError) -> None:
        self.changes.refusals[Refusal(device=sender, where=str(error.where), reason=str(error.reason))] += 1
        self.events.append(MessageRefused(device=sender, where=str(error.where), reason=str(error.reason)))

    def _take_hello(self, device: Device, payload: bytes) -> None:
        hello = read_hello(payload)
        greeted = replace(
            device,
            nonce=hello.nonce,
            former_nonce=clones.former_nonce(device, hello.nonce),
            nonce_at_s=device.nonce_at_s if hello.nonce == device.nonce else self._now_s,
            # A hello that got no answer comes again with the same nonce. Numbers rise over all nonces: a hello of
            # yesterday that somebody repeats must not lead to an offer that was made before.
            first_number=device.first_number if hello.nonce == device.nonce else device.next_number,
            hello=bytes(payload),
            boots=hello.boots,
            running=hello.running,
            agent=hello.agent,
            ratchet=hello.ratchet,
            last_seen_s=self._now_s,
        )
        self.events.append(HelloReceived(device=device.name, boots=hello.boots, running=hello.running))
        self._take_hints(device.name, hello)
        made = self._rules.desk.serve(self.changes, greeted, self._current(greeted), self._now_s)
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
        if device.assigned is None:
            return None
        current = self._known.assignments.get((device.name, device.assigned))
        # The engine hasn't come to it yet: until then nobody is asked for what was stopped.
        return director.hold(current) if current and device.name in self._known.stopped else current

    def _take_report(self, device: Device, payload: bytes) -> None:
        report = read_report(payload, device.enrolment)
        if (device.name, report.digest) in self._known.reports:
            raise RefusedError(Kind.REPORT, Fault.REPLAYED)
        is_newer = outcomes.is_newer(device, report)
        if not is_newer:
            self.doubtful.append(report)
            if not outcomes.answers_newest(device, report):
                raise RefusedError(Kind.REPORT, Fault.REPLAYED)
        heard = _heard(device, report, self._now_s)
        if is_newer:
            heard = replace(heard, last_report=report.id)
        reason = clones.suspicion(device, report)
        if reason is not None:
            heard = self._flagged(heard, reason)
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

    def flag(self, name: str, reason: str) -> None:
        """Flag a device, as something about it was found beside its messages."""
        self.changes.devices[name] = self._flagged(self._known.devices[name], reason)
        self._reload(name)

    def _flagged(self, device: Device, reason: str) -> Device:
        """Flag a device; the first flag stays until people cleared it, and says enough."""
        if device.flag is not None:
            return device
        self.events.append(DeviceFlagged(device=device.name, reason=reason))
        return replace(device, flag=Flag(at_s=self._now_s, reason=reason))

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
        self.events.append(AssignmentSettled.of(after))

    def _keep(self, assignment: Assignment) -> None:
        self.changes.keep_assignment(assignment)
        self._known.assignments[assignment.device, assignment.release] = assignment

    def _reload(self, name: str) -> None:
        """Let the next message of the batch see what this one changed."""
        self._known.devices[name] = self.changes.devices[name]
        self._known.assignments.update(
            {key: one for key, one in self.changes.assignments.items() if key[0] == name}
        )


def _heard(device: Device, report: SignedReport, now_s: int) -> Device:
    """Return the device after what a report says of it; its highest number stays, as what was said before must not count again."""
    if report.ratchet is None:
        return replace(device, last_seen_s=now_s)
    version = report.confirmed_version
    return replace(
        device,
        ratchet=report.ratchet,
        confirmed_version=None if version is None else version_text(version),
        confirmed_version_key=None if version is None else version_key(version),
        last_seen_s=now_s,
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
