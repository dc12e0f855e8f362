"""Two checks of a P-256 signature as textbooks have them: what `pawl.p256.verify` is measured beside.

Both walk the bits of one scalar after the other. Neither checks that the key is on the curve; use them for nothing else.
"""

from pawl import p256
from pawl.compat import const, sha256

# MicroPython folds p256's own constants away.
_P = const(0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF)
_N = const(0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551)


def verify_affine(x, y, message, signature):
    """Check with affine points: one inversion for each doubling and each addition."""
    from_message, from_key, r = _scalars(message, signature)
    key = (int.from_bytes(x, "big"), int.from_bytes(y, "big"))
    return _add(_times(from_message, _g()), _times(from_key, key))[0] % _N == r


def verify_jacobian(x, y, message, signature):
    """Check with the formulas of p256, but without windows and without shared doublings."""
    from_message, from_key, r = _scalars(message, signature)
    key = (int.from_bytes(x, "big"), int.from_bytes(y, "big"))
    points = [_times_jacobian(from_message, _g()), _times_jacobian(from_key, key)]
    return _add(*p256._to_affine(points))[0] % _N == r


def _g():
    return p256._G_ODD_MULTIPLES[0]


def _scalars(message, signature):
    r = int.from_bytes(signature[:32], "big")
    inverse = p256._inverse(int.from_bytes(signature[32:], "big"), _N)
    digest = int.from_bytes(sha256(message), "big")
    return digest * inverse % _N, r * inverse % _N, r


def _times(k, point):
    total = None
    while k:
        if k & 1:
            total = _add(total, point)
        point = _add(point, point)
        k >>= 1
    return total


def _add(one, other):
    """Return the sum of two affine points, neither the negative of the other; None is infinity."""
    if one is None:
        return other
    p = _P
    (ax, ay), (bx, by) = one, other
    rise, run = (3 * ax * ax - 3, 2 * ay) if one == other else (by - ay, bx - ax)
    slope = rise * p256._inverse(run % p, p) % p
    x = (slope * slope - ax - bx) % p
    return x, (slope * (ax - x) - ay) % p


def _times_jacobian(k, point):
    px, py = point
    x, y, z = 1, 1, 0
    for bit in range(255, -1, -1):
        x, y, z = p256._double(x, y, z)
        if k >> bit & 1:
            x, y, z = p256._add(x, y, z, px, py)
    return x, y, z
