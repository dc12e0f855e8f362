"""Rows 1-3 of the install policy: which offers a device follows. One nonce is open at a time.

A nonce opens at a check-in and closes at the next one, at reset, or after 24 h of uptime; under it, numbers only rise.
Every accepted offer tells the clock the time that its director attests.
"""

from pawl import codes, messages
from pawl.compat import const
from pawl.errors import OfferError

_NONCE_LIFE_S = const(86400)


class Offers:
    """The open nonce, the newest number under it, and the offer that is in force."""

    def __init__(self, device, anchor, verify, clock):
        self.device = device
        self.anchor = anchor
        self.verify = verify
        self.clock = clock
        self.nonce = None
        self._opened_s = 0
        self._accepted_s = 0
        self.number = None
        self.current = None
        self.signer = None  # the director's key that signed the current offer
        self.is_job_open = False  # an install was accepted and has not come to its end
        if anchor is not None:
            clock.follow(anchor)

    @property
    def time_floor(self):
        """Return the time floor under our anchor."""
        return self.clock.floor(self.anchor)

    def adopt(self, anchor):
        """Go by another anchor from now on: an offer whose director's key is not in it is no offer any more."""
        self.anchor = anchor
        if anchor is not None:
            self.clock.follow(anchor)
        keys = [key.identity for key in anchor.directors] if anchor else []
        if self.signer is not None and self.signer.identity not in keys:
            self.current = self.signer = None
            self.is_job_open = False

    def open(self, nonce):
        """Open a nonce; the one before it is closed."""
        self.nonce = nonce
        self.number = None
        self._opened_s = self.clock.uptime_s()

    def is_closed(self):
        """Return whether the nonce has been open for too long."""
        return self.clock.uptime_s() - self._opened_s >= _NONCE_LIFE_S

    def is_answered(self):
        """Return whether an offer came under the open nonce."""
        return self.number is not None

    def accept(self, raw):
        """Return the Offer that becomes current, or raise OfferError: then nothing changed."""
        if self.anchor is None:
            raise OfferError(codes.REASON_ANCHOR_BEHIND, "no readable trust anchor")
        offer, signer = messages.open_offer_by(raw, self.anchor.directors, self.verify)
        self._require_fresh(offer)
        if offer.action == codes.OFFER_INSTALL:
            self._require_anchor(offer)
        self.number = offer.number
        self.current = offer
        self.signer = signer
        self.is_job_open = offer.action == codes.OFFER_INSTALL
        self._accepted_s = self.clock.uptime_s()
        self.clock.attest(self.anchor, offer.time, signer)
        return offer

    def _require_fresh(self, offer):
        if offer.device != self.device:
            raise OfferError(codes.REASON_OFFER_DEVICE, "made for another device")
        if offer.nonce != self.nonce or self.is_closed():
            raise OfferError(codes.REASON_OFFER_NONCE, "its nonce is not open")
        if self.number is not None and offer.number <= self.number:
            raise OfferError(codes.REASON_OFFER_COUNTER, "not newer than the last one")

    def _require_anchor(self, offer):
        version, digest = offer.anchor
        if version > self.anchor.version:
            raise OfferError(codes.REASON_ANCHOR_BEHIND, "the director has a newer anchor")
        if version == self.anchor.version and digest != self.anchor.digest:
            raise OfferError(codes.REASON_ANCHOR_FORK, "another anchor of the same version")

    def accepted(self):
        """Return (nonce, number) of the newest accepted offer, as reports carry it, or None."""
        return (self.current.nonce, self.current.number) if self.current else None

    def allows(self, digest):
        """Return whether an offer accepted since reset, and not a day ago, asks for this release now."""
        current = self.current
        if current is None or self.clock.uptime_s() - self._accepted_s >= _NONCE_LIFE_S:
            return False
        return current.action == codes.OFFER_INSTALL and current.digest == digest
