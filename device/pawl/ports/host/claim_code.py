"""The claim code of a device, for a label or a QR code: whoever holds it may enroll the device that says hello.

It carries the public key that the device's reports are signed with, and a check value over that and the device's id. It
is no secret of the device, and no device imports this file.

    code = write(device, x, y)        # "AEBQ4-…", 12 groups of 5
    x, y = read(device, code)
"""

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric import ec

GROUP_SIGNS = 5
SIGNS = 60
_VERSION = 1
_KEY_BYTES = 33
_CHECK_BYTES = 3
_EVEN, _ODD = 2, 3  # SEC 1, 2.3.3: what a compressed point begins with
_COORDINATE_BYTES = 32
# Base32 in whole groups of 8 signs, as the library reads it.
_PADDING = "===="


class ClaimCodeError(ValueError):
    """The text isn't this device's claim code; it says why."""


def write(device: str, x: bytes, y: bytes) -> str:
    """Return the claim code of the device with this report key."""
    key = bytes([_ODD if y[-1] % 2 else _EVEN]) + x
    body = bytes([_VERSION]) + key
    text = base64.b32encode(body + _check(device, body)).decode().rstrip("=")
    return "-".join(text[at : at + GROUP_SIGNS] for at in range(0, len(text), GROUP_SIGNS))


def read(device: str, code: str) -> tuple[bytes, bytes]:
    """Return the coordinates of the report key in a device's claim code; ClaimCodeError if it is none.

    Case, hyphens and spaces don't matter; 0 is read as O, and 1 as I.
    """
    raw = _decoded(code)
    body, check = raw[: 1 + _KEY_BYTES], raw[1 + _KEY_BYTES :]
    if body[0] != _VERSION:
        raise ClaimCodeError(
            f"the claim code is of version {body[0]}, and {_VERSION} is known, or it is mistyped"
        )
    if check != _check(device, body):
        raise ClaimCodeError(f"the claim code is mistyped, or of another device than {device}")
    try:
        numbers = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), body[1:]).public_numbers()
    except ValueError:
        raise ClaimCodeError("the claim code holds no P-256 key") from None
    return numbers.x.to_bytes(_COORDINATE_BYTES), numbers.y.to_bytes(_COORDINATE_BYTES)


def _decoded(code: str) -> bytes:
    text = "".join(code.split()).replace("-", "")
    if len(text) != SIGNS or not text.isascii():
        raise ClaimCodeError(f"a claim code has {SIGNS} letters and digits, not {len(text)}")
    try:
        raw = base64.b32decode(text + _PADDING, casefold=True, map01="I")
    except ValueError:
        raise ClaimCodeError("a claim code has the letters A to Z and the digits 2 to 7 only") from None
    if base64.b32encode(raw)[-len(_PADDING) - 1 : -len(_PADDING)] != text[-1:].upper().encode():
        raise ClaimCodeError("the last sign of the claim code is mistyped")
    return raw


def _check(device: str, body: bytes) -> bytes:
    """Return the check value; the id ends with a byte that none holds."""
    return hashlib.sha256(b"pawl claim code\0" + device.encode() + b"\0" + body).digest()[:_CHECK_BYTES]
