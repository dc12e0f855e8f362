"""COSE_Sign1 (RFC 9052 §4.2) and COSE keys, cut to what Pawl signs with.

A signature counts only under a key that was declared for its algorithm, and the algorithm only from the
protected header. There is no key id: who signed is found by trying the few keys a role has. The primitive is
injected: `verify(key, message, signature) -> bool`, big-int P-256 on a device, a library on a host.
"""

from pawl import cbor, codes
from pawl.errors import ManifestError

ALGORITHMS = (codes.ALG_ESP256, codes.ALG_ES256, codes.ALG_ED25519)


class Key:
    """A public key and the one algorithm it is declared for; `y` is empty for Ed25519."""

    def __init__(self, kty, alg, crv, x, y):
        self.kty = kty
        self.alg = alg
        self.crv = crv
        self.x = x
        self.y = y
        self.identity = (kty, crv, x, y)


def read_key(reader):
    """Read one COSE_Key of the profile; a compressed point is decompressed."""
    fields = {}
    for label in reader.keys():
        fields[label] = reader.value()
    kind = (fields.pop(codes.KEY_KTY, None), fields.pop(codes.KEY_ALG, None), fields.pop(codes.KEY_CRV, None))
    if any(part is True for part in kind):  # which is 1 in Python, but not in CBOR
        raise cbor.malformed("a key's kind is told in numbers")
    x = _coordinate(fields.pop(codes.KEY_X, None))
    if kind == (codes.KTY_OKP, codes.ALG_ED25519, codes.CRV_ED25519):
        y = b""
    elif kind in (
        (codes.KTY_EC2, codes.ALG_ESP256, codes.CRV_P256),
        (codes.KTY_EC2, codes.ALG_ES256, codes.CRV_P256),
    ):
        y = _y(x, fields.pop(codes.KEY_Y, None))
    else:
        raise ManifestError(codes.REASON_ALGORITHM, "key of another kind")
    if fields:
        raise cbor.malformed("unknown label in a key")
    return Key(kind[0], kind[1], kind[2], x, y)


def _y(x, y):
    if y is not True and y is not False:
        return _coordinate(y)
    from pawl import (
        p256,
    )  # compressed points are rare, and boards whose firmware checks signatures do without it

    try:
        return p256.decompress(x, y)
    except ValueError:
        raise cbor.malformed("key is not on its curve") from None


def _coordinate(value):
    if not isinstance(value, memoryview) or len(value) != 32:
        raise cbor.malformed("coordinate is not 32 bytes")
    return bytes(value)


class Sign1:
    """A parsed COSE_Sign1: algorithm, raw protected header, payload (None if detached), signature."""

    def __init__(self, alg, protected, payload, signature):
        self.alg = alg
        self.protected = protected
        self.payload = payload
        self.signature = signature


def read_sign1(buf):
    """Parse a tagged COSE_Sign1 whose protected header holds the algorithm and nothing else does."""
    reader = cbor.Reader(buf)
    reader.tag(codes.TAG_COSE_SIGN1)
    reader.array(4)
    protected = reader.bytes()
    if reader.map():
        raise ManifestError(codes.REASON_ALGORITHM, "unprotected header is not empty")
    payload = None if reader.is_nil() else reader.bytes()
    signature = reader.bytes_of(64)
    reader.end()
    return Sign1(_protected_algorithm(protected), protected, payload, signature)


def _protected_algorithm(protected):
    if len(protected) == 0:
        raise ManifestError(codes.REASON_ALGORITHM, "no protected algorithm")
    reader = cbor.Reader(protected)
    alg = None
    for label in reader.keys():
        if label != codes.HEADER_ALG:
            raise ManifestError(codes.REASON_ALGORITHM, "unknown protected header")
        alg = reader.value()
    reader.end()
    if alg not in ALGORITHMS:
        raise ManifestError(codes.REASON_ALGORITHM, "algorithm missing or not allowed")
    return alg


def to_be_signed(protected, aad, payload) -> bytes:
    """Return the Sig_structure of RFC 9052 §4.4 in its encoded form."""
    return cbor.encode(["Signature1", protected, aad, payload])


def protected_header(alg) -> bytes:
    """Return the encoded protected header that declares `alg`."""
    return cbor.encode({codes.HEADER_ALG: alg})


def write_sign1(alg, payload, signature, is_detached) -> bytes:
    """Encode a tagged COSE_Sign1 with an empty unprotected header."""
    body = None if is_detached else payload
    return cbor.encode(cbor.Tag(codes.TAG_COSE_SIGN1, [protected_header(alg), {}, body, signature]))


def signer(block, keys, payload, aad, verify):
    """Return the index in `keys` of the key that signed, or None."""
    message = None
    for index, key in enumerate(keys):
        if key.alg != block.alg:
            continue
        if message is None:
            message = to_be_signed(block.protected, aad, payload)
        if verify(key, message, block.signature):
            return index
    return None


def require_threshold(blocks, keys, threshold, payload, aad, verify):
    """Return the blocks by which `threshold` different keys signed the detached payload, or raise.

    Bad blocks don't spoil a met threshold; when it isn't met, the first bad block's reason is the reason.
    Stops at the threshold: each check costs a device tens of milliseconds.
    """
    if threshold < 1:
        raise ManifestError(codes.REASON_UNAUTHORISED, "threshold below 1")
    left = list(keys)
    counted = []
    fault = None
    for raw in blocks:
        try:
            block = read_sign1(raw)
            if block.payload is not None:
                raise cbor.malformed("signature is not detached")
        except ManifestError as error:
            fault = fault or error
            continue
        index = signer(block, left, payload, aad, verify)
        if index is not None:
            left.pop(index)
            counted.append(raw)
        if len(counted) == threshold:
            return counted
    raise fault or ManifestError(codes.REASON_UNAUTHORISED, "fewer valid signatures than the threshold")


def open_attached(buf, keys, aad, verify):
    """Return the payload of an attached COSE_Sign1 signed by one of `keys`, or raise."""
    return open_attached_by(buf, keys, aad, verify)[0]


def open_attached_by(buf, keys, aad, verify):
    """Return (payload, key) of an attached COSE_Sign1: which one of `keys` signed it; or raise."""
    block = read_sign1(buf)
    if block.payload is None:
        raise cbor.malformed("payload is missing")
    index = signer(block, keys, block.payload, aad, verify)
    if index is None:
        raise ManifestError(codes.REASON_UNAUTHORISED, "signature of no known key")
    return block.payload, keys[index]
