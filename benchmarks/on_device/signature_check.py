"""Prints the median milliseconds of each way to check one signature, in turns; run by MicroPython."""

import gc
import time

import naive_p256
from pawl import p256

_ROUNDS = 9
_SECRET = bytes(range(1, 33))
_MESSAGE = b"the director's offer"
_WAYS = (
    ("verify", p256.verify),
    ("affine", naive_p256.verify_affine),
    ("jacobian", naive_p256.verify_jacobian),
)


def _time_us(check, key, signature):
    gc.collect()
    began = time.ticks_us()
    assert check(key[0], key[1], _MESSAGE, signature), "a good signature was refused"
    return time.ticks_diff(time.ticks_us(), began)


def main():
    """Measure in turns, so that a slow moment of the machine meets all ways."""
    key = p256.public_key(_SECRET)
    signature = p256.sign(_SECRET, _MESSAGE)
    times = {name: [] for name, _ in _WAYS}
    for _ in range(_ROUNDS):
        for name, check in _WAYS:
            times[name].append(_time_us(check, key, signature))
    for name in times:
        print(name, sorted(times[name])[_ROUNDS // 2] / 1000)


main()
