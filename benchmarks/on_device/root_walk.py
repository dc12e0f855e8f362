"""Walks the anchor files of a folder from 1 to the last; prints milliseconds of the walk and of one signature check.

Run by MicroPython with the folder and the number of the last version.
"""

import gc
import sys
import time

from pawl import codes, p256, trust

_SECRET = bytes(range(1, 33))
_MESSAGE = b"one check"
_ROUNDS = 5


def _verify(key, message, signature):
    return key.kty == codes.KTY_EC2 and p256.verify(key.x, key.y, message, signature)


def _file(folder, version):
    with open("%s/%d.cbor" % (folder, version), "rb") as stream:
        return stream.read()


def _walk(folder, last):
    anchor = trust.load(_file(folder, 1), _verify)
    began = time.ticks_us()
    for version in range(2, last + 1):
        anchor = trust.successor(anchor, _file(folder, version), _verify)
        gc.collect()
    assert anchor.version == last, "the walk ended early"
    return time.ticks_diff(time.ticks_us(), began) / 1000


def _check():
    key = p256.public_key(_SECRET)
    signature = p256.sign(_SECRET, _MESSAGE)
    times = []
    for _ in range(_ROUNDS):
        gc.collect()
        began = time.ticks_us()
        assert p256.verify(key[0], key[1], _MESSAGE, signature), "a good signature was refused"
        times.append(time.ticks_diff(time.ticks_us(), began))
    return sorted(times)[_ROUNDS // 2] / 1000


def main():
    """Walk, then time one check."""
    folder, last = sys.argv[1], int(sys.argv[2])
    print("walk", _walk(folder, last))
    if last > 1:
        print("check", _check())


main()
