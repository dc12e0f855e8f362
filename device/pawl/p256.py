"""ECDSA on P-256 with SHA-256 (FIPS 186-5, RFC 6979): big integers, no C code needed.

Keys and signatures are plain bytes: x, y and secrets 32 each, signatures r || s, all big-endian.
Refuses to know COSE, DER or roles, and to find randomness by itself: `pawl.cose` and the ports do.
Nothing here is constant time, see `sign`.

    x, y = public_key(secret)
    assert verify(x, y, b"report", sign(secret, b"report"))
"""

from pawl.compat import const, sha256

# The curve y^2 = x^3 - 3x + b over the field of p; its group has prime order n (SP 800-186, 3.2.1.3).
_P = const(0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF)
_N = const(0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551)
_B = const(0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B)
_ROOT_EXPONENT = const(0x3FFFFFFFC0000000400000000000000000000000400000000000000000000000)

# Wider windows mean fewer additions but larger tables: beyond these, under 3% was left to gain.
_G_WINDOW_BITS = const(5)
_KEY_WINDOW_BITS = const(4)

_GENERATE_ATTEMPTS = const(8)

# G, 3G, 5G, ... 15G.
_G_ODD_MULTIPLES = (
    (
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    ),
    (
        0x5ECBE4D1A6330A44C8F7EF951D4BF165E6C6B721EFADA985FB41661BC6E7FD6C,
        0x8734640C4998FF7E374B06CE1A64A2ECD82AB036384FB83D9A79B127A27D5032,
    ),
    (
        0x51590B7A515140D2D784C85608668FDFEF8C82FD1F5BE52421554A0DC3D033ED,
        0xE0C17DA8904A727D8AE1BF36BF8A79260D012F00D4D80888D1D0BB44FDA16DA4,
    ),
    (
        0x8E533B6FA0BF7B4625BB30667C01FB607EF9F8B8A80FEF5B300628703187B2A3,
        0x73EB1DBDE03318366D069F83A6F5900053C73633CB041B21C55E1A86C1F400B4,
    ),
    (
        0xEA68D7B6FEDF0B71878938D51D71F8729E0ACB8C2C6DF8B3D79E8A4B90949EE0,
        0x2A2744C972C9FCE787014A964A8EA0C84D714FEAA4DE823FE85A224A4DD048FA,
    ),
    (
        0x3ED113B7883B4C590638379DB0C21CDA16742ED0255048BF433391D374BC21D1,
        0x9099209ACCC4C8A224C843AFA4F4C68A090D04DA5E9889DAE2F8EEFCE82A3740,
    ),
    (
        0x177C837AE0AC495A61805DF2D85EE2FC792E284B65EAD58A98E15D9D46072C01,
        0x63BB58CD4EBEA558A24091ADB40F4E7226EE14C3A1FB4DF39C43BBE2EFC7BFD8,
    ),
    (
        0xF0454DC6971ABAE7ADFB378999888265AE03AF92DE3A0EF163668C63E59B9D5F,
        0xB5B93EE3592E2D1F4E6594E51F9643E62A3B21CE75B5FA3F47E59CDE0D034F36,
    ),
)


def verify(x: bytes, y: bytes, message, signature) -> bool:
    """Return whether the signature is of this key over the message; False for a key off the curve, too."""
    if len(signature) != 64 or not _is_public_key(x, y):
        return False
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if not (0 < r < _N and 0 < s < _N):
        return False
    inverse = _inverse(s, _N)
    from_message = int.from_bytes(sha256(message), "big") * inverse % _N
    from_key = r * inverse % _N
    key_table = _odd_multiples(int.from_bytes(x, "big"), int.from_bytes(y, "big"))
    px, _, pz = _sum_of_multiples(
        (
            (_digits(from_message, _G_WINDOW_BITS), _signed(_G_ODD_MULTIPLES)),
            (_digits(from_key, _KEY_WINDOW_BITS), _signed(key_table)),
        )
    )
    if not pz:
        return False
    # r is x mod n, so x is r or, below p, r + n. Scaling by z^2 both ways spares an inversion.
    zz = pz * pz % _P
    return px == r * zz % _P or (r + _N < _P and px == (r + _N) * zz % _P)


