"""The director's key: signs offers, and nothing else that a device would follow.

Refuses a key file that others can read, and a key that the trust anchor doesn't name as a director: devices would
refuse every offer it signs.

    signer = load_director(settings.director_key, anchor.directors)
    message = signer.sign_offer(offer)
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pawl import codes, cose, messages
from pawl.ports.host.verifier import COORDINATE_BYTES


class DirectorKeyError(Exception):
    """The director's key can't be used; the message says why."""


class Signer(Protocol):
    """Whoever signs for the director: a file's key here, a module or a service elsewhere."""

    def sign_offer(self, offer: Any) -> bytes:
        """Return the signed message that carries a `pawl.messages.Offer`."""


class FileSigner:
    """Signs with a P-256 key held in memory, under the algorithm that the anchor declares for it."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, alg: int) -> None:
        self._key = key
        self._alg = alg

    def sign_offer(self, offer: Any) -> bytes:
        """Return the offer as attached COSE_Sign1."""
        content = messages.write_offer(offer)
        message = cose.to_be_signed(cose.protected_header(self._alg), codes.AAD_OFFER, content)
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(SHA256())))
        signature = r.to_bytes(COORDINATE_BYTES) + s.to_bytes(COORDINATE_BYTES)
        return bytes(cose.write_sign1(self._alg, content, signature, is_detached=False))


def choose_director(paths: Sequence[Path], directors: list[Any]) -> FileSigner:
    """Return the signer of the first of these files that the anchor names; raises DirectorKeyError if it names none."""
    faults = []
    for path in paths:
        try:
            return load_director(path, directors)
        except DirectorKeyError as error:
            faults.append(str(error))
        except OSError as error:
            faults.append(f"cannot read {path}: {error.strerror}")
    raise DirectorKeyError("; ".join(faults))


def load_director(path: Path, directors: list[Any]) -> FileSigner:
    """Return the signer of a PEM file that only its owner can read; raises DirectorKeyError."""
    if path.stat().st_mode & 0o077:
        raise DirectorKeyError(f"{path} can be read by others: chmod 600 {path}")
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise DirectorKeyError(f"{path} is no unencrypted private key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise DirectorKeyError(f"{path} is not a P-256 key")
    return FileSigner(key, _declared_algorithm(key, directors, path))


def _declared_algorithm(key: ec.EllipticCurvePrivateKey, directors: list[Any], path: Path) -> int:
    numbers = key.public_key().public_numbers()
    point = numbers.x.to_bytes(COORDINATE_BYTES), numbers.y.to_bytes(COORDINATE_BYTES)
    for director in directors:
        if (director.x, director.y) == point:
            return int(director.alg)
    raise DirectorKeyError(f"the trust anchor does not name the key in {path} as a director")
