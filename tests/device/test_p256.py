from binascii import unhexlify

import vectors
from pawl import p256

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

# RFC 6979, A.2.5
SECRET = unhexlify("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
X = unhexlify("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6")
Y = unhexlify("7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299")
SAMPLE_R = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
SAMPLE_S = "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
TEST_R = "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
TEST_S = "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"
SIGNATURES = ((b"sample", SAMPLE_R + SAMPLE_S), (b"test", TEST_R + TEST_S))
MESSAGE = b"sample"
SIGNATURE = unhexlify(SAMPLE_R + SAMPLE_S)

# SP 800-186, 3.2.1.3
GX = unhexlify("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
GY = unhexlify("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")


def number(data):
    return int.from_bytes(data, "big")


def octets(value):
    return value.to_bytes(32, "big")


def flipped(data, index):
    changed = bytearray(data)
    changed[index] ^= 1
    return bytes(changed)


def refuses(function, *arguments):
    try:
        function(*arguments)
    except ValueError:
        return True
    return False


def combined(a, k, b):
    """Return aG + b(kG) as an affine point, None for infinity; a, b, k below 2^256."""
    qx, qy = (number(c) for c in p256.public_key(octets(k)))
    g_table = p256._signed(p256._G_ODD_MULTIPLES)
    key_table = p256._signed(p256._odd_multiples(qx, qy))
    point = p256._sum_of_multiples(((p256._digits(a, 5), g_table), (p256._digits(b, 4), key_table)))
    return p256._to_affine([point])[0] if point[2] else None


def key_for_s_of_5():
    """Return the key under which the x of G and 5 sign the message: with k = 1, d = (s - e) / r."""
    e = number(p256.sha256(MESSAGE))
    return p256.public_key(octets((5 - e) * p256._inverse(number(GX), N) % N))


def test_signs_as_rfc_6979():
    """The secret, key and messages of A.2.5 give the signatures of A.2.5."""
    assert p256.public_key(SECRET) == (X, Y)
    for message, signature in SIGNATURES:
        assert p256.sign(SECRET, message) == unhexlify(signature), message
        assert p256.verify(X, Y, message, unhexlify(signature)), message


def test_nonces_go_on():
    """The first nonce is that of A.2.5; the second, of step h, was made with CPython's hmac module."""
    nonces = p256._nonces(SECRET, p256.sha256(MESSAGE))
    for expected in (
        "a6e3c57dd01abe90086538398355dd4c3b17aa873382b0f24d6129493d8aad60",
        "8e83dc490bc5fc4d5992bd63cd87f254adffcb930f8a8011702a88870f638fdb",
    ):
        assert next(nonces) == number(unhexlify(expected))


def test_nonce_of_a_digest_beyond_n():
    """The digest enters reduced modulo n (RFC 6979, 2.3.4); expected as above."""
    expected = "a2d7ccca091233c3888120593a491e2281e641361334223e6e5c3c7a217b7c8d"
    assert next(p256._nonces(SECRET, b"\xff" * 32)) == number(unhexlify(expected))


def test_round_trip_of_any_secret_and_buffer():
    """Signatures verify for small, large and ordinary secrets, over every kind of buffer."""
    messages = (b"", b"x" * 1000, bytearray(b"report"), memoryview(b"report"))
    for index, secret in enumerate((1, 2, 3, 5, 7, 8, 15, 16, 1 << 255, N - 15, N - 2, N - 1)):
        message = messages[index % len(messages)]
        x, y = p256.public_key(octets(secret))
        signature = p256.sign(octets(secret), message)
        assert p256.verify(x, y, message, signature), secret
        assert p256.verify(memoryview(x), memoryview(y), message, memoryview(signature)), secret


def test_tampering_is_refused():
    """One changed bit anywhere in signature, key or message is enough."""
    for index in range(64):
        assert not p256.verify(X, Y, MESSAGE, flipped(SIGNATURE, index)), index
    for index in range(32):
        assert not p256.verify(flipped(X, index), Y, MESSAGE, SIGNATURE), index
        assert not p256.verify(X, flipped(Y, index), MESSAGE, SIGNATURE), index
    assert not p256.verify(X, Y, b"samplf", SIGNATURE)
    assert not p256.verify(X, Y, b"sample\x00", SIGNATURE)


def test_key_of_another_device_is_refused():
    """A signature stands for one key, and not for that key's negative."""
    x, y = p256.public_key(octets(number(SECRET) + 1))
    assert not p256.verify(x, y, MESSAGE, SIGNATURE)
    assert not p256.verify(X, octets(P - number(Y)), MESSAGE, SIGNATURE)


def test_signature_of_another_length_is_refused():
    """Only 64 bytes are a signature, even where others stand for the same two numbers."""
    r, s = SIGNATURE[:32], SIGNATURE[32:]
    for signature in (b"", r, SIGNATURE[:-1], SIGNATURE + b"\x00", b"\x00" + r + b"\x00" + s, SIGNATURE * 2):
        assert not p256.verify(X, Y, MESSAGE, signature), len(signature)
    x, y = key_for_s_of_5()
    for s in (b"\x05", bytes(30) + b"\x05", bytes(32) + b"\x05"):
        assert not p256.verify(x, y, MESSAGE, GX + s), len(s)


def test_numbers_out_of_range_are_refused():
    """R and s lie from 1 to n - 1 (FIPS 186-5, 6.4.2, step 1), though s + n would satisfy the equation."""
    r, s = SIGNATURE[:32], SIGNATURE[32:]
    for bad in (0, N, N + 1, P, (1 << 256) - 1):
        assert not p256.verify(X, Y, MESSAGE, octets(bad) + s), bad
        assert not p256.verify(X, Y, MESSAGE, r + octets(bad)), bad
        assert not p256.verify(X, Y, MESSAGE, octets(bad) * 2), bad


def test_s_is_not_reduced():
    """A signature whose s is small has a twin with s + n, which is refused."""
    x, y = key_for_s_of_5()
    assert p256.verify(x, y, MESSAGE, GX + octets(5))
    assert not p256.verify(x, y, MESSAGE, GX + octets(5 + N))


def test_sum_at_infinity_is_refused():
    """A signature that leads to the point at infinity has no x to compare."""
    e = number(p256.sha256(MESSAGE))
    r = (N - e) * p256._inverse(number(SECRET), N) % N
    for s in (1, r, N - 1):
        assert not p256.verify(X, Y, MESSAGE, octets(r) + octets(s)), s


def test_key_off_the_curve_is_refused():
    """Invalid-curve keys, coordinates not reduced and other lengths are no keys."""
    x, y = number(X), number(Y)
    off_curve = ((0, 0), (0, 1), (x, 0), (x, y - 1), (y, x), (x, P), (P, y), (x, (1 << 256) - 1))
    for bad_x, bad_y in off_curve:
        assert not p256.verify(octets(bad_x), octets(bad_y), MESSAGE, SIGNATURE), (bad_x, bad_y)
    zero = b"\x00"
    for bad_x, bad_y in ((X[1:], Y), (X, Y[1:]), (zero + X, Y), (X, zero + Y), (b"", b""), (X + Y, b"")):
        assert not p256.verify(bad_x, bad_y, MESSAGE, SIGNATURE), (len(bad_x), len(bad_y))


def test_key_has_one_encoding():
    """Points with a small coordinate are on the curve; the same coordinate plus p makes no key."""
    x = octets(5)
    y = p256.decompress(x, odd=False)
    assert p256._is_public_key(x, y)
    assert not p256._is_public_key(octets(5 + P), y)
    # A root of x^3 - 3x + b = 25, found by factoring over the field.
    x = unhexlify("d7325d7646cd60d80a92738ceb345f844cffaf35841022cab176f692de8de1d7")
    assert p256._is_public_key(x, octets(5))
    assert not p256._is_public_key(x, octets(5 + P))


def test_sums_where_points_coincide():
    """Sums of equal and of opposite points are right, where the addition formula alone would fail."""
    for k in (1, 2, 3, 7, N - 1, N - 2, N - 3):
        for a in (0, 1, 2, 3, 15, N - 1):
            for b in (0, 1, 2, 5, N - 2):
                total = (a + b * k) % N
                expected = tuple(number(c) for c in p256.public_key(octets(total))) if total else None
                assert combined(a, k, b) == expected, (a, k, b)


def test_table_of_g():
    """The table holds the generator and its odd multiples, each 2G after the one before."""
    table = p256._G_ODD_MULTIPLES
    assert table[0] == (number(GX), number(GY))
    assert len(table) == 8
    ((twice_x, twice_y),) = p256._to_affine([p256._double(table[0][0], table[0][1], 1)])
    for index in range(1, 8):
        x, y = table[index - 1]
        assert p256._to_affine([p256._add(x, y, 1, twice_x, twice_y)]) == [table[index]], index


def test_digits_add_up():
    """The signed digits of a number add up to it, and keep their distance."""
    for k in (0, 1, 15, 16, 31, N - 1, (1 << 256) - 1, number(X), number(Y), number(SECRET)):
        for width in (4, 5):
            digits = p256._digits(k, width)
            half = 1 << (width - 1)
            signed = [d - 2 * half if d > half else d for d in digits]
            assert sum([d << i for i, d in enumerate(signed)]) == k, (k, width)
            places = [i for i, d in enumerate(signed) if d]
            assert all(places[i] - places[i - 1] >= width for i in range(1, len(places))), (k, width)
            assert all(signed[i] % 2 for i in places), (k, width)


def test_decompress():
    """Y follows from x and its parity; an x that no point has is refused."""
    assert p256.decompress(X, odd=True) == Y
    assert p256.decompress(X, odd=False) == octets(P - number(Y))
    for bad in (octets(1), octets(2), octets(P), octets(5 + P), b"\xff" * 32, X[1:], X + b"\x00", b""):
        assert refuses(p256.decompress, bad, False), bad


def test_decompress_of_every_small_x():
    """Whatever comes back is on the curve and has the parity that was asked for."""
    found = 0
    for x in range(40):
        try:
            y = p256.decompress(octets(x), odd=True)
        except ValueError:
            continue
        assert y[31] & 1
        assert p256._is_public_key(octets(x), y)
        found += 1
    assert 10 < found < 30


def test_secret_out_of_range_is_refused():
    """Zero, n and other lengths are no secrets, neither to sign nor to make a key."""
    for secret in (octets(0), octets(N), octets(N + 1), b"\xff" * 32, b"", SECRET[1:], b"\x00" + SECRET):
        assert refuses(p256.public_key, secret), secret
        assert refuses(p256.sign, secret, MESSAGE), secret


def test_generate_rejects_what_is_no_secret():
    """Numbers out of range are drawn again; they are not reduced, which would favour some secrets."""
    draws = [octets(N + 1), octets(0), SECRET, octets(7)]
    sizes = []

    def random_bytes(count):
        sizes.append(count)
        return draws.pop(0)

    assert p256.generate(random_bytes) == SECRET
    assert sizes == [32, 32, 32]


def test_generate_with_a_dead_source():
    """A source that only gives zeros is an error, not an endless loop or a secret."""
    assert refuses(p256.generate, bytes)


def test_wycheproof():
    """Every case of Wycheproof's P-256 set in r || s form comes out as its result says."""
    wrong = []
    count = 0
    for group in vectors.load_json("wycheproof/ecdsa_secp256r1_sha256_p1363_test.json")["testGroups"]:
        point = unhexlify(group["publicKey"]["uncompressed"])
        for case in group["tests"]:
            count += 1
            valid = p256.verify(point[1:33], point[33:], unhexlify(case["msg"]), unhexlify(case["sig"]))
            if valid != (case["result"] == "valid"):
                wrong.append(case["tcId"])
    assert wrong == []
    assert count == 262
