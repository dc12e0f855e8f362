"""`pawl verify`: both judges of releases, and the install policy, for a device described in numbers."""

from dataclasses import dataclass

from pawl import codes, conditions, policy, processor, ratchet
from pawl.errors import ManifestError
from pawl.manifest import Manifest
from pawl.names import role_name
from pawl_server.judges import Judges
from pawl_tools import identifiers
from pawl_tools.errors import ToolError

_UNKNOWN_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """What is known of the device: its ratchet, its identifiers (16 bytes each), None where nothing is.

    `is_floor`: the number was only provisioned, no release of it was ever confirmed.
    """

    installed_sequence: int | None = None
    is_floor: bool = False
    vendor: bytes | None = None
    device_class: bytes | None = None

    @classmethod
    def parse(
        cls, counter: int | None, epoch: int | None, vendor: str | None, device_class: str | None
    ) -> "DeviceState":
        """Return the state that a person describes; a counter of 2^32 or more is a whole sequence number."""
        if device_class is not None and vendor is None:
            raise ToolError("--class is a name within a vendor: give --vendor too")
        vendor_bytes = None if vendor is None else identifiers.vendor_id(vendor)
        return cls(
            installed_sequence=_sequence(counter, epoch),
            is_floor=counter is None,
            vendor=vendor_bytes,
            device_class=None
            if device_class is None
            else identifiers.class_id(vendor_bytes or b"", device_class),
        )


def _sequence(counter: int | None, epoch: int | None) -> int | None:
    if counter is None and epoch is None:
        return None
    counter, epoch = counter or 0, epoch or 0
    if not 0 <= epoch < 1 << 32 or not 0 <= counter < 1 << 64:
        raise ToolError(
            "--epoch fits 32 bits, --installed-sequence 32 (or 64, with the epoch in its upper half)"
        )
    if counter >> 32 not in (0, epoch) and epoch:
        raise ToolError("--installed-sequence has another epoch in its upper half than --epoch")
    return epoch << 32 | counter


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A release that the described device would install."""

    digest: bytes
    sequence: int
    version: tuple[int, ...]
    role: str
    size: int


def judge(raw: bytes, judges: Judges, device: DeviceState) -> Accepted:
    """Return what the release is, if the device would install it; raise ManifestError with its reason if not.

    Raises:
        DisagreementError: if the judges differ about it.
    """
    release = judges.open(raw)
    manifest = release.manifest
    _require_fitting(manifest, device)
    slot = manifest.slots()[0]
    wanted = ratchet.release_of(manifest, release.envelope.digest, slot)
    decision = policy.decide(_facts(manifest, wanted, device))
    if decision.action == policy.REFUSE:
        raise ManifestError(decision.reason, "refused by the install policy, row " + str(decision.row))
    return Accepted(
        digest=wanted.digest,
        sequence=wanted.sequence,
        version=tuple(manifest.version),
        role=role_name(manifest.role),
        size=release.app().index.size,
    )


def _require_fitting(manifest: Manifest, device: DeviceState) -> None:
    """Ask every condition on the device; what isn't known of it is taken to fit."""
    vendor, device_class = manifest.identity
    described = conditions.Device(
        device.vendor or vendor,
        device.device_class or device_class,
        manifest.slots()[0],
        conditions.ANY,
        conditions.ANY,
        lambda _priority: True,
    )
    processor.execute(manifest, manifest.install, described, processor.rehearse)


def _facts(manifest: Manifest, wanted: ratchet.Release, device: DeviceState) -> policy.Facts:
    return policy.Facts(
        accepted=_accepted(device, manifest.recovers),
        release=wanted,
        has_offer=True,
        is_trial=False,
        is_expired=False,
        unauthorised=codes.REASON_OK,
        unfit=codes.REASON_OK,
        has_room=True,
        is_recovery=manifest.role == codes.ROLE_APP_RECOVERY,
        recovers=manifest.recovers,
        running=None,
        failures=0,
        attempt=1,
        is_spent=False,
        is_held=False,
    )


def _accepted(device: DeviceState, recovers: tuple[tuple[bytes, int], ...]) -> ratchet.Release:
    """A device that confirmed a number knows what it confirmed: another release of that number is a reuse of it.

    The image isn't known here: it is taken to be one that a recovery recovers from.
    """
    return ratchet.Release(
        device.installed_sequence or 0,
        None if device.is_floor else _UNKNOWN_DIGEST,
        None,
        recovers[0] if recovers else None,
    )
