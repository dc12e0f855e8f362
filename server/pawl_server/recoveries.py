"""Whether a recovery release gets devices back from a release that turned out bad; asked when a rollout is created.

Such a pair is found out to be unfit when nothing has happened yet, not when the fleet needs it. Refuses, with PlanError,
what a device that confirmed the bad release would refuse, by the device's own table (docs/architecture.md, Install policy).

    await require_fitting(plan, publisher.open)
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from pawl import codes, conditions, processor
from pawl.errors import ManifestError
from pawl.names import reason_name
from pawl.ratchet import epoch
from pawl_server.domain.plan import Plan, PlanError
from pawl_server.faults import UNUSABLE, reason_of

_RECOVERY, _RELEASE = "recovery", "release"
_SLOTS = {codes.RUNNING_A: codes.RUNNING_B, codes.RUNNING_B: codes.RUNNING_A}


async def require_fitting(plan: Plan, open_release: Callable[[bytes], Awaitable[Any]]) -> None:
    """Refuse a plan whose releases can't do what it wants of them; `open_release` returns what both judges accept.

    PlanError: one of the two can't be published, `release` is a recovery, or `recovery` doesn't recover from it.
    """
    bad = await _opened(_RELEASE, plan.release, open_release)
    if is_recovery(bad):
        raise PlanError(
            _RELEASE,
            "it is a recovery release, which only devices take that run what it recovers from: name it as `recovery` of a "
            "rollout, or assign it to a device",
        )
    if plan.recovery is not None:
        require_recovers(await _opened(_RECOVERY, plan.recovery, open_release), bad)


async def _opened(field: str, digest: bytes, open_release: Callable[[bytes], Awaitable[Any]]) -> Any:
    try:
        return await open_release(digest)
    except UNUSABLE as error:
        raise PlanError(field, f"it can't be published: {reason_of(error)}") from error


def is_recovery(bundle: Any) -> bool:
    """Return whether a release declares what it recovers from."""
    return bool(bundle.manifest.role == codes.ROLE_APP_RECOVERY)


def require_recovers(recovery: Any, bad: Any) -> None:
    """Refuse, with PlanError, a bundle that a device wouldn't install which has confirmed the bad one, in any slot."""
    for text in _faults(recovery.manifest, bad.manifest):
        raise PlanError(_RECOVERY, text)


def _faults(recovery: Any, bad: Any) -> Iterator[str]:
    """Yield what is wrong, with the next step; nothing after the first is meant to be read."""
    if recovery.role != codes.ROLE_APP_RECOVERY:
        yield "it is no recovery release: sign one with `pawl release recover`"
    if recovery.identity != bad.identity:
        yield "it is made for another vendor or class than the release: sign one for these devices"
    if epoch(recovery.sequence_number) != epoch(bad.sequence_number):
        yield f"it is of another epoch than the release: sign one of epoch {epoch(bad.sequence_number)}"
    if recovery.sequence_number <= bad.sequence_number:
        yield (
            f"its counter isn't above that of the release: sign one with {_counter(bad.sequence_number) + 1} or more"
        )
    missing = _images(bad) - {(bytes(digest), size) for digest, size in recovery.recovers}
    if missing:
        digest, size = min(missing)
        yield (
            f"it doesn't recover from the image {digest.hex()[:16]} ({size} bytes) of the release: name the release with "
            "--recovers"
        )
    yield from _refusals(recovery, bad)


def _images(manifest: Any) -> set[tuple[bytes, int]]:
    """Return digest and size of the application in each slot that a release fits."""
    applications = [manifest.images(slot)[0] for slot in manifest.slots()]
    return {(bytes(image.digest), int(image.size)) for image in applications}


def _refusals(recovery: Any, bad: Any) -> Iterator[str]:
    """Yield what a device says that runs the bad release in a slot and is to install the recovery into the other one."""
    vendor, device_class = bad.identity
    for running in bad.slots():
        target = _SLOTS[running]
        # A repair may have put the release into another slot than the one that the ratchet names the image of.
        for image in sorted(_images(bad)):
            device = conditions.Device(vendor, device_class, target, bad.version, image, _everybody)
            try:
                processor.execute(recovery, recovery.install, device, processor.rehearse)
            except ManifestError as error:
                yield (
                    f"a device that runs the release in slot {'AB'[running]} would refuse it: "
                    f"{reason_name(error.code)} ({error.detail}): sign one that fits"
                )


def _everybody(_priority: int) -> bool:
    """Let every update in: whether somebody at the device does is known there only."""
    return True


def _counter(sequence: int) -> int:
    return sequence & 0xFFFFFFFF
