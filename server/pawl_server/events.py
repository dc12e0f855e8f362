"""What the server tells those who watch it; each event is one fact that the store holds already."""

import re
from dataclasses import dataclass
from typing import Self

from pawl_server.domain.fleet import Assignment, AssignmentState
from pawl_server.domain.reasons import reason_name
from pawl_server.domain.rollout import RolloutState
from pawl_server.judges import DisagreementError


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloReceived:
    """A device opened a nonce."""

    device: str
    boots: int
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferMade:
    """An offer was signed and queued: action 0 none, 1 install, 2 hold."""

    device: str
    number: int
    action: int
    release: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferSent:
    """The broker has the device's newest offer."""

    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReceived:
    """A device reported, signed; `event` and `reason` are names."""

    device: str
    boots: int
    number: int
    event: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFlagged:
    """Something about a device needs a look by people; `reason` is a name. Nothing was decided by it."""

    device: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLate:
    """A device has proved for too long, by no signed report, that it follows the newest offers."""

    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFresh:
    """A device that was late has proved that it follows the newest offers."""

    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorImported:
    """A trust anchor document follows the one before it: offers name it from now on."""

    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentSettled:
    """A report, a new anchor or silence settled what a device was assigned; `reason` is a name."""

    device: str
    release: bytes
    state: AssignmentState
    reason: str

    @classmethod
    def of(cls, settled: Assignment) -> Self:
        """Return the event of an assignment that was settled."""
        return cls(
            device=settled.device,
            release=settled.release,
            state=settled.state,
            reason=reason_name(settled.reason),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRefused:
    """A message was dropped and counted; `device` is empty if nobody enrolled said it."""

    device: str
    where: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutChanged:
    """A rollout began, went on, stopped or ended; `reason` says why it stopped."""

    rollout: int
    name: str
    state: RolloutState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseAsked:
    """Devices of a phase of a rollout were assigned its release; phases count from 0."""

    rollout: int
    phase: int
    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgesDisagreed:
    """An alarm: the two judges of releases differ; `case` is the folder that was kept, empty if there was no room."""

    detail: str
    case: str

    @classmethod
    def of(cls, error: DisagreementError) -> Self:
        """Return the event of a disagreement."""
        return cls(detail=str(error), case=str(error.case or ""))


Event = (
    HelloReceived
    | OfferMade
    | OfferSent
    | ReportReceived
    | DeviceFlagged
    | DeviceLate
    | DeviceFresh
    | AnchorImported
    | AssignmentSettled
    | MessageRefused
    | RolloutChanged
    | PhaseAsked
    | JudgesDisagreed
)

# What stays, so that a stream can be resumed; the others say what other rows hold, or come too often.
DURABLE = (
    DeviceFlagged,
    DeviceLate,
    DeviceFresh,
    AnchorImported,
    AssignmentSettled,
    RolloutChanged,
    PhaseAsked,
    JudgesDisagreed,
)


def kind_of(event: Event) -> str:
    """Return the name of an event for people: `DeviceFlagged` reads `device-flagged`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", type(event).__name__).lower()
