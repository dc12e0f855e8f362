"""How devices come into the fleet: enrolled before they say hello, or claimed after it; pure."""

from dataclasses import dataclass
from enum import StrEnum


class Registration(StrEnum):
    """What becomes of a hello from a device that isn't enrolled: refused and counted either way.

    `CLAIM` shows its sender as a candidate, too; a person who holds its claim code can enroll it.
    """

    PRE_REGISTERED = "pre-registered"
    CLAIM = "claim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A device that said hello and isn't enrolled: nothing else is believed, and nothing is offered to it."""

    device: str
    vendor: bytes
    class_id: bytes
    first_seen_s: int
    last_seen_s: int
