"""From an accepted offer to a slot that may be tried: evidence, the policy's decision, blocks, marks.

Every block is checked before it reaches the slot. A download that was cut goes on where it stopped, because
what is in the slot is compared with the index, not with notes about it.
"""

from collections import namedtuple

from pawl import authority, cbor, codes, conditions, index, policy, processor, suit
from pawl.compat import const
from pawl.download import Download
from pawl.errors import ManifestError
from pawl.ratchet import release_of
from pawl.suit_report import Subject

_ATTEMPT_MAX = const(0xFFFF)

# manifest, release (what R would become), envelope (the bytes to keep): None while unknown; unauthorised, unfit: 0 or
# the reason (policy rows 6, 7)
Evidence = namedtuple("Evidence", ("manifest", "release", "envelope", "unauthorised", "unfit"))


def examine(raw, digest, loader, slot):
    """Gather the evidence on an envelope that was offered by this manifest digest, for a slot."""
    try:
        manifest, kept = _authentic(raw, digest, loader)
    except ManifestError as error:
        return Evidence(None, None, None, error.code, codes.REASON_OK)
    try:
        release = release_of(manifest, digest, slot.name)
        _require_fitting(manifest, slot, device_for(loader, slot, digest, conditions.ANY))
    except ManifestError as error:
        return Evidence(None, None, None, codes.REASON_OK, error.code)
    return Evidence(manifest, release, kept, codes.REASON_OK, codes.REASON_OK)


def device_for(loader, slot, digest, image):
    """Return what conditions are judged by; `image` is R's, or ANY where that is the policy's question (row 12).

    A repair is of what the ratchet names: what that asked of the release before it doesn't count.
    """
    vendor, device_class = loader.identity.ids
    accepted = loader.accepted
    is_repair = digest == accepted.digest
    return conditions.Device(
        vendor,
        device_class,
        slot.name,
        conditions.ANY if is_repair else accepted.version,
        conditions.ANY if is_repair else image,
        loader.is_authorised,
    )


def _require_fitting(manifest, slot, device):
    """Ask every condition on the device, and whether the slot has a place for each image."""
    processor.execute(manifest, manifest.install, device, processor.rehearse)
    for image in manifest.images(slot.name):
        index.digest_of(image.uri)
        if image.size > slot.region(image.component).size:
            raise ManifestError(codes.REASON_SLOT_TOO_SMALL, "image is larger than the slot")


def _authentic(raw, digest, loader):
    """Return the Manifest, and the envelope with the signatures that count and no others: what is kept in the slot."""
    envelope = suit.Envelope(raw, bare=True)
    if envelope.digest != digest:
        raise ManifestError(codes.REASON_MANIFEST_DIGEST, "not the release that was offered")
    authorised = authority.authorise(envelope, loader.anchor, digest == loader.accepted.digest, loader.verify)
    authentication = cbor.encode([envelope.digest_item] + authorised.blocks)
    return authorised.manifest, suit.envelope_of(authentication, envelope.manifest)


def withdraw_pending(loader):
    """Take slots that wait for their first trial from their release: the director wants it no more (policy row 2)."""
    for candidate in loader.candidates:
        if candidate.slot.status().state == codes.SLOT_PENDING:
            candidate.slot.withdraw()


class Job:
    """The installation of one release into the slot that doesn't run."""

    def __init__(self, loader, running, offer, raw, clock):
        self.loader = loader
        self.clock = clock
        self.has_progress = False  # a block was written
        self._is_taken = False
        self.running = running
        self.offer = offer
        self.slot = loader.target(running)
        self.evidence = examine(raw, offer.digest, loader, self.slot)

    def subject(self):
        """Return what reports call the release that was offered."""
        manifest = self.evidence.manifest
        return Subject(self.offer.digest, manifest.uri if manifest is not None else None, self.slot.name)

    def decide(self, has_offer):
        """Ask the install policy; called before the first erase and again before `pending`."""
        running = self._running_status()
        is_recovery, recovers = policy.recovery_of(self.evidence.manifest)
        return policy.decide(
            policy.Facts(
                accepted=self.loader.accepted,
                release=self.evidence.release,
                has_offer=has_offer,
                is_trial=running is not None and running.state != codes.SLOT_CONFIRMED,
                is_expired=self.clock.is_expired(self.loader.anchor),
                unauthorised=self.evidence.unauthorised,
                unfit=self.evidence.unfit,
                has_room=self.loader.ratchet.has_room(),
                is_recovery=is_recovery,
                recovers=recovers,
                running=running.digest if running else None,
                failures=self._failures(),
                attempt=self.offer.attempt or 1,
                is_spent=not self._is_begun() and self.clock.is_spent(),
                is_held=self._is_held(),
            )
        )

    def _failures(self):
        slots = [candidate.slot for candidate in self.loader.candidates]
        return self.loader.quarantine.stored(self.offer.digest, slots)

    def _running_status(self):
        if self.running == codes.RUNNING_RECOVERY:
            return None
        return self.loader.candidates[self.running].slot.status()

    def _is_held(self):
        if self.evidence.unauthorised or self.evidence.unfit:
            return False
        images = self._images()
        held = [
            image for image in images if self.slot.image_matches(image.digest, image.size, image.component)
        ]
        return len(held) == len(images)

    def _images(self):
        return self.evidence.manifest.images(self.slot.name)

    def take_slot(self):
        """Give the slot to this release, unless a download of it was cut here and goes on."""
        if not self._is_begun():
            attempt = min(self._failures() + 1, _ATTEMPT_MAX)
            # What is known of the release before goes into the journals first: then a cut loses none of it.
            self.loader.quarantine.keep(self.slot)
            self.clock.note_erase()
            self.slot.begin(self.offer.digest, self.evidence.envelope, attempt)
        self._is_taken = True

    def _is_begun(self):
        """Return whether the slot is this release's, so that nothing has to be erased for it."""
        if self._is_taken:
            return True
        return self.slot.is_begun_for(self.offer.digest) and self._keeps_its_envelope()

    def _keeps_its_envelope(self):
        """Signatures may differ from those at hand: the manifest is the same, and boot judges what is kept."""
        kept = self.slot.envelope()
        return kept is not None and not examine(kept, self.offer.digest, self.loader, self.slot).unauthorised

    async def fetch_blocks(self, session, report_progress):
        """Fetch, image by image, the index and every block that the slot doesn't hold yet."""
        images = self._images()
        total = sum([index.block_count(image.size) for image in images])
        done = 0
        for image in images:
            download = Download(self.slot, image, self._note_progress)
            await download.fetch(session, report_progress, done, total)
            done += index.block_count(image.size)
        report_progress(total, total)

    def _note_progress(self):
        self.has_progress = True

    def finish(self, has_offer):
        """Read the images back, mark the slot written, ask conditions and policy once more, mark it pending.

        Returns the reason if it must not be tried.
        """
        manifest = self.evidence.manifest
        device = device_for(self.loader, self.slot, self.offer.digest, self.loader.accepted.image)
        # What install has to match, validate matches too, against what is in flash now.
        processor.execute(manifest, manifest.validate, device, self.slot.match)
        self.slot.mark_written()
        decision = self.decide(has_offer)
        if decision.action == policy.REFUSE:
            return decision.reason
        processor.execute(manifest, manifest.install, device, processor.rehearse)
        self.slot.mark_pending()
        return codes.REASON_OK
