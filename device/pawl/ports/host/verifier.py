"""The signature primitive of a host: `verify(key, message, signature)` over the `cryptography` library."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from pawl import codes


def verify(key, message, signature):
    """Return whether `key` (a cose.Key) signed `message`; never raises for bad input."""
    try:
        if key.kty == codes.KTY_OKP:
            ed25519.Ed25519PublicKey.from_public_bytes(key.x).verify(bytes(signature), bytes(message))
        else:
            _verify_p256(key, bytes(message), bytes(signature))
    except (InvalidSignature, ValueError):
        return False
    return True


def _verify_p256(key, message, signature):
    if len(signature) != 64:
        raise InvalidSignature
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(key.x, "big"), int.from_bytes(key.y, "big"), ec.SECP256R1()
    )
    pair = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    numbers.public_key().verify(pair, message, ec.ECDSA(hashes.SHA256()))
