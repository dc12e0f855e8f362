"""The trust anchor document: who may sign for which role; COSE keys and detached COSE_Sign1 signatures."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256

from pawl_reader.strict import RefusedError, decode, of, require
from pawl_reader.verdict import KeyIdentity

_FILE_BYTES_MAX = 4000
_ED25519, _P256_ALGORITHMS = -19, {-7, -9}
_AAD = b"pawl/anchor/1"


class Key(NamedTuple):
    """A public key and the one algorithm it is declared for."""

    identity: KeyIdentity
    algorithm: int

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Return whether this key made the signature; one that can't be checked it did not make."""
        _, _, x, y = self.identity
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        try:
            if self.algorithm == _ED25519:
                ed25519.Ed25519PublicKey.from_public_bytes(x).verify(signature, message)
            else:
                _point(b"\4" + x + y).verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return len(signature) == 64


class KeySet(NamedTuple):
    """A threshold, and the keys that count towards it."""

    threshold: int
    keys: frozenset[KeyIdentity]

    def is_met_by(self, signers: frozenset[KeyIdentity]) -> bool:
        """Return whether enough of them signed."""
        return len(self.keys & signers) >= self.threshold


class Anchor(NamedTuple):
    """Every key, the install set of each role, and the manifest digests that are barred."""

    keys: Sequence[Key]
    install: dict[int, KeySet]
    barred: list[bytes]


def _point(encoded: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encoded)


def signer_of(block: Any, payload: bytes, keys: Sequence[Key], aad: bytes = b"") -> KeyIdentity:
    """Return which key made a detached COSE_Sign1 (RFC 9052, 4.4); refuse one that nobody made."""
    require(isinstance(block, cbor2.CBORTag) and block.tag == 18, "not a COSE_Sign1")
    protected, unprotected, nil, signature = of(list, block.value, 4, 4)
    header = of(dict, decode(of(bytes, protected)))
    require(list(header) == [1] and unprotected == {} and nil is None, "a header or payload too many")
    message = cbor2.dumps(["Signature1", protected, aad, payload])
    for key in keys:
        if key.algorithm == header[1] and key.verifies(message, of(bytes, signature)):
            return key.identity
    raise RefusedError("a signature of no known key")


def read_anchor(file: bytes) -> Anchor:
    """Return what an anchor file says, if its own root signed it."""
    require(len(file) <= _FILE_BYTES_MAX, "the anchor file is too large")
    content, blocks = of(list, decode(file), 2, 2)
    document = of(dict, decode(of(bytes, content)))
    require(list(document) == list(range(1, 12)), "anchor elements")
    require(min(of(int, document[element]) for element in (1, 2, 3, 4)) >= 0 and document[1] == 1, "format")
    keys = [_key(of(dict, item)) for item in of(list, document[5], 1, 32)]
    require(len({key.identity for key in keys}) == len(keys), "a key twice")
    root, install = _roles(document, keys)
    barred = [of(bytes, item, 32, 32) for item in of(list, document[9], 0, 16)]
    require(all(one < other for one, other in pairwise(barred)), "barred digests out of order")
    _ = [of(bytes, item) for item in of(list, document[10], 1, 4)]
    _ = [of(str, item) for item in of(list, document[11], 1, 4)]
    signers = set()
    for block in of(list, blocks, 1, 16):
        raw = of(bytes, block)
        try:
            signers.add(signer_of(decode(raw), content, keys, _AAD))
        except RefusedError:  # a bad signature counts for nobody
            continue
    require(root.is_met_by(frozenset(signers)), "the anchor is not signed by its root")
    return Anchor(keys, install, barred)


def _roles(document: dict[Any, Any], keys: list[Key]) -> tuple[KeySet, dict[int, KeySet]]:
    """Return root set and install sets; a role's boot sets share keys with it, but with no other role."""
    root, install = _set(document[6], keys), {}
    roles = [root.keys, _members(document[7], keys, 2)]
    for role, item in of(dict, document[8], 1).items():
        first, former = of(list, item, 2, 2)
        install[of(int, role, 1, 4)] = _set(first, keys)
        roles.append(install[role].keys.union(*(_set(one, keys).keys for one in of(list, former, 0, 4))))
    require(len(frozenset[KeyIdentity]().union(*roles)) == sum(map(len, roles)), "a key in two roles")
    return root, install


def _set(item: Any, keys: list[Key]) -> KeySet:
    threshold, indices = of(list, item, 2, 2)
    members = _members(indices, keys, 16)
    return KeySet(of(int, threshold, 1, len(members)), members)


def _members(item: Any, keys: list[Key], most: int) -> frozenset[KeyIdentity]:
    indices = [of(int, index, 0, len(keys) - 1) for index in of(list, item, 1, most)]
    require(all(one < other for one, other in pairwise(indices)), "key indices out of order")
    return frozenset(keys[index].identity for index in indices)


def _key(fields: dict[Any, Any]) -> Key:
    kty, algorithm, curve, x, y = [fields.get(label) for label in (1, 3, -1, -2, -3)]
    algorithm, x = of(int, algorithm, -64), of(bytes, x, 32, 32)
    require(type(kty) is type(curve) is int, "a key without kind")
    if (kty, algorithm, curve) == (1, _ED25519, 6) and list(fields) == [1, 3, -1, -2]:
        return Key((1, 6, x, b""), algorithm)
    require((kty, curve) == (2, 1) and algorithm in _P256_ALGORITHMS and len(fields) == 5, "an unknown key")
    if type(y) is bool:  # of a compressed point only the sign of y is told
        try:
            y = _point((b"\3" if y else b"\2") + x).public_numbers().y.to_bytes(32)
        except ValueError as error:
            raise RefusedError("a key that is no point of the curve") from error
    return Key((2, 1, x, of(bytes, y, 32, 32)), algorithm)
