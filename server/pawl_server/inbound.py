"""What devices send, parsed once at the edge: topics and messages become values, or are refused with a name.

A hello is unsigned: nothing but its nonce is to be believed. A report counts under the device's enrolled key only.
"""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pawl import codes, cose, heard, suit_report
from pawl.errors import ManifestError, PawlError
from pawl.identity import partition_of
from pawl.names import reason_name
from pawl.ports.host.verifier import verify
from pawl_server.domain.fleet import DEVICE_ID, Enrolment, Ratchet, ReportNumber
from pawl_server.domain.outcomes import SignedReport, Subject

UP_TOPICS = "pawl/d/+/+/up/#"
NOBODY = ""
AGENT_MAX = 64


class Kind(StrEnum):
    """What a device may send; the last part of its topic."""

    HELLO = "hello"
    REPORT = "report"
    LOG = "log"


class Fault(StrEnum):
    """Why the server refuses a message, beside the reasons that devices know."""

    TOPIC = "topic"
    PARTITION = "partition"
    UNKNOWN_KIND = "unknown-kind"
    UNKNOWN_DEVICE = "unknown-device"
    RETAINED = "retained"
    FOREIGN = "foreign"
    REPLAYED = "replayed"
    UNCLAIMED = "unclaimed"
    RATE = "rate"


class RefusedError(Exception):
    """A message that is dropped and counted; `where` is the kind of message, or `topic` where that isn't known."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where = where
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Who sent a message, as the broker's access list lets nobody else write there, and of which kind it is."""

    device: str
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What the server uses of a hello; `failed` gives the attempts that the device stored, by manifest digest.

    `ids` are vendor and class. `agent` names its software; None if that is nothing to show.
    """

    nonce: bytes
    boots: int
    running: int
    ratchet: Ratchet | None
    failed: dict[bytes, int]
    ids: tuple[bytes, bytes]
    agent: str | None


def read_address(topic: str) -> Address:
    """Return what `pawl/d/<p>/<device>/up/<kind>` says; raises RefusedError for any other spelling."""
    parts = topic.split("/")
    if len(parts) != 6 or (parts[0], parts[1], parts[4]) != ("pawl", "d", "up"):
        raise RefusedError("topic", Fault.TOPIC)
    partition, device, kind = parts[2], parts[3], parts[5]
    if not DEVICE_ID.fullmatch(device):
        raise RefusedError("topic", Fault.UNKNOWN_DEVICE)
    if partition != str(partition_of(device)):
        raise RefusedError("topic", Fault.PARTITION)
    return Address(device=device, kind=_kind(kind))


def _kind(text: str) -> Kind:
    try:
        return Kind(text)
    except ValueError as error:
        raise RefusedError("topic", Fault.UNKNOWN_KIND) from error


def read_hello(payload: bytes) -> Hello:
    """Return a hello; raises RefusedError with the device's reason."""
    try:
        hello = heard.read_hello(payload)
    except PawlError as error:
        raise RefusedError(Kind.HELLO, reason_name(error.code)) from error
    if hello.running > codes.RUNNING_RECOVERY:
        raise RefusedError(Kind.HELLO, reason_name(codes.REASON_MALFORMED))
    ratchet = _app_ratchet(hello.ratchets)
    failed = {bytes(digest): attempts for digest, attempts, _ in hello.failed}
    return Hello(
        nonce=bytes(hello.nonce),
        boots=hello.boots,
        running=hello.running,
        ratchet=ratchet,
        failed=failed,
        ids=(bytes(hello.ids[0]), bytes(hello.ids[1])),
        agent=_shown(hello.agent[0]),
    )


def _shown(text: str) -> str | None:
    return text if text.isprintable() and 0 < len(text) <= AGENT_MAX else None


def require_log(payload: bytes) -> None:
    """Raise RefusedError with the device's reason unless this is a log."""
    try:
        heard.read_log(payload)
    except PawlError as error:
        raise RefusedError(Kind.LOG, reason_name(error.code)) from error


def read_report(payload: bytes, sender: Enrolment) -> SignedReport:
    """Return the report that the sender's key signed; raises RefusedError with the device's reason, or as foreign."""
    key = cose.Key(codes.KTY_EC2, codes.ALG_ESP256, codes.CRV_P256, sender.report_x, sender.report_y)
    try:
        report = heard.open_report(payload, key, verify)
        subject = None if report.suit_report is None else suit_report.read(report.suit_report)
    except PawlError as error:
        raise RefusedError(Kind.REPORT, reason_name(error.code)) from error
    if report.device != sender.device:
        raise RefusedError(Kind.REPORT, Fault.FOREIGN)
    return SignedReport(
        device=report.device,
        id=ReportNumber(boots=report.boots, number=report.number),
        accepted=None if report.accepted is None else (bytes(report.accepted[0]), report.accepted[1]),
        ratchet=_app_ratchet(report.ratchets),
        confirmed_version=_app_version(report.ratchets),
        event=report.event,
        reason=report.reason,
        digest=report_digest(payload),
        subject=subject and Subject(release=bytes(subject.digest), reason=subject.reason),
    )


def report_digest(payload: bytes) -> bytes:
    """Return the digest of a report's signed content, which is not looked into; ManifestError if nothing is attached."""
    content = cose.read_sign1(payload).payload
    if content is None:
        raise ManifestError(codes.REASON_MALFORMED, "payload is missing")
    return hashlib.sha256(content).digest()


def _app_ratchet(ratchets: Any) -> Ratchet | None:
    release = ratchets.get(codes.IMAGE_APP)
    if release is None:
        return None
    return Ratchet(
        sequence=release.sequence, digest=None if release.digest is None else bytes(release.digest)
    )


def _app_version(ratchets: Any) -> tuple[int, ...] | None:
    release = ratchets.get(codes.IMAGE_APP)
    return None if release is None or release.version is None else tuple(release.version)
