"""From an accepted offer to a slot that may be tried: evidence, the policy's decision, blocks, marks.

Every block is checked before it reaches the slot. A download that was cut goes on where it stopped, because
what is in the slot is compared with the index, not with notes about it.
"""

from collections import namedtuple

from pawl import bundle, cbor, codes, index, policy, suit, topics
from pawl.errors import ManifestError
from pawl.ratchet import release_of
from pawl.suit_report import Subject
from pawl.session import WINDOW


# manifest, release (what R would become), envelope (the bytes to keep): None while unknown; unauthorised, unfit: 0 or
# the reason (policy rows 6, 7)
Evidence = namedtuple("Evidence", ("manifest", "release", "envelope", "unauthorised", "unfit"))


def examine(raw, digest, loader, room):
    """Gather the evidence on an envelope that was offered by this manifest digest, for a slot of `room` bytes."""
    try:
        envelope, kept = _authentic(raw, digest, loader)
    except ManifestError as error:
        return Evidence(None, None, None, error.code, codes.REASON_OK)
    try:
        manifest = _fitting(envelope, loader.identity.ids, room)
    except ManifestError as error:
        return Evidence(None, None, None, codes.REASON_OK, error.code)
    release = release_of(manifest, digest)
    return Evidence(manifest, release, kept, codes.REASON_OK, codes.REASON_OK)


def _fitting(envelope, ids, room):
    manifest = suit.Manifest(envelope.manifest)
    suit.execute(manifest, [], ids, None)
    index.digest_of(manifest.image.uri)
    if manifest.image.size > room:
        raise ManifestError(codes.REASON_SLOT_TOO_SMALL, "image is larger than the slot")
    return manifest


def _authentic(raw, digest, loader):
    """Return the Envelope and its bytes with the signatures that count and no others: what is kept in the slot."""
    envelope = suit.Envelope(raw, bare=True)
    if envelope.digest != digest:
        raise ManifestError(codes.REASON_MANIFEST_DIGEST, "not the release that was offered")
    if digest in loader.anchor.barred:
        raise ManifestError(codes.REASON_BARRED, "barred by the anchor")
    install_set, boot_sets = loader.anchor.role(codes.ROLE_APP_RELEASE)
    is_repair = digest == loader.accepted.digest
    counted = envelope.authenticate([install_set] + (boot_sets if is_repair else []), loader.verify)
    authentication = cbor.encode([envelope.digest_item] + counted)
    return envelope, bundle.envelope_of(authentication, envelope.manifest)


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
        self.evidence = examine(raw, offer.digest, loader, self.slot.image.size)

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
        image = self.evidence.manifest.image
        return self.slot.image_matches(image.digest, image.size)

    def take_slot(self):
        """Give the slot to this release, unless a download of it was cut here and goes on."""
        if not self._is_begun():
            attempt = self._failures() + 1
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
        return kept is not None and not examine(kept, self.offer.digest, self.loader, 0).unauthorised

    async def fetch_blocks(self, session, report_progress):
        """Fetch the index and every block that the slot doesn't hold yet."""
        image = self.evidence.manifest.image
        digest = index.digest_of(image.uri)
        listing = index.read(
            await session.fetch_one(topics.index(digest), codes.INDEX_MAX_BYTES), image.uri, image.size
        )
        missing = [number for number in range(listing.blocks) if not self._has(listing, number)]
        for at in range(0, len(missing), WINDOW):
            report_progress(listing.blocks - len(missing) + at, listing.blocks)
            await session.fetch(
                [
                    (topics.block(digest, listing.best.number, number), self._writer(listing, number))
                    for number in missing[at : at + WINDOW]
                ]
            )
        report_progress(listing.blocks, listing.blocks)

    def _has(self, listing, number):
        stored = self.slot.image.view(number * codes.BLOCK_BYTES, listing.block_size(number))
        return listing.is_block(number, stored)

    def _writer(self, listing, number):
        def write(payload):
            block = listing.decode(listing.best, number, payload)
            self.slot.write_block(number * codes.BLOCK_BYTES, block)
            self.has_progress = True

        return write

    def finish(self, has_offer):
        """Read the image back, mark the slot written, ask the policy once more, mark it pending.

        Returns the reason if it must not be tried.
        """
        manifest = self.evidence.manifest
        suit.execute(manifest, manifest.validate, self.loader.identity.ids, self.slot.match)
        self.slot.mark_written()
        decision = self.decide(has_offer)
        if decision.action == policy.REFUSE:
            return decision.reason
        self.slot.mark_pending()
        return codes.REASON_OK
