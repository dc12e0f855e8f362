"""The nouns of the fleet as values: devices, releases, assignments. Each is what one row of the store says."""

import re
from dataclasses import dataclass
from enum import StrEnum

from pawl import codes
from pawl.identity import partition_of
from pawl.ports.host.verifier import p256_public_key

DEVICE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
# So many final failures in a row, and no rollout takes the device until an operator cleared it.
QUARANTINE_FAILURES = 3
_IDENTIFIER_BYTES = 16
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What provisioning tells the server of a device: vendor, class, and the key its reports are signed with."""

    device: str
    vendor: bytes
    class_id: bytes
    report_x: bytes
    report_y: bytes

    def __post_init__(self) -> None:
        """Refuse what no provisioned device could be; ValueError."""
        if not DEVICE_ID.fullmatch(self.device):
            raise ValueError(f"{self.device!r} is no device id: a-z, 0-9 and -, 63 at most")
        if len(self.vendor) != _IDENTIFIER_BYTES or len(self.class_id) != _IDENTIFIER_BYTES:
            raise ValueError("vendor and class have 16 bytes")
        p256_public_key(self.report_x, self.report_y)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportNumber:
    """Which report it is: of which boot, and which of that boot. Ordered: of one device, they only rise."""

    boots: int
    number: int

    def __lt__(self, other: "ReportNumber") -> bool:
        return (self.boots, self.number) < (other.boots, other.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratchet:
    """What a device says it confirmed: the digest is None if it was only provisioned."""

    sequence: int
    digest: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """Something about a device that people should look at; nothing is decided by it."""

    at_s: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """An enrolled device and what it said last.

    `nonce` is open; offers under it have the numbers from `first_number` on, the next one `next_number`, which never falls:
    so no pair of nonce and number is issued twice. `boots` and `running` are of the last hello, which is unsigned and kept
    in `hello`, as its newest log in `log`, `ratchet` of the last hello or report: for people to see, never to decide by. `last_report` is the highest
    that was accepted, `nonce_at_s` when the nonce was opened, `offered_at_s` when the newest offer was made, `fresh_at_s`
    when the newest one was made that a signed report accepted.
    """

    enrolment: Enrolment
    assigned: bytes | None = None
    nonce: bytes | None = None
    first_number: int = 0
    next_number: int = 0
    boots: int | None = None
    running: int | None = None
    ratchet: Ratchet | None = None
    last_report: ReportNumber | None = None
    last_seen_s: int | None = None
    enrolled_at_s: int | None = None
    fresh_at_s: int | None = None
    nonce_at_s: int | None = None
    offered_at_s: int | None = None
    is_late: bool = False
    flag: Flag | None = None
    hello: bytes | None = None
    log: bytes | None = None
    timezone: str = "UTC"
    confirmed_version: str | None = None
    confirmed_version_key: bytes | None = None
    former_nonce: bytes | None = None
    failures: int = 0
    attention_at_s: int | None = None
    attention_reason: str | None = None
    agent: str | None = None

    @property
    def name(self) -> str:
        """The device id."""
        return self.enrolment.device

    @property
    def partition(self) -> int:
        """The partition of its topics."""
        return int(partition_of(self.enrolment.device))

    @property
    def issued(self) -> tuple[bytes, int] | None:
        """Nonce and number of the newest offer, or None before the first one under the open nonce."""
        if self.nonce is None or self.next_number == self.first_number:
            return None
        return self.nonce, self.next_number - 1

    def proved_fresh_s(self) -> int | None:
        """Return when the device last proved to be fresh; a new one has from its enrolment on."""
        return self.enrolled_at_s if self.fresh_at_s is None else self.fresh_at_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """An imported release, named by its manifest digest."""

    digest: bytes
    sequence: int
    version: str
    index_digest: bytes
    size_bytes: int
    imported_at_s: int | None = None
    published_at_s: int | None = None
    is_retained: bool = False
    is_recovery: bool = False


class AssignmentState(StrEnum):
    """How far a device is on the way to the release it was assigned."""

    ASSIGNED = "assigned"
    OFFERED = "offered"
    HELD = "held"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


OPEN_STATES = frozenset({AssignmentState.ASSIGNED, AssignmentState.OFFERED, AssignmentState.HELD})


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferMark:
    """The first offer of an assignment under a nonce, and the device's boot count then."""

    nonce: bytes
    number: int
    boots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A release that a device is meant to run. `attempt` is what the offer says.

    `failures` are the reverts reported, signed; or, after the device refused it as quarantined, as many as it says it stored.
    """

    device: str
    release: bytes
    state: AssignmentState = AssignmentState.ASSIGNED
    attempt: int = 1
    failures: int = 0
    reason: int = 0
    offered: OfferMark | None = None

    def __post_init__(self) -> None:
        """Refuse a release that isn't named by a digest."""
        if len(self.release) != _DIGEST_BYTES:
            raise ValueError("a release is named by the 32 bytes of its manifest digest")

    @property
    def is_open(self) -> bool:
        """Whether it isn't settled yet."""
        return self.state in OPEN_STATES

    @property
    def is_final(self) -> bool:
        """Whether the device refuses this release for good: it tried it as often as it may."""
        return self.state is AssignmentState.FAILED and self.reason == codes.REASON_QUARANTINE_FINAL
