"""The second judgement of a boot: what the decision named is judged again, from flash, right before it is mounted.

A glitch on supply or clock makes a processor skip an instruction, and with it any one line of the boot decision. So nothing
is taken over from the first judgement but the name of a slot: identity, ratchet, anchor, page, envelope and images are read
again. Only what comes out of here can be mounted: where this is skipped there is nothing to run. Whatever doesn't fit
raises, and a device that raises while it boots resets.
"""

from collections import namedtuple

from pawl import authority, boot, codes, suit, trust
from pawl.compat import sha256
from pawl.errors import ManifestError, PawlError, StorageError
from pawl.manifest import Manifest
from pawl.ratchet import epoch

# images: (component, view of exactly the bytes that were judged), the application's first; empty: the agent alone
Proven = namedtuple("Proven", ("images",))
NOTHING = Proven(())

# What a page has to say when its slot is about to run.
_STATES = {boot.TRY: codes.SLOT_TRIAL, boot.BOOT: codes.SLOT_CONFIRMED}


def prove(storage, decision, verify):
    """Return the Proven of the slot that a decision names.

    Raises:
        PawlError: the first judgement was wrong, or flash changed since: reset.
    """
    slot = storage.slots[decision.slot]
    if slot.status().state != _STATES[decision.action]:
        raise StorageError(codes.REASON_MARK_FAILED, "the page doesn't let this slot run")
    manifest = authentic(storage, slot, verify)
    if manifest.identity != storage.identity().ids:
        raise ManifestError(codes.REASON_CLASS, "made for another device")
    accepted = storage.ratchet().reading.roles.get(codes.IMAGE_APP)
    if accepted is not None and epoch(manifest.sequence_number) < epoch(accepted.sequence):
        raise ManifestError(codes.REASON_EPOCH_LOW, "epoch below the ratchet's")
    return Proven([_matched(slot, image) for image in manifest.images(slot.name)])


def authentic(storage, slot, verify):
    """Return the Manifest of a slot, its envelope judged from flash by what the ratchet names; or raise PawlError."""
    status = slot.status()
    reading = storage.ratchet().reading
    accepted = reading.roles.get(codes.IMAGE_APP)
    stored = slot.envelope()
    if stored is None:
        raise StorageError(codes.REASON_RECORD_LOST, "no envelope")
    envelope = suit.Envelope(stored, bare=True)
    if not envelope.is_whole() or envelope.digest != status.digest:
        raise ManifestError(codes.REASON_MANIFEST_DIGEST, "page and envelope differ")
    is_confirmed = status.state == codes.SLOT_CONFIRMED
    is_accepted = accepted is not None and envelope.digest == accepted.digest
    anchor = _in_force(storage, reading.anchor, verify)
    if anchor is not None:
        return authority.authorise(envelope, anchor, is_confirmed or is_accepted, verify).manifest
    if not (is_confirmed and is_accepted):  # boot row 1
        raise ManifestError(codes.REASON_UNAUTHORISED, "no anchor, and not what the ratchet names")
    return Manifest(envelope.manifest)


def _in_force(storage, named, verify):
    """Return the Anchor that the ratchet names, or None: found by its digest, which costs no signature."""
    provisioned = storage.provisioned_anchor()
    if named is None:
        return storage.anchors(provisioned, storage.ratchet(), verify).current
    for file in storage.anchor_files() + [provisioned]:
        try:
            content = b"" if file is None else trust.split(file)[0]
        except PawlError:
            continue
        if sha256(content) == named[1]:
            return trust.parse(content)
    return None


def _matched(slot, image):
    """Return (component, its bytes) of an image whose bytes are those that were signed."""
    region = slot.region(image.component)
    content = region.view(0, image.size)
    if sha256(content) != image.digest:
        raise ManifestError(codes.REASON_IMAGE_DIGEST, "image is not the one that was signed")
    return image.component, content
