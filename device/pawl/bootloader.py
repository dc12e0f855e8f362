"""Carries out the boot policy: judges both slots from flash, asks `boot.decide`, writes the marks it names.

Checks signature and image digest at every boot; no verdict is kept. Needs no clock, no network, no offer.
"""

from collections import namedtuple

from pawl import authority, boot, codes, conditions, processor, proof, suit
from pawl.compat import const
from pawl.errors import PawlError, ManifestError, StorageError
from pawl.manifest import Manifest
from pawl.ratchet import Reading, epoch, floor, higher, merge, release_of
from pawl.suit_report import Subject

_ROUNDS_MAX = const(16)  # each round writes a mark; a slot has fewer
_MAY_BOOT = (codes.SLOT_PENDING, codes.SLOT_TRIAL, codes.SLOT_CONFIRMED)

# Something to be reported: FAIL where a slot was failed for the reason, else the action whose mark could not be written;
# of which release
Fault = namedtuple("Fault", ("action", "reason", "subject"))


class Candidate:
    """What a slot holds, as far as its envelope could be trusted: `manifest` is None if it could not."""

    def __init__(self, slot, anchor, accepted, verify):
        self.slot = slot
        self.status = slot.status()
        self.digest = self.status.digest  # of what `manifest` was read from
        self.manifest = None
        self.fault = codes.REASON_OK
        try:
            self._authenticate(anchor, accepted, verify)
        except PawlError as error:
            self.fault = error.code

    def _authenticate(self, anchor, accepted, verify):
        stored = self.slot.envelope() if self.status.digest else None
        if stored is None:
            raise StorageError(codes.REASON_RECORD_LOST, "no envelope")
        envelope = suit.Envelope(stored, bare=True)
        if envelope.digest != self.status.digest:
            raise ManifestError(codes.REASON_MANIFEST_DIGEST, "page and envelope differ")
        if anchor is None:
            self._require_accepted(envelope, accepted)
            manifest = Manifest(envelope.manifest)
        else:
            was_confirmed = self.status.state == codes.SLOT_CONFIRMED or envelope.digest == accepted
            manifest = authority.authorise(envelope, anchor, was_confirmed, verify).manifest
        manifest.images(self.slot.name)  # one that is made for the other slot only says nothing here
        self.manifest = manifest

    def _require_accepted(self, envelope, accepted):
        """Row 1: with no anchor to judge by, only the confirmed release that the ratchet names may boot."""
        is_known = self.status.state == codes.SLOT_CONFIRMED and envelope.digest == accepted
        if not is_known or not envelope.is_whole():
            raise ManifestError(codes.REASON_UNAUTHORISED, "no anchor, and not what the ratchet names")

    def release(self):
        """Return what the ratchet would hold if this were confirmed, or None."""
        if self.manifest is None:
            return None
        return release_of(self.manifest, self.status.digest, self.slot.name)

    def subject(self):
        """Return what reports call this release, or None if the slot has none."""
        if self.status.digest is None:
            return None
        uri = self.manifest.uri if self.manifest is not None else None
        return Subject(self.status.digest, uri, self.slot.name)

    def sequence_of(self, digest):
        """Return the sequence number of this release, if it is the one that was read at boot."""
        manifest = self.manifest
        return manifest.sequence_number if manifest is not None and self.digest == digest else None

    def _state(self):
        """An unproven slot without an envelope was being given to a release when a cut came: nobody's, not at fault."""
        is_begun = self.status.state in (codes.SLOT_PENDING, codes.SLOT_TRIAL)
        return codes.SLOT_EMPTY if is_begun and self.fault == codes.REASON_RECORD_LOST else self.status.state

    def validate(self, ids, accepted):
        """Judge the rest of ok(slot): device, every image, epoch; sets `fault`."""
        if self.manifest is None:
            return
        device = conditions.Device(ids[0], ids[1], self.slot.name, None, None, conditions.nobody)
        try:
            processor.execute(self.manifest, self.manifest.validate, device, self.slot.match)
            if epoch(self.manifest.sequence_number) < epoch(accepted.sequence):
                raise ManifestError(codes.REASON_EPOCH_LOW, "epoch below the ratchet's")
        except PawlError as error:
            self.fault = error.code

    def recovers_from(self, other):
        """Return whether this release recovers from what the `other` slot may still boot.

        A later release may bring the same image again, on purpose.
        """
        release = other.release()
        if self.manifest is None or release is None or other.slot.status().state not in _MAY_BOOT:
            return False
        is_earlier = release.sequence < self.manifest.sequence_number
        return is_earlier and release.image in self.manifest.recovers

    def facts(self, recorded, other):
        """Return SlotFacts from the marks as they are now; `recorded` is R as the ratchet's cells hold it.

        Confirmed is not finished while the `other` slot may still boot what this release recovers from.
        """
        self.status = self.slot.status()
        release = self.release()
        is_recorded = release is None or (recorded is not None and higher(recorded, release) == recorded)
        return boot.SlotFacts(
            self._state(),
            self.status.digest,
            release.sequence if release else 0,
            self.status.trials,
            self.fault,
            release is not None,
            self.status.is_settled and is_recorded and not self.recovers_from(other),
        )


