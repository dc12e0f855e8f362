"""Keys that are the same in every run, and anchors of them: trees that are open to change until they are signed."""

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from mutations import Map, Tag, Wrapped, encode


class SecretKey:
    """A key whose secret is a number: the same in every run; it signs without randomness."""

    def __init__(self, secret, algorithm=-9):
        self.algorithm = algorithm
        if algorithm == -19:
            self._private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([secret]) * 32)
            self.x, self.y = self._private.public_key().public_bytes_raw(), b""
        else:
            self._private = ec.derive_private_key(secret, ec.SECP256R1())
            point = self._private.public_key().public_numbers()
            self.x, self.y = point.x.to_bytes(32), point.y.to_bytes(32)

    def sign(self, message):
        if self.algorithm == -19:
            return self._private.sign(message)
        r, s = decode_dss_signature(
            self._private.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
        )
        return r.to_bytes(32) + s.to_bytes(32)

    def cose(self, *, is_compressed=True):
        """Return the COSE key as a tree."""
        if self.algorithm == -19:
            return Map([[1, 1], [3, -19], [-1, 6], [-2, self.x]])
        y = bool(self.y[-1] & 1) if is_compressed else self.y
        return Map([[1, 2], [3, self.algorithm], [-1, 1], [-2, self.x], [-3, y]])

    def block(self, payload, aad=b"", /, **odd):
        """Return the COSE_Sign1 over a detached payload as a tree; `odd` replaces parts of it."""
        protected = odd.get("protected", cbor2.dumps({1: self.algorithm}))
        signature = self.sign(cbor2.dumps(["Signature1", protected, aad, payload]))
        return Tag(
            18,
            [
                [
                    protected,
                    odd.get("unprotected", Map([])),
                    odd.get("payload"),
                    odd.get("signature", signature),
                ]
            ],
        )


ROOT, DIRECTOR, STRANGER = SecretKey(101), SecretKey(102), SecretKey(103)
RELEASE = [SecretKey(110), SecretKey(111, -7), SecretKey(112, -19), SecretKey(113)]
RECOVERY = [SecretKey(120), SecretKey(121)]
FORMER = SecretKey(130)
EVERYONE = [*RELEASE, *RECOVERY, ROOT, DIRECTOR, FORMER, STRANGER]


def anchor_tree(threshold, *, with_recovery=True, barred=(), **odd):
    """Return the content of an anchor as a tree."""
    keys = [ROOT, DIRECTOR, *RELEASE, *RECOVERY, FORMER]
    roles = [[1, [[threshold, [2, 3, 4, 5]], [[1, [5, 8]]]]]]
    roles += [[2, [[1, [6, 7]], []]]] if with_recovery else []
    elements = {
        1: 1,
        2: 3,
        3: 1_700_000_000,
        4: 1_800_000_000,
        5: [key.cose(is_compressed=n % 3 != 0) for n, key in enumerate(keys)],
        6: [1, [0]],
        7: [1],
        8: Map(roles),
        9: sorted(barred),
        10: [b"certificate"],
        11: ["updates.example"],
    }
    return Map([[key, value] for key, value in (elements | odd).items()])


def anchor_file(tree, signers=(ROOT,)):
    """Return a signed anchor file; `tree` may be any tree."""
    content = encode(tree)
    return encode([content, [Wrapped([signer.block(content, b"pawl/anchor/1")]) for signer in signers]])
