"""Releases, anchors and offers for simulated devices, made by the same code as real ones, with keys made from numbers."""

from collections.abc import Sequence
from functools import lru_cache

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from pawl import cbor, codes, cose
from pawl.compat import sha256
from pawl.ports.host import verifier
from pawl_sim.supply import Release, Supply
from pawl_tools import identifiers, release, trust
from pawl_tools.keys import PrivateSigner
from pawl_tools.statement import Statement

_VENDOR = identifiers.vendor_id("example.com")
_CLASS = identifiers.class_id(_VENDOR, "simulated")
_ISSUED = 1_700_000_000
_REPORT_KEY = (9).to_bytes(32)
_IMAGE_BYTES = 6000


@lru_cache
def _signer(number: int) -> PrivateSigner:
    return PrivateSigner(ec.derive_private_key(number, ec.SECP256R1()))


_ROOTS = (11, 12, 13)
_DIRECTOR, _RELEASE, _SECOND, _RECOVERY = 20, 30, 31, 40


def make() -> Supply:
    """Return what the scenarios of `pawl_sim` ask for."""
    next_image = _image("next", _IMAGE_BYTES)
    releases = {
        "factory": _release((0, 1), _image("factory", _IMAGE_BYTES)),
        "next": _release((0, 2), next_image),
        "parts": _release((0, 3), _image("parts", 5000), data=_image("data", 4500)),
        "other": _release((0, 4), _image("other", 4200)),
        "recovery": _release((0, 5), _image("recovery", 4300), recovers=next_image),
        "epoch": _release((1, 1), _image("epoch", 4400)),
    }
    return _supply(releases)


def make_series(count: int, image_bytes: int, data_bytes: int) -> Supply:
    """Return releases "1", "2" and so on: each newer than the one before, with images that share nothing with others."""
    releases = {}
    for number in range(1, count + 1):
        app, data = _image(f"app {number}", image_bytes), _image(f"data {number}", data_bytes)
        releases[str(number)] = _release((0, number), app, data=data)
    return _supply(releases)


def _supply(releases: dict[str, bytes]) -> Supply:
    return Supply(
        releases={name: Release(raw=raw) for name, raw in releases.items()},
        anchors=_anchors(),
        vendor=_VENDOR,
        device_class=_CLASS,
        report_key=_REPORT_KEY,
        verify=_verify,
        sign=_sign,
        sign_offer=_sign_offer,
    )


def _image(name: str, size: int) -> bytes:
    """Return bytes that no other image shares a run of with."""
    parts = [sha256(f"{name} {number}".encode()) for number in range(size // 32 + 1)]
    return b"".join(parts)[:size]


def _release(
    numbered: tuple[int, int], app: bytes, data: bytes | None = None, recovers: bytes | None = None
) -> bytes:
    epoch, counter = numbered
    statement = Statement(
        sequence=epoch << 32 | counter,
        version=(0, counter) if recovers else (counter,),
        vendor=_VENDOR,
        device_class=_CLASS,
        recovers=((bytes(sha256(recovers)), len(recovers)),) if recovers else (),
    )
    signers = (_RECOVERY,) if recovers else (_RELEASE, _SECOND)
    return release.build(
        release.Payload(app=(app,), data=data), statement, [_signer(number) for number in signers]
    )


def _key_set(*numbers: int) -> trust.KeySet:
    return trust.KeySet(threshold=len(numbers), keys=[_signer(number).key for number in numbers])


def _anchors() -> tuple[bytes, ...]:
    """Return a chain in which each anchor has another root."""
    return tuple(
        _anchor(version, _ROOTS[max(0, version - 2) : version]) for version in range(1, len(_ROOTS) + 1)
    )


def _anchor(version: int, signers: Sequence[int]) -> bytes:
    plan = trust.Plan(
        version=version,
        issued=_ISSUED,
        expiry=_ISSUED + 10**9,
        root=_key_set(_ROOTS[version - 1]),
        directors=[_signer(_DIRECTOR).key],
        roles={
            codes.ROLE_APP_RELEASE: _key_set(_RELEASE, _SECOND),
            codes.ROLE_APP_RECOVERY: _key_set(_RECOVERY),
        },
        ca=(b"certificate",),
        server_names=("localhost",),
    )
    content = _with_whole_points(trust.content_of(plan), plan)
    return trust.file_of(content, [trust.block_of(_signer(number), content) for number in signers])


def _with_whole_points(content: bytes, plan: trust.Plan) -> bytes:
    """Return the document with both coordinates of each key: a square root a key and boot is most of what exploring costs."""
    values = cbor2.loads(content)
    known = {key.x: key.y for one in (plan.root, *plan.roles.values()) for key in one.keys}
    known |= {key.x: key.y for key in plan.directors}
    for key in values[codes.ANCHOR_KEYS]:
        key[codes.KEY_Y] = known[key[codes.KEY_X]]
    return bytes(cbor.encode(values))


def _sign(secret: bytes, message: bytes) -> bytes:
    return _signer(int.from_bytes(secret)).sign(bytes(message))


def _sign_offer(content: bytes) -> bytes:
    key = _signer(_DIRECTOR)
    message = cose.to_be_signed(cose.protected_header(key.key.alg), codes.AAD_OFFER, content)
    return bytes(cose.write_sign1(key.key.alg, content, key.sign(message), is_detached=False))


def _verify(key: cose.Key, message: bytes, signature: bytes) -> bool:
    """Answer the same question once: a signature that verifies does so each time."""
    return _verified((key.kty, key.alg, key.crv, key.x, key.y), bytes(message), bytes(signature))


@lru_cache(maxsize=65536)
def _verified(fields: tuple[object, ...], message: bytes, signature: bytes) -> bool:
    return verifier.verify(cose.Key(*fields), message, signature)