def _give_up(slot):
    """Mark a slot failed whose trials can't be counted: else it would be installed again and again."""
    try:
        slot.mark_failed(codes.REASON_MARK_FAILED)
    except StorageError:
        pass  # counts as failed for this boot


class Bootloader:
    """One boot: `settle` says what runs; `faults` are the Faults, `notices` the reasons to be reported."""

    def __init__(self, storage, verify):
        self.storage = storage
        self.verify = verify
        self.identity = storage.identity()
        self.quarantine = storage.quarantine()
        self.ratchet = storage.ratchet()
        self.anchors = storage.anchors(storage.provisioned_anchor(), self.ratchet, verify)
        self.is_authorised = conditions.nobody  # who may let an update in (update-authorized)
        self.faults = []
        self.notices = []
        self._stuck = set()
        self.accepted = floor(self.identity.floor[codes.IMAGE_APP])
        self.judge()

    @property
    def anchor(self):
        """Return the Anchor that judges, or None (row 1)."""
        return self.anchors.current

    @property
    def path_anchor(self):
        """Return what the path to the server is checked by, also when nothing can be judged by it (row 1)."""
        return self.anchors.base

    def judge(self):
        """Judge both slots from flash by the anchor in force: at boot, and again after a walk. R never falls by it."""
        recorded = self.ratchet.reading.roles.get(codes.IMAGE_APP)
        digest = recorded.digest if recorded else None
        self.candidates = [Candidate(slot, self.anchor, digest, self.verify) for slot in self.storage.slots]
        self.accepted = higher(self._reading(recorded), self.accepted)
        for candidate in self.candidates:
            candidate.validate(self.identity.ids, self.accepted)
        if self.ratchet.is_lost:
            self._restore_ratchet()

    def _restore_ratchet(self):
        """Write R again, as floor and confirmed slots say; what can't be written is noticed again at the next boot."""
        self.ratchet.is_lost = False  # told once a boot
        self.notices.append(codes.REASON_RATCHET_LOST)
        try:
            self.ratchet.advance(Reading({codes.IMAGE_APP: self.accepted}, self._anchor_reference()))
        except StorageError as error:
            self.notices.append(error.code)

    def _anchor_reference(self):
        """Return what the ratchet is to name: what its cells name, read again; only where they name none, what judges."""
        named = self.storage.ratchet().reading.anchor
        if named is None and self.anchor is not None:
            return (self.anchor.version, self.anchor.digest)
        return named

    def is_trial(self, running):
        """Return whether what runs is on trial."""
        if running == codes.RUNNING_RECOVERY:
            return False
        return self.candidates[running].slot.status().state == codes.SLOT_TRIAL

    def has_bootable(self):
        """Return whether a confirmed slot would boot (row 7)."""
        return bool(self._bootable())

    def _bootable(self):
        return [
            candidate
            for candidate in self.candidates
            if candidate.slot.status().state == codes.SLOT_CONFIRMED and not candidate.fault
        ]

    def _reading(self, recorded):
        """Return R: the maximum of the cells, the provisioned floor, and authentic confirmed slots."""
        reading = higher(floor(self.identity.floor[codes.IMAGE_APP]), recorded)
        for candidate in self.candidates:
            if candidate.status.state == codes.SLOT_CONFIRMED:
                reading = higher(reading, candidate.release())
        return reading

    def settle(self, is_unwell):
        """Follow the table until a row boots something; return that Decision."""
        for _ in range(_ROUNDS_MAX):
            recorded = self.ratchet.reading.roles.get(codes.IMAGE_APP)
            one, other = self.candidates
            facts = [one.facts(recorded, other), other.facts(recorded, one)]
            context = boot.Context(self.accepted.digest, self.anchor is not None, is_unwell)
            decision = boot.decide(self._without_stuck(facts), context)
            if decision.action not in (boot.FAIL, boot.TRY, boot.FINISH):
                return decision
            if self._perform(decision) and decision.action == boot.TRY:
                return decision
        raise AssertionError("the boot table did not settle")

    def _without_stuck(self, facts):
        """A slot whose mark can't be written counts as failed for this boot; a stuck append as done."""
        for name in self._stuck:
            slot = facts[name]
            state = codes.SLOT_CONFIRMED if slot.state == codes.SLOT_CONFIRMED else codes.SLOT_FAILED
            facts[name] = boot.SlotFacts(
                state, slot.digest, slot.sequence, slot.trials, slot.fault, slot.is_authentic, True
            )
        return facts

    def _perform(self, decision):
        candidate = self.candidates[decision.slot]
        try:
            if decision.action == boot.FAIL:
                candidate.slot.mark_failed(decision.reason)
                self.faults.append(Fault(boot.FAIL, decision.reason, candidate.subject()))
            elif decision.action == boot.TRY:
                candidate.slot.mark_trial()
            else:
                self.confirm(decision.slot)
        except StorageError:
            if decision.action == boot.TRY and candidate.slot.status().trials > candidate.status.trials:
                # No unit kept the mark; those that it tore are trials used up: asked again (row 3).
                return False
            self._stuck.add(decision.slot)
            self.faults.append(Fault(decision.action, codes.REASON_MARK_FAILED, candidate.subject()))
            if decision.action == boot.TRY:
                _give_up(candidate.slot)
            return False
        return True

    def target(self, running):
        """Return the slot that an install goes into: never the one that runs (policy row 16), nor the only one that boots."""
        if running in (codes.RUNNING_A, codes.RUNNING_B):
            return self.candidates[1 - running].slot
        bootable = self._bootable()
        if len(bootable) == 1:
            return self.candidates[1 - bootable[0].slot.name].slot
        one, other = self.candidates
        # A page that doesn't erase would be chosen for ever.
        if not bootable and one.slot.is_spoiled() != other.slot.is_spoiled():
            return (other if one.slot.is_spoiled() else one).slot
        if self.accepted.digest in (one.status.digest, other.status.digest) and self.accepted.digest:
            return (other if one.status.digest == self.accepted.digest else one).slot
        sequences = [
            candidate.manifest.sequence_number if candidate.manifest else 0 for candidate in (one, other)
        ]
        return (one if sequences[0] < sequences[1] else other).slot

    def confirm(self, name):
        """Confirm a slot: both units, then the ratchet; a recovery then fails the slot that it recovers from.

        Done again after a cut, it finishes what is missing.
        """
        candidate = self.candidates[name]
        if candidate.fault and candidate.slot.status().state != codes.SLOT_CONFIRMED:
            raise ManifestError(candidate.fault, "a walk took what allowed it: not confirmed")
        if candidate.manifest is None:
            return  # confirmed before, and a walk took what allowed it since: the ratchet has it
        # What enters the ratchet is for good: never on one judgement, of which a glitch may skip a line.
        proof.authentic(self.storage, candidate.slot, self.verify)
        try:
            candidate.slot.mark_confirmed()
        except StorageError:
            if candidate.slot.status().state != codes.SLOT_CONFIRMED:
                raise  # else one unit stands, the other can't be written: confirmed, and to be told
        confirmed = Reading({codes.IMAGE_APP: candidate.release()}, self._anchor_reference())
        self.ratchet.advance(merge(self.ratchet.reading, confirmed))
        self.accepted = higher(self.accepted, candidate.release())
        other = self.candidates[1 - name]
        if candidate.recovers_from(other):
            other.slot.mark_failed(codes.REASON_RECOVERED)
        if not candidate.slot.status().is_settled:
            raise StorageError(codes.REASON_MARK_FAILED, "one unit of confirmed can't be written")
