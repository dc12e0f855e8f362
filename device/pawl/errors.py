"""Faults, by who is to blame; each carries a stable reason code that travels in reports.

Callers catch the family and pass the code on; names of codes exist only on hosts (`codes.py` says how).
"""


class PawlError(Exception):
    """A refusal or fault with a reason code of `codes.py` and a detail for people."""

    def __init__(self, code, detail=""):
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


class ManifestError(PawlError):
    """Theirs: an envelope, index, block or image that must not be used."""


class TrustError(PawlError):
    """Theirs: a trust anchor document that must not be used."""


class OfferError(PawlError):
    """Theirs: a message of the director that must not be followed."""


class TransportError(PawlError):
    """The link: nothing wrong was seen, it may work later."""


class StorageError(PawlError):
    """The flash: it did not keep what was written, or has no room."""
