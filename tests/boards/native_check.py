"""First code of a board under test: `_pawl_native` beside `pawl.p256`, and DEFLATE against CASES, which the test puts first."""

import sys

sys.path[:] = [".frozen"]

import _board  # noqa: E402 (the path is cut first)
import _pawl_native as native  # noqa: E402

from pawl import p256  # noqa: E402

KEYS = 3
ORDER = bytes.fromhex(
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
)  # of P-256 (FIPS 186-5)


def flipped(data):
    """Return it with its last bit flipped."""
    return data[:-1] + bytes((data[-1] ^ 1,))


def check_signatures(number):
    """Same signature as in Python; both accept it, and neither what was changed."""
    secret = p256.generate(_board.random)
    x, y = p256.public_key(secret)
    message = _board.random(50 + number)
    signature = native.sign(secret, message)
    assert signature == p256.sign(secret, message)
    zero, order = bytes(32), ORDER
    cases = (
        (x, y, message, signature),
        (x, y, flipped(message), signature),
        (x, y, message, flipped(signature)),
        (flipped(x), y, message, signature),
        (x, flipped(y), message, signature),
        (x, y, message, zero + signature[32:]),
        (x, y, message, signature[:32] + order),
        (x, y, message, signature[:63]),
    )
    verdicts = [native.verify(*case) for case in cases]
    assert verdicts == [True] + [False] * 7, verdicts
    assert p256.verify(*cases[0]) and not p256.verify(*cases[1])
    for bad in (zero, order, secret[:31]):
        try:
            native.sign(bad, message)
        except ValueError:
            continue
        raise SystemExit("signed by no secret")


def check_inflate():
    """Each payload gives its bytes, or nothing, in a block of the size that it is for and one byte more."""
    for payload, size, expected in CASES:  # noqa: F821 (the test writes it above)
        block = bytearray(size + 1)
        count = native.inflate(payload, block)
        assert count == (-1 if expected is None else len(expected)), (payload[:16], count)
        assert expected is None or block[:count] == expected


check_inflate()
for number in range(KEYS):
    check_signatures(number)
    _board.feed()
print("native agrees")  # noqa: T201 (what the test waits for)
while True:
    _board.feed()
