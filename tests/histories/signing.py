"""Keys by number that sign with a library, in the same bytes as the device's own signer, and verify once per signature.

A history signs hundreds of offers, reports and anchors: big-int P-256 would take most of its time.
"""

from functools import lru_cache

import factory
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from pawl import codes, cose
from pawl.ports.host import verifier

_RFC_6979 = ec.ECDSA(SHA256(), deterministic_signing=True)


class Signer(factory.TestKey):
    """A P-256 key pair made from one number, as `factory.TestKey` is."""

    __test__ = False

    def __init__(self, number):  # the other one computes the public key slowly
        self.number = number
        self.secret = number.to_bytes(32, "big")
        public = _private(self.secret).public_key().public_numbers()
        self.key = cose.Key(
            codes.KTY_EC2, codes.ALG_ESP256, codes.CRV_P256, public.x.to_bytes(32), public.y.to_bytes(32)
        )

    def sign(self, payload, aad, is_detached):
        """Return a COSE_Sign1 of the payload."""
        message = cose.to_be_signed(cose.protected_header(self.key.alg), aad, payload)
        return cose.write_sign1(self.key.alg, payload, sign(self.secret, message), is_detached)


@lru_cache
def signer(number):
    """Return the Signer of a number."""
    return Signer(number)


@lru_cache
def _private(secret):
    return ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())


def sign(secret, message):
    """Return the deterministic signature (RFC 6979) as r || s."""
    r, s = decode_dss_signature(_private(secret).sign(bytes(message), _RFC_6979))
    return r.to_bytes(32) + s.to_bytes(32)


def verify(key, message, signature):
    """Return whether the signature verifies: the host's primitive, asked once for the same question."""
    return _verify((key.kty, key.alg, key.crv, key.x, key.y), bytes(message), bytes(signature))


@lru_cache(maxsize=4096)
def _verify(fields, message, signature):
    return verifier.verify(cose.Key(*fields), message, signature)
