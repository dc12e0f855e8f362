"""Where tests that run on both interpreters find the vectors made by others; none is committed here.

The folder is `PAWL_VECTORS`, or `../shared/vectors` from the project's root.
"""

import binascii
import json
import os

try:
    from unittest import SkipTest
except ImportError:

    class SkipTest(Exception):  # noqa: N818
        """What the runner of the other interpreter calls a test that can't run here."""


def folder() -> str:
    """Return the vectors folder, whether it exists or not."""
    # A relative __file__, or none at all when frozen: then the project's root is the current folder.
    head, found, _ = globals().get("__file__", "").partition("tests/device/")
    return os.getenv("PAWL_VECTORS") or (head if found else "") + "../shared/vectors"


def load_bytes(name: str) -> bytes:
    """Return a file of the vectors folder; SkipTest if there is no such folder at all."""
    with _open(name) as file:
        return file.read()


def load_json(name: str):
    """Return a JSON file of the vectors folder, decoded; SkipTest if there is no such folder at all."""
    with _open(name) as file:
        return json.load(file)


def _open(name):
    try:
        os.stat(folder())
    except OSError:
        raise SkipTest("no vectors in " + folder() + " (PAWL_VECTORS)")
    return open(folder() + "/" + name, "rb")


def load_hex(name: str) -> bytes:
    """Return the bytes that a file of hexadecimal text stands for."""
    return bytes.fromhex("".join(load_bytes(name).decode().split()))


def public_point(name: str):
    """Return (x, y) of the P-256 key in a PEM file: the last 64 bytes of its SubjectPublicKeyInfo."""
    lines = [line for line in load_bytes(name).decode().split("\n") if line and line[0] != "-"]
    der = binascii.a2b_base64("".join(lines))
    return der[-64:-32], der[-32:]
