"""The trust anchor document: who may sign for which role; COSE keys and detached COSE_Sign1 signatures."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from pawl_reader import strict
from pawl_reader.strict import array, mapping, number, octets, require
from pawl_reader.verdict import KeyIdentity, RefusedError

_FILE_BYTES_MAX = 4000
_AAD = b"pawl/anchor/1"
_ES256, _ESP256, _ED25519 = -7, -9, -19
_CURVE = ec.SECP256R1()


@dataclass(frozen=True)
class Key:
    """A public key and the one algorithm it is declared for."""

    identity: KeyIdentity
    algorithm: int

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Return whether this key made the signature; one that can't be checked it did not make."""
        try:
            self._check(message, signature)
        except (InvalidSignature, ValueError):
            return False
        return True

    def _check(self, message: bytes, signature: bytes) -> None:
        if self.algorithm == _ED25519:
            Ed25519PublicKey.from_public_bytes(self.identity[2]).verify(signature, message)
            return
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        self._p256.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))

    @cached_property
    def _p256(self) -> ec.EllipticCurvePublicKey:
        return ec.EllipticCurvePublicKey.from_encoded_point(
            _CURVE, b"\4" + self.identity[2] + self.identity[3]
        )


@dataclass(frozen=True)
class KeySet:
    """A threshold, and the keys that count towards it."""

    threshold: int
    keys: frozenset[KeyIdentity]

    def is_met_by(self, signers: frozenset[KeyIdentity]) -> bool:
        """Return whether enough of them signed."""
        return len(self.keys & signers) >= self.threshold


@dataclass(frozen=True)
class Anchor:
    """Every key, the install set of each role, and the manifest digests that are barred."""

    keys: tuple[Key, ...]
    install: dict[int, KeySet]
    barred: frozenset[bytes]


def signer_of(block: Any, payload: bytes, keys: tuple[Key, ...], aad: bytes = b"") -> KeyIdentity | None:
    """Return which key made a detached COSE_Sign1 (RFC 9052, 4.4), None if none did; refuse another shape."""
    protected, unprotected, nil, signature = array(strict.tagged(block, 18), 4, 4)
    header = mapping(strict.decode(octets(protected)))
    require(list(header) == [1] and unprotected == {} and nil is None, "a header or payload too many")
    require(type(header[1]) is int, "no algorithm")
    message = cbor2.dumps(["Signature1", protected, aad, payload])
    for key in keys:
        if key.algorithm == header[1] and key.verifies(message, octets(signature, 64)):
            return key.identity
    return None


def read_anchor(file: bytes) -> Anchor:
    """Return what an anchor file says, if its own root signed it."""
    require(len(file) <= _FILE_BYTES_MAX, "the anchor file is too large")
    content, blocks = array(strict.decode(file), 2, 2)
    document = mapping(strict.decode(octets(content)))
    require(list(document) == list(range(1, 12)), "anchor elements")
    require(number(document[1]) == 1, "anchor format")
    for element in (2, 3, 4):
        number(document[element])
    keys = tuple(_key(item) for item in array(document[5], 1, 32))
    require(len({key.identity for key in keys}) == len(keys), "a key twice")
    root, install = _roles(document, keys)
    barred = [octets(item, 32) for item in array(document[9], 0, 16)]
    require(all(one < other for one, other in pairwise(barred)), "barred digests out of order")
    for item in array(document[10], 1, 4):
        octets(item)
    for item in array(document[11], 1, 4):
        strict.text(item)
    signers = frozenset(_root_signers(array(blocks, 1, 16), content, keys))
    require(root.is_met_by(signers), "the anchor is not signed by its root")
    return Anchor(keys, install, frozenset(barred))


def _root_signers(blocks: list[Any], content: bytes, keys: tuple[Key, ...]) -> list[KeyIdentity]:
    """Return who signed; a bad signature counts for nobody."""
    signers = []
    for block in blocks:
        try:
            signer = signer_of(block, content, keys, _AAD)
        except RefusedError:
            continue
        signers += [] if signer is None else [signer]
    return signers


def _roles(document: dict[Any, Any], keys: tuple[Key, ...]) -> tuple[KeySet, dict[int, KeySet]]:
    """Return root set and install sets; the boot sets of a role share its keys with no other role."""
    root, install = _set(document[6], keys), {}
    roles = [root.keys, frozenset(_members(array(document[7], 1, 2), keys))]
    sets = mapping(document[8])
    require(0 < len(sets) <= 4, "no role, or too many")
    for role, item in sets.items():
        require(1 <= number(role) <= 4, "an unknown role")
        first, former = array(item, 2, 2)
        install[role] = _set(first, keys)
        boot = [_set(one, keys).keys for one in array(former, 0, 4)]
        roles.append(install[role].keys.union(*boot))
    require(len(frozenset[KeyIdentity]().union(*roles)) == sum(map(len, roles)), "a key in two roles")
    return root, install


def _set(item: Any, keys: tuple[Key, ...]) -> KeySet:
    threshold, indices = array(item, 2, 2)
    members = _members(array(indices, 1, 16), keys)
    require(1 <= number(threshold) <= len(members), "a threshold that can't be")
    return KeySet(threshold, frozenset(members))


def _members(indices: list[Any], keys: tuple[Key, ...]) -> list[KeyIdentity]:
    numbers = [number(index, len(keys) - 1) for index in indices]
    require(all(one < other for one, other in pairwise(numbers)), "key indices out of order")
    return [keys[index].identity for index in numbers]


def _key(item: Any) -> Key:
    fields = mapping(item)
    kind = [fields.get(label) for label in (1, 3, -1)]
    require(all(type(value) is int for value in kind), "a key without kind")
    x = octets(fields.get(-2), 32)
    if kind == [1, _ED25519, 6] and list(fields) == [1, 3, -1, -2]:
        return Key((1, 6, x, b""), _ED25519)
    require(
        kind in [[2, _ES256, 1], [2, _ESP256, 1]] and list(fields) == [1, 3, -1, -2, -3], "an unknown key"
    )
    return Key((2, 1, x, _y(x, fields[-3])), kind[1])


def _y(x: bytes, y: Any) -> bytes:
    """Return the other coordinate; of a compressed point only its sign was told."""
    if type(y) is not bool:
        return octets(y, 32)
    try:
        point = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, (b"\3" if y else b"\2") + x)
    except ValueError:
        strict.refuse("a key that is no point of the curve")
    return point.public_numbers().y.to_bytes(32)
