"""Severed texts that are almost right, with attachments that are almost all there."""

from hashlib import sha256

import cbor2
from release_shapes import b64u

_CONTENTS = [b"an SBOM", b"a provenance", b""]
_MEMBERS = ["#a:" + b64u(sha256(one).digest()) for one in _CONTENTS]
_NAMES = ["a", "b.json", "c-_.X", "A" * 64, "A" * 65, "", "a b", "\u00fc", "a/b"]


def text(rng, release):
    """The severed text: labels, components, languages, and the list of attachments."""
    listing = _listing(rng)
    languages = _languages(rng, listing)
    raw = cbor2.dumps(_in_order(languages) if rng.random() < 0.95 else languages)
    release.extra = {23: raw} if rng.random() < 0.95 else {}
    listed = [n for n, member in enumerate(_MEMBERS) if member in listing]
    release.extra |= {_MEMBERS[n]: _CONTENTS[n] for n in listed if rng.random() < 0.97}
    if rng.random() < 0.1:
        n = rng.randrange(3)
        release.extra[_MEMBERS[n]] = _CONTENTS[n] + rng.choice((b"", b"x"))
    release.elements[23] = [-16, sha256(cbor2.dumps(raw)).digest()]
    if rng.random() < 0.05:
        del release.elements[23]


def _listing(rng):
    lines = [
        rng.choice(_NAMES[: 4 if rng.random() < 0.8 else 9])
        + rng.choice((" ",) * 12 + ("", "  ", "\t"))
        + rng.choice(_MEMBERS)
        for _ in range(rng.choice((0, 1, 1, 2, 3)))
    ]
    lines = sorted(set(lines)) if rng.random() < 0.8 else lines
    return rng.choice(("\n",) * 8 + ("\r\n", "\n\n")).join(lines) + rng.choice(("\n",) * 8 + ("", "\n\n"))


def _languages(rng, listing):
    entries = (
        {1: listing}
        if rng.random() < 0.9
        else rng.choice(({}, {2: listing}, {1: listing, 2: ""}, {1: b""}, {(b"app",): {1: listing}}))
    )
    languages = {rng.choice(("en", "de-CH", "", "x-pawla")): rng.choice(_ENTRIES)}
    if rng.random() < 0.7:
        languages["x-pawl"] = entries
    if rng.random() < 0.1:
        languages = rng.choice(({}, {1: {1: ""}}, [], {"en": []}, {b"en": {1: ""}}))
    return languages


_ENTRIES = [
    {1: "What it is"},
    {1: "", 2: "What it changes"},
    {},
    {3: "of another label"},
    {-1: ""},
    {1: b"no text"},
    {True: ""},
    {"1": ""},
    {(b"app",): {5: "The application", 6: "1.2"}},
    {(b"app",): {}},
    {(b"app", b"more"): {5: ""}},
    {(): {5: ""}},
    {("app",): {5: ""}},
    {(b"app",): {-5: ""}},
    {(b"app",): {5: 1}},
    {(b"app",): ""},
    {1: {5: ""}},
    {1: "a", (b"app",): {5: "b"}},
    {((b"app",),): {5: ""}},
    {(1,): {5: ""}},
]


def _in_order(value):
    if not isinstance(value, dict):
        return value
    return {key: _in_order(value[key]) for key in sorted(value, key=cbor2.dumps)}
