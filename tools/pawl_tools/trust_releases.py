"""Which releases a version of the trust anchor document lets through: the device's own check, on bundles at hand."""

from dataclasses import dataclass

from pawl import authority, suit
from pawl.errors import PawlError
from pawl.manifest import Manifest
from pawl.names import reason_name
from pawl.ports.host.verifier import verify
from pawl.trust import Anchor
from pawl_tools.errors import ToolError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a release under one anchor; `reason` says why it does not install."""

    installs: bool
    boots: bool
    reason: str | None

    def text(self) -> str:
        """Return it in words."""
        if self.installs:
            return "installs and boots"
        return (
            f"boots where it is confirmed, no install ({self.reason})"
            if self.boots
            else f"STOPPED ({self.reason})"
        )


def open_release(raw: bytes, name: str) -> suit.Envelope:
    """Return the envelope of a bundle; ToolError if it is none."""
    try:
        envelope = suit.Envelope(raw)
        Manifest(envelope.manifest)
    except PawlError as error:
        raise ToolError(f"{name} is not a release: {reason_name(error.code)} ({error.detail})") from None
    return envelope


def digest_of(raw: bytes, name: str) -> bytes:
    """Return the digest by which a release is barred."""
    envelope = open_release(raw, name)
    if not envelope.is_whole():
        raise ToolError(f"{name} is not whole: its manifest is not the one that was signed")
    return bytes(envelope.digest)


def fate(envelope: suit.Envelope, anchor: Anchor) -> Fate:
    """Return what a device that holds this anchor does with the release."""
    fault = _fault(envelope, anchor, was_confirmed=False)
    if fault is None:
        return Fate(installs=True, boots=True, reason=None)
    return Fate(installs=False, boots=_fault(envelope, anchor, was_confirmed=True) is None, reason=fault)


def _fault(envelope: suit.Envelope, anchor: Anchor, *, was_confirmed: bool) -> str | None:
    """Return the reason why nobody who counts signed it, or None."""
    try:
        authority.authorise(envelope, anchor, was_confirmed, verify)
    except PawlError as error:
        return reason_name(error.code)
    return None
