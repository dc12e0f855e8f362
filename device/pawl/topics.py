"""MQTT topics, written once for both sides; digests as base64url, numbers in decimal."""

from pawl.index import b64u


def up(partition, device, kind) -> str:
    """Return where a device publishes: `kind` is hello, report or log."""
    return "pawl/d/%d/%s/up/%s" % (partition, device, kind)


def offer(partition, device) -> str:
    """Return where a device is sent its offers."""
    return "pawl/d/%d/%s/offer" % (partition, device)


def release(digest) -> str:
    """Return where the envelope with this manifest digest is retained."""
    return "pawl/r/" + b64u(digest)


def index(digest) -> str:
    """Return where the index with this digest is retained."""
    return "pawl/b/%s/i" % b64u(digest)


def block(digest, variant, number) -> str:
    """Return where one block is retained, under the digest of its index."""
    return "pawl/b/%s/%d/%d" % (b64u(digest), variant, number)


def anchor(version) -> str:
    """Return where the trust anchor document of this version is retained."""
    return "pawl/k/%d" % version
