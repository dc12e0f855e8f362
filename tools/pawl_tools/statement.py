"""What a release says of its images: for whom, in which order, and under which conditions it is installed."""

import re
from dataclasses import dataclass
from typing import Protocol

from pawl import cbor, codes
from pawl_server.domain import versions
from pawl_tools.errors import ToolError

RECOVERS_MAX = 4
_SEQUENCE_MAX = 2**64 - 1
_COMPARISONS = {
    ">": codes.VERSION_GREATER,
    ">=": codes.VERSION_GREATER_EQUAL,
    "=": codes.VERSION_EQUAL,
    "<=": codes.VERSION_LESSER_EQUAL,
    "<": codes.VERSION_LESSER,
}
_VERSION_ASKED = re.compile(r"version(>=|<=|>|<|=)(\S+)")
_LEAVE_ASKED = re.compile(r"authorised:(-?\d{1,9})")


class Condition(Protocol):
    """What a device is asked before it installs."""

    def parameter(self) -> dict[int, object]:
        """Return the SUIT parameter, which has the code of its command."""


@dataclass(frozen=True, slots=True)
class VersionCondition:
    """The version that the device has confirmed compares so; only as many numbers count as are given."""

    comparison: int
    version: tuple[int, ...]

    def parameter(self) -> dict[int, object]:
        """Return SUIT's version match."""
        return {codes.PARAMETER_VERSION: cbor.encode([self.comparison, list(self.version)])}


@dataclass(frozen=True, slots=True)
class AuthorisationCondition:
    """Somebody at the device lets an update of this priority in; smaller is more urgent."""

    priority: int

    def parameter(self) -> dict[int, object]:
        """Return SUIT's update priority."""
        return {codes.PARAMETER_UPDATE_PRIORITY: self.priority}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a release says of its images; `sequence` is epoch << 32 | counter, identifiers are 16 bytes.

    `recovers`: (digest, size) of each image it recovers from, which makes it a recovery release.
    """

    sequence: int
    version: tuple[int, ...]
    vendor: bytes
    device_class: bytes
    recovers: tuple[tuple[bytes, int], ...] = ()
    only_if: tuple[Condition, ...] = ()
    reference_uri: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no device would accept."""
        if not 0 <= self.sequence <= _SEQUENCE_MAX:
            raise ToolError("the sequence number must fit 64 bits: epoch << 32 | counter")
        if not 1 <= len(self.version) <= versions.NUMBERS_MAX:
            raise ToolError("a version has 1 to 6 numbers, such as 1.4.0")
        if len(self.recovers) > RECOVERS_MAX:
            raise ToolError(f"a recovery release names at most {RECOVERS_MAX} images: sign another one")


def parse_version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version as people write it; the server reads it the same way."""
    try:
        return versions.parse_version(text)
    except versions.VersionError as error:
        raise ToolError(str(error)) from None


def parse_condition(text: str) -> Condition:
    """Return the condition that a person wrote: `version>=1.2`, or `authorised:5`."""
    if found := _VERSION_ASKED.fullmatch(text):
        return VersionCondition(_COMPARISONS[found[1]], parse_version(found[2]))
    if found := _LEAVE_ASKED.fullmatch(text):
        return AuthorisationCondition(int(found[1]))
    raise ToolError(f"{text!r} is no condition: write version>=1.2 (or >, =, <=, <) or authorised:PRIORITY")
