"""Signing keys: PEM files for their owner's eyes only, and the one-method `Signer` that everything signs through.

ESP256 is the profile; Ed25519 keys are for verifiers that know them. Signatures are deterministic, so that the same
release signed again is the same bytes.
"""

from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from pawl import cbor, codes, cose
from pawl.compat import sha256
from pawl.index import b64u
from pawl_tools.errors import ToolError
from pawl_tools.pki import write_private

ALGORITHMS = {"esp256": codes.ALG_ESP256, "ed25519": codes.ALG_ED25519}

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class Signer(Protocol):
    """Whoever holds a private key."""

    key: cose.Key

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of a message."""
        ...


class PrivateSigner:
    """A key in memory."""

    def __init__(self, private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> None:
        self._private = private
        self.key = cose_key(private.public_key())

    def sign(self, message: bytes) -> bytes:
        """Return r || s, or an Ed25519 signature."""
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            return self._private.sign(message)
        signature = self._private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(signature)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class FileSigner(PrivateSigner):
    """A key in a PEM file, unencrypted PKCS #8."""

    def __init__(self, path: Path) -> None:
        super().__init__(_load_private(path))


def new(path: Path, algorithm: str) -> None:
    """Make a key pair: the private key at `path` (mode 0600), the public one beside it as `.pub`."""
    if algorithm not in ALGORITHMS:
        raise ToolError(f"unknown algorithm {algorithm!r}: choose one of {', '.join(ALGORITHMS)}")
    private = (
        ed25519.Ed25519PrivateKey.generate()
        if algorithm == "ed25519"
        else ec.generate_private_key(ec.SECP256R1())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        write_private(path, pem)
    except FileExistsError:
        raise ToolError(f"{path} exists: a key is never overwritten, choose another name") from None
    except OSError as error:
        raise ToolError(f"cannot write {path}: {error.strerror}") from None
    public_path(path).write_bytes(public)


def public_path(path: Path) -> Path:
    """Return where the public half of a key is written."""
    return path.with_name(path.name + ".pub")


def load_public(path: Path) -> cose.Key:
    """Return the public key in a PEM file, which may also be a private one."""
    pem = _read(path)
    if b"PRIVATE" in pem:
        return FileSigner(path).key
    try:
        return cose_key(serialization.load_pem_public_key(pem))
    except (ValueError, UnsupportedAlgorithm):
        raise ToolError(f"{path} is not a public key in PEM: `pawl keys new` makes one") from None


def signer_of(path: Path) -> FileSigner | None:
    """Return the signer of a private key file, or None if the file holds a public key."""
    return FileSigner(path) if b"PRIVATE" in _read(path) else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ToolError(f"cannot read {path}: {error.strerror}") from None


def _load_private(path: Path) -> ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
    try:
        private = serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ToolError(
            f"{path} is not an unencrypted private key in PEM: `pawl keys new` makes one"
        ) from None
    if isinstance(private, (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
        return private
    raise ToolError(f"{path} is neither a P-256 nor an Ed25519 key")


def cose_key(public: object) -> cose.Key:
    """Return the COSE key of a public key."""
    if isinstance(public, ed25519.Ed25519PublicKey):
        return cose.Key(codes.KTY_OKP, codes.ALG_ED25519, codes.CRV_ED25519, public.public_bytes_raw(), b"")
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        numbers = public.public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        return cose.Key(codes.KTY_EC2, codes.ALG_ESP256, codes.CRV_P256, x, y)
    raise ToolError("only P-256 and Ed25519 keys are supported")


def short_name(key: cose.Key) -> str:
    """Return the name by which people tell keys apart: 10 characters of the digest of its COSE encoding."""
    return b64u(sha256(cbor.encode(encode(key))))[:10]


def encode(key: cose.Key) -> dict[int, object]:
    """Return a COSE key as plain values, its point compressed."""
    fields = {
        codes.KEY_KTY: key.kty,
        codes.KEY_ALG: key.alg,
        codes.KEY_CRV: key.crv,
        codes.KEY_X: key.x,
    }
    if key.kty == codes.KTY_EC2:
        fields[codes.KEY_Y] = bool(key.y[-1] & 1)
    return fields
