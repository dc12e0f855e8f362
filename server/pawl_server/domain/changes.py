"""What one step of the server wants kept: written in one transaction, or not at all."""

from collections import Counter
from dataclasses import dataclass, field

from pawl_server.domain.fleet import Assignment, Device
from pawl_server.domain.outcomes import SignedReport
from pawl_server.domain.registration import Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Who is refused what, and why: `device` is empty if nobody enrolled said it."""

    device: str
    where: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message for the broker; of those for one device, only the newest is kept."""

    topic: str
    payload: bytes
    device: str | None
    qos: int = 1
    is_retained: bool = False


@dataclass(slots=True, kw_only=True)
class Changes:
    """Rows to be written, by what names them: a later value takes the place of an earlier one."""

    devices: dict[str, Device] = field(default_factory=dict)
    assignments: dict[tuple[str, bytes], Assignment] = field(default_factory=dict)
    reports: list[SignedReport] = field(default_factory=list)
    refusals: Counter[Refusal] = field(default_factory=Counter)
    offers: dict[str, Outgoing] = field(default_factory=dict)
    candidates: dict[str, Candidate] = field(default_factory=dict)

    def keep_assignment(self, assignment: Assignment) -> None:
        """Put an assignment in."""
        self.assignments[assignment.device, assignment.release] = assignment