def sign(secret: bytes, message) -> bytes:
    """Return the deterministic signature (RFC 6979) of the message.

    Not constant time: which additions run depends on the nonce, and timing or power traces of many
    signatures give away the secret to somebody beside the device. So the identity key, which lets one
    device speak for itself and installs nothing, may sign here; keys that authorise others must not.

    Raises:
        ValueError: the secret is not one that `generate` could have made.
    """
    d = _secret_number(secret)
    digest = sha256(message)
    e = int.from_bytes(digest, "big")
    nonces = _nonces(secret, digest)
    r = s = 0
    while not (r and s):
        k = next(nonces)
        r = _multiple_of_g(k)[0] % _N
        s = _inverse(k, _N) * (e + r * d) % _N
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def public_key(secret: bytes) -> tuple:
    """Return x and y of the secret's public key; ValueError for a secret out of range."""
    x, y = _multiple_of_g(_secret_number(secret))
    return x.to_bytes(32, "big"), y.to_bytes(32, "big")


def generate(random_bytes) -> bytes:
    """Return a new secret out of `random_bytes(count)`, by rejection (FIPS 186-5, A.2.2)."""
    for _ in range(_GENERATE_ATTEMPTS):
        secret = random_bytes(32)
        if _is_secret(secret):
            return secret
    # A good source fails once in 2**32 attempts.
    raise ValueError("random source is stuck")


def decompress(x: bytes, odd) -> bytes:
    """Return y of the point with this x and parity (SEC 1, 2.3.4); ValueError if the curve has none."""
    number = int.from_bytes(x, "big")
    if len(x) != 32 or number >= _P:
        raise ValueError("x is not a field element")
    square = _y_squared(number)
    y = pow(square, _ROOT_EXPONENT, _P)
    if y * y % _P != square:
        raise ValueError("point is not on the curve")
    return (y if y & 1 == odd else _P - y).to_bytes(32, "big")


def _is_public_key(x, y):
    """Return whether (x, y) is a point of the curve; the cofactor is 1, so any is in the group."""
    if len(x) != 32 or len(y) != 32:
        return False
    x = int.from_bytes(x, "big")
    y = int.from_bytes(y, "big")
    return x < _P and y < _P and y * y % _P == _y_squared(x)


def _y_squared(x):
    """Return x^3 - 3x + b."""
    return ((x * x - 3) * x + _B) % _P


def _is_secret(secret):
    """Return whether the bytes are a number from 1 to n - 1."""
    return len(secret) == 32 and 0 < int.from_bytes(secret, "big") < _N


def _secret_number(secret):
    """Return the secret as a number."""
    if not _is_secret(secret):
        raise ValueError("secret out of range")
    return int.from_bytes(secret, "big")


def _nonces(secret, digest):
    """Yield the nonces for a secret and a digest, in order of use (RFC 6979, 3.2 b-h)."""
    reduced = int.from_bytes(digest, "big") % _N
    seed = secret + reduced.to_bytes(32, "big")
    key = bytes(32)
    value = b"\x01" * 32
    for mark in (b"\x00", b"\x01"):
        key = _hmac(key, value + mark + seed)
        value = _hmac(key, value)
    while True:
        value = _hmac(key, value)
        k = int.from_bytes(value, "big")
        if 0 < k < _N:
            yield k
        key = _hmac(key, value + b"\x00")
        value = _hmac(key, value)


def _hmac(key, message):
    """Return HMAC-SHA-256 under a 32-byte key (RFC 2104)."""
    inner = bytes([b ^ 0x36 for b in key]) + b"\x36" * 32
    outer = bytes([b ^ 0x5C for b in key]) + b"\x5c" * 32
    return sha256(outer + sha256(inner + message))


def _inverse(a, modulus):
    """Return the inverse of a by Euclid: on MicroPython faster than pow(a, modulus - 2, modulus)."""
    r, s, u, v = modulus, a, 0, 1
    while s:
        quotient = r // s
        r, s = s, r - quotient * s
        u, v = v, u - quotient * v
    return u % modulus


