"""What the tests know themselves: who signed which release, the chain of anchors, and who may run under which of them.

Nothing here asks the device, nor uses its judgement: keys are numbers, thresholds are counted.
"""

from functools import lru_cache
from typing import NamedTuple

import factory
import templates
from signing import signer

from pawl import codes
from pawl.compat import sha256

ROOT, DIRECTOR, RELEASE = 101, 105, 102
RECOVERY = 107
APP, DATA = codes.COMPONENT_APP, codes.COMPONENT_DATA


class KeySet(NamedTuple):
    """A threshold, and the numbers of the keys that count."""

    threshold: int
    keys: tuple


class Terms(NamedTuple):
    """What an anchor says; boot and recovery_boot are former sets by which what was confirmed may still boot."""

    version: int
    expiry: int
    root: KeySet
    directors: tuple
    release: KeySet
    boot: tuple
    recovery: KeySet
    recovery_boot: tuple
    barred: tuple


class Release(NamedTuple):
    """What was signed, by the keys with these numbers; `images` is {slot: {component: bytes}}."""

    digest: bytes
    sequence: int
    version: tuple
    is_recovery: bool
    signers: tuple
    images: dict
    recovers: tuple
    raw: bytes


EXPIRY = factory.ISSUED + 100_000_000
FIRST = Terms(
    1,
    EXPIRY,
    KeySet(1, (ROOT,)),
    (DIRECTOR,),
    KeySet(1, (RELEASE,)),
    (),
    KeySet(1, (RECOVERY,)),
    (),
    (),
)


def is_met(key_set, numbers):
    """Return whether these signers are enough."""
    return len(set(numbers) & set(key_set.keys)) >= key_set.threshold


def enough(key_set):
    """Return as many signers as it takes."""
    return key_set.keys[: key_set.threshold]


def may_run(release, terms, was_confirmed):
    """Return whether an anchor lets a release run: not barred, and signed by its role's install or, if it was confirmed, boot sets."""
    if release.digest in terms.barred:
        return False
    install, boot = (
        (terms.recovery, terms.recovery_boot) if release.is_recovery else (terms.release, terms.boot)
    )
    sets = (install, *(boot if was_confirmed else ()))
    return any(is_met(one, release.signers) for one in sets)


def _indexes(numbers, key_set):
    return [key_set.threshold, sorted(numbers.index(number) for number in key_set.keys)]


def values_of(terms):
    """Return the anchor document as plain values."""
    sets = (terms.root, terms.release, *terms.boot, terms.recovery, *terms.recovery_boot)
    numbers = list(dict.fromkeys([*terms.directors, *(number for one in sets for number in one.keys)]))
    roles = {
        codes.ROLE_APP_RELEASE: [
            _indexes(numbers, terms.release),
            [_indexes(numbers, one) for one in terms.boot],
        ],
        codes.ROLE_APP_RECOVERY: [
            _indexes(numbers, terms.recovery),
            [_indexes(numbers, one) for one in terms.recovery_boot],
        ],
    }
    values = factory.anchor_values()
    values[codes.ANCHOR_VERSION] = terms.version
    values[codes.ANCHOR_EXPIRY] = terms.expiry
    values[codes.ANCHOR_KEYS] = [signer(number).encoded() for number in numbers]
    values[codes.ANCHOR_ROOT] = _indexes(numbers, terms.root)
    values[codes.ANCHOR_DIRECTOR] = sorted(numbers.index(number) for number in terms.directors)
    values[codes.ANCHOR_ROLES] = roles
    values[codes.ANCHOR_BARRED] = sorted(terms.barred)
    return values


def file_of(terms, signers):
    """Return the anchor file, signed by these numbers."""
    return factory.anchor_file(values_of(terms), [signer(number) for number in signers])


@lru_cache
def digest_of(terms):
    """Return the digest of the document, which anchors are known by."""
    return sha256(factory.cbor.encode(values_of(terms)))


class Chain:
    """The anchors that the root signed, in order."""

    def __init__(self):
        self.terms = {1: FIRST}
        self.files = {1: file_of(FIRST, (ROOT,))}

    @property
    def head(self):
        """Return the newest Terms."""
        return self.terms[max(self.terms)]

    def following(self, **changes):
        """Return the Terms of the next version, signed by nobody."""
        return self.head._replace(version=self.head.version + 1, **changes)

    def signers(self, following):
        """Return who has to sign a following document: the roots of both."""
        return tuple(dict.fromkeys(enough(self.head.root) + enough(following.root)))

    def step(self, **changes):
        """Sign the next version; return its Terms."""
        following = self.following(**changes)
        self.files[following.version] = file_of(following, self.signers(following))
        self.terms[following.version] = following
        return following

    def find(self, version, digest):
        """Return the Terms of an anchor, or None if it is none of the chain."""
        terms = self.terms.get(version)
        return terms if terms is not None and digest_of(terms) == digest else None


def image_of(name, size):
    """Return an image that no other release has a byte of in common with, but for chance."""
    pattern = sha256(name.encode())
    return (pattern * (size // 32 + 1))[:size]


def make(kind, numbered, signers, size, recovers=()):
    """Return a Release of a kind: plain, data, bound, recovery; `numbered` is its sequence number and version."""
    sequence, version = numbered
    name = f"{kind} {sequence} {size} {signers}"
    app = image_of(name, size)
    images = {slot: {APP: app} for slot in (0, 1)}
    if kind == "data":
        data = image_of(name + " data", 1 + size // 2)
        images = {slot: {APP: app, DATA: data} for slot in (0, 1)}
        values = templates.with_data(app, data, sequence, version)
    elif kind == "bound":
        images = {slot: {APP: image_of(f"{name} {slot}", size + slot)} for slot in (0, 1)}
        values = templates.address_bound([images[slot][APP] for slot in (0, 1)], sequence, version)
    elif kind == "recovery":
        values = templates.recovery(list(recovers), app, sequence, version)
    else:
        values = factory.manifest_values(sequence, version, app)
    every = {image for slot in images.values() for image in slot.values()}
    raw = templates.release(values, sorted(every), [signer(number) for number in signers])
    digest = factory.bundle.suit.Envelope(raw).digest
    is_recovery = kind == "recovery"
    return Release(digest, sequence, tuple(version), is_recovery, signers, images, tuple(recovers), raw)
