"""Anchors and releases for tests, made by the production code with keys that live in memory."""

from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from pawl import codes
from pawl_tools import release, trust
from pawl_tools.keys import cose_key

VENDOR = bytes(range(16))
CLASS = bytes(range(16, 32))
ISSUED = 1_700_000_000
EXPIRY = 4_000_000_000


class KeyPair:
    """A P-256 key that signs as `pawl_tools.keys.Signer` says."""

    def __init__(self):
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.key = cose_key(self.private.public_key())

    def sign(self, message):
        """Return r || s."""
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def pem(self):
        """Return the private key as PEM."""
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@dataclass(frozen=True, kw_only=True)
class Keys:
    """One key a role."""

    root: KeyPair
    release: KeyPair
    recovery: KeyPair
    director: KeyPair


def make_keys():
    return Keys(root=KeyPair(), release=KeyPair(), recovery=KeyPair(), director=KeyPair())


def make_anchor(keys, *, version=1, barred=(), ca=(b"no certificate",), server_names=("updates.example",)):
    """Return an anchor file of four keys, each alone in its role."""
    plan = trust.Plan(
        version=version,
        issued=ISSUED,
        expiry=EXPIRY,
        root=trust.KeySet(threshold=1, keys=[keys.root.key]),
        directors=[keys.director.key],
        roles={
            codes.ROLE_APP_RELEASE: trust.KeySet(threshold=1, keys=[keys.release.key]),
            codes.ROLE_APP_RECOVERY: trust.KeySet(threshold=1, keys=[keys.recovery.key]),
        },
        ca=ca,
        server_names=server_names,
        barred=barred,
    )
    return trust.build(plan, [keys.root])


def make_statement(**changes):
    """Return what a release says; `changes` are fields of `pawl_tools.release.Statement`."""
    fields = {"sequence": 1, "version": (1, 0, 0), "vendor": VENDOR, "device_class": CLASS}
    return release.Statement(**{**fields, **changes})


def make_release(keys, *, image=b"image" * 2000, **changes):
    """Return a bundle signed by the release key, or, if it `recovers`, by that key; `image` may be a `release.Payload`."""
    signer = keys.recovery if changes.get("recovers") else keys.release
    return release.build(image, make_statement(**changes), [signer])
