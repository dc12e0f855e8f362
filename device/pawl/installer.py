"""From an accepted offer to a slot that may be tried: evidence, the policy's decision, blocks, marks.

Every block is checked before it reaches the slot. A download that was cut goes on where it stopped, because
what is in the slot is compared with the index, not with notes about it.
"""

from pawl import codes, index, policy, suit, topics
from pawl.errors import ManifestError
from pawl.ratchet import Release
from pawl.session import WINDOW


class Job:
    """The installation of the release that one offer names."""

    def __init__(self, loader, running, offer):
        self.loader = loader
        self.running = running
        self.offer = offer
        self.slot = loader.target(running)
        self.raw = None
        self.envelope = None
        self.manifest = None
        self.index = None
        self._unauthorised = codes.REASON_OK
        self._unfit = codes.REASON_OK

    def read(self, raw):
        """Gather the evidence on an envelope; the first fault of each kind is kept for the policy."""
        self.raw = raw
        try:
            self._authenticate(raw)
        except ManifestError as error:
            self._unauthorised = error.code
            return
        try:
            self._fit()
        except ManifestError as error:
            self._unfit = error.code

    def _authenticate(self, raw):
        self.envelope = suit.Envelope(raw)
        if self.envelope.digest != self.offer.digest:
            raise ManifestError(codes.REASON_MANIFEST_DIGEST, "not the release that was offered")
        if self.envelope.digest in self.loader.anchor.barred:
            raise ManifestError(codes.REASON_BARRED, "barred by the anchor")
        self.envelope.authenticate(self.loader.anchor.role(codes.ROLE_APP_RELEASE)[0], self.loader.verify)
        if self.envelope.severed or self.envelope.payloads:
            raise ManifestError(codes.REASON_UNSIGNED_BYTES, "only authentication and manifest are for devices")

    def _fit(self):
        self.manifest = suit.Manifest(self.envelope.manifest)
        suit.execute(self.manifest, [], self.loader.identity.ids, None)
        index.digest_of(self.manifest.image.uri)
        if self.manifest.image.size > self.slot.image.size:
            raise ManifestError(codes.REASON_SLOT_TOO_SMALL, "image is larger than the slot")

    def release(self):
        """Return what R would become, or None while the manifest isn't known."""
        if self.manifest is None:
            return None
        image = self.manifest.image
        return Release(
            self.manifest.sequence_number, self.envelope.digest, self.manifest.version, (image.digest, image.size)
        )

    def decide(self, has_offer):
        """Ask the install policy; called before the first erase and again before `pending`."""
        status = self.slot.status()
        is_failed = status.state == codes.SLOT_FAILED and status.digest == self.offer.digest
        running = self.loader.candidates[self.running].status if self.running < 2 else None
        return policy.decide(
            policy.Facts(
                self.loader.accepted,
                self.release(),
                has_offer,
                running is not None and running.state != codes.SLOT_CONFIRMED,
                self._unauthorised,
                self._unfit,
                running.digest if running else None,
                1 if is_failed else 0,
                self.offer.attempt or 1,
                self._is_held(),
            )
        )

    def _is_held(self):
        if self.manifest is None:
            return False
        image = self.manifest.image
        return image.size <= self.slot.image.size and self.slot.image_matches(image.digest, image.size)

    def take_slot(self):
        """Give the slot to this release, unless a download of it was cut here and goes on."""
        status = self.slot.status()
        is_cut = status.digest == self.offer.digest and status.state == codes.SLOT_EMPTY
        if not (is_cut and self.slot.envelope() == self.raw):
            self.slot.begin(self.offer.digest, self.raw)

    async def fetch_blocks(self, session, report_progress):
        """Fetch the index and every block that the slot doesn't hold yet."""
        uri = self.manifest.image.uri
        digest = index.digest_of(uri)
        raw = await session.fetch_one(topics.index(digest), codes.INDEX_MAX_BYTES)
        self.index = index.read(raw, uri, self.manifest.image.size)
        missing = [number for number in range(self.index.blocks) if not self._has(number)]
        for at in range(0, len(missing), WINDOW):
            report_progress(self.index.blocks - len(missing) + at, self.index.blocks)
            await session.fetch([self._wanted(digest, number) for number in missing[at : at + WINDOW]])
        report_progress(self.index.blocks, self.index.blocks)

    def _has(self, number):
        stored = self.slot.image.view(number * codes.BLOCK_BYTES, self.index.block_size(number))
        return self.index.has_block(number, stored)

    def _wanted(self, digest, number):
        def write(payload):
            if not self.index.has_block(number, payload):
                raise ManifestError(codes.REASON_BLOCK_DIGEST, "block %d is not the one that was signed" % number)
            self.slot.write_block(number * codes.BLOCK_BYTES, payload)

        return topics.block(digest, self.index.variant, number), write

    def finish(self, has_offer):
        """Read the image back, mark the slot written, ask the policy once more, mark it pending.

        Returns the reason if it must not be tried.
        """
        suit.execute(self.manifest, self.manifest.validate, self.loader.identity.ids, self._match)
        if self.slot.status().state == codes.SLOT_EMPTY:
            self.slot.mark_written()
        decision = self.decide(has_offer)
        if decision.action == policy.REFUSE:
            return decision.reason
        self.slot.mark_pending()
        return codes.REASON_OK

    def _match(self, effect):
        parameters = effect.parameters
        return self.slot.image_matches(
            parameters[codes.PARAMETER_IMAGE_DIGEST], parameters[codes.PARAMETER_IMAGE_SIZE]
        )
