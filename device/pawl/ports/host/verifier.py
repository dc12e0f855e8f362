"""The signature primitive that hosts inject into the device's verifier, over `cryptography`.

Refuses to know roles, thresholds and COSE headers: `pawl.cose` asks it about one key, one message, one signature.
Whatever can't be checked is not verified: it answers False, and never raises for what others sent.

    anchor = trust.load(file, verify)
"""

from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from pawl import codes

SIGNATURE_BYTES = 64
COORDINATE_BYTES = 32
# The order of P-256's group (SP 800-186, 3.2.1.3).
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_NOT_VERIFIED = (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError, OverflowError)


def verify(key: Any, message: Any, signature: Any) -> bool:
    """Return whether `signature` is one of this `pawl.cose.Key` over the message."""
    check = _CHECKS.get((key.kty, key.alg, key.crv))
    if check is None:
        return False
    try:
        check(key, bytes(message), bytes(signature))
    except _NOT_VERIFIED:
        return False
    return True


def p256_public_key(x: bytes, y: bytes) -> ec.EllipticCurvePublicKey:
    """Return the public key with these coordinates; ValueError unless it is a point of the curve."""
    if len(x) != COORDINATE_BYTES or len(y) != COORDINATE_BYTES:
        raise ValueError("a coordinate has 32 bytes")
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), ec.SECP256R1())
    return numbers.public_key()


def _check_p256(key: Any, message: bytes, signature: bytes) -> None:
    """Raise unless r || s (RFC 9053 §2.1) verifies; the library wants DER, which would hide a wrong length."""
    if len(signature) != SIGNATURE_BYTES:
        raise InvalidSignature
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    if not (0 < r < _ORDER and 0 < s < _ORDER):
        raise InvalidSignature
    p256_public_key(key.x, key.y).verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))


def _check_ed25519(key: Any, message: bytes, signature: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(key.x).verify(signature, message)


# A key verifies by the one algorithm it is declared for.
_CHECKS = {
    (codes.KTY_EC2, codes.ALG_ESP256, codes.CRV_P256): _check_p256,
    (codes.KTY_EC2, codes.ALG_ES256, codes.CRV_P256): _check_p256,
    (codes.KTY_OKP, codes.ALG_ED25519, codes.CRV_ED25519): _check_ed25519,
}