def _multiple_of_g(k):
    """Return kG as x and y, for k from 1 to n - 1."""
    terms = ((_digits(k, _G_WINDOW_BITS), _signed(_G_ODD_MULTIPLES)),)
    return _to_affine([_sum_of_multiples(terms)])[0]


def _digits(k, width):
    """Return k < 2^256 as one signed odd digit or 0 per bit (wNAF), so that few points are added.

    A digit is kept modulo 2^width, which is odd and never 0; its upper half is negative. At least
    width - 1 zeros follow each digit upwards. Bits are read from bytes: big integers would allocate.
    """
    source = k.to_bytes(34, "little")
    digits = bytearray(257)
    mask = (1 << width) - 1
    carry = position = 0
    while position < 257:
        byte = position >> 3
        bits = (source[byte] | source[byte + 1] << 8) >> (position & 7)
        if bits & 1 == carry:
            position += 1
            continue
        digit = (bits & mask) + carry
        digits[position] = digit
        carry = digit >> (width - 1)
        position += width
    return digits


def _odd_multiples(x, y):
    """Return the key's point times 1, 3, 5, 7 as a table for `_signed`."""
    ((twice_x, twice_y),) = _to_affine([_double(x, y, 1)])
    points = [(x, y, 1)]
    for _ in range((1 << (_KEY_WINDOW_BITS - 2)) - 1):
        points.append(_add(*points[-1], twice_x, twice_y))
    return _to_affine(points)


def _signed(odd_multiples):
    """Return the table in which a digit d of `_digits` finds its point at d >> 1: P 3P ... -3P -P."""
    return list(odd_multiples) + [(x, _P - y) for x, y in reversed(odd_multiples)]


def _to_affine(points):
    """Return (x, y) for each Jacobian (x, y, z), none at infinity, with a single inversion (Montgomery)."""
    before = [1]
    for _, _, z in points:
        before.append(before[-1] * z % _P)
    inverse = _inverse(before.pop(), _P)
    result = []
    for x, y, z in reversed(points):
        w = inverse * before.pop() % _P
        inverse = inverse * z % _P
        ww = w * w % _P
        result.append((x * ww % _P, y * ww * w % _P))
    result.reverse()
    return result


def _sum_of_multiples(terms):
    """Return the sum of digits times point over all (digits, signed table), in Jacobian coordinates.

    The terms share their doublings (Straus, Shamir). Jacobian (x, y, z) stands for (x/z^2, y/z^3),
    z = 0 for the point at infinity.
    """
    x, y, z = 1, 1, 0
    for position in range(256, -1, -1):
        x, y, z = _double(x, y, z)
        for digits, table in terms:
            digit = digits[position]
            if digit:
                px, py = table[digit >> 1]
                x, y, z = _add(x, y, z, px, py)
    return x, y, z


def _double(x, y, z):
    """Return twice a Jacobian point (dbl-2001-b: a = -3 makes 3x^2 + az^4 a product)."""
    p = _P
    zz = z * z % p
    yy = y * y % p
    # Sums and shifts stand for small factors: they cost less than a multiplication by 2, 3, 4 or 8.
    b = (x * yy << 2) % p
    m = (x - zz) * (x + zz)
    m = (m + m + m) % p
    x = (m * m - b - b) % p
    return x, (m * (b - x) - (yy * yy << 3)) % p, (y * z << 1) % p


def _add(x, y, z, px, py):
    """Return the sum of a Jacobian and an affine point, whatever the two are."""
    if not z:
        return px, py, 1
    p = _P
    zz = z * z % p
    h = (px * zz - x) % p
    r = (zz * z % p * py - y) % p
    if not h:
        # The same point, where the formula below fails, or its negative.
        return (1, 1, 0) if r else _double(x, y, z)
    hh = h * h % p
    v = x * hh % p
    hhh = hh * h % p
    x = (r * r - hhh - v - v) % p
    return x, (r * (v - x) - y * hhh) % p, z * h % p
