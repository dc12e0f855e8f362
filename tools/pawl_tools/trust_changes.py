"""What a new version of the trust anchor document changes, in words: what each root key holder reads before signing.

Sets are compared by what they let through: a set covers another if every release that met the other meets it too.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from pawl import cose, trust
from pawl.compat import sha256
from pawl.index import b64u
from pawl.names import role_name
from pawl_tools.keys import short_name


class _KeySet(Protocol):
    """A threshold and keys, of a parsed anchor or of a plan."""

    @property
    def threshold(self) -> int: ...
    @property
    def keys(self) -> Sequence[cose.Key]: ...


def set_text(key_set: _KeySet) -> str:
    """Return a set as people read it, such as `2 of {a, b, c}`."""
    return f"{key_set.threshold} of {{{', '.join(map(short_name, key_set.keys))}}}"


def is_covered(former: _KeySet, other: _KeySet) -> bool:
    """Return whether any signatures that meet `former` meet `other` too, whichever keys they are of."""
    known = {key.identity for key in other.keys}
    lost = sum(key.identity not in known for key in former.keys)
    return former.threshold - lost >= other.threshold


def changes(old: trust.Anchor, new: trust.Anchor) -> list[str]:
    """Return a line for every difference, in the order root, director, images, barred, TLS, time."""
    return [
        *_root(old, new),
        *_directors(old, new),
        *(line for role in sorted({*old.roles, *new.roles}) for line in _role(role, old, new)),
        *_listed(
            "release", old.barred, new.barred, b64u, ("barred: it stops everywhere", "no longer barred")
        ),
        *_listed(
            "CA certificate",
            old.ca,
            new.ca,
            certificate_name,
            ("trusted for TLS", "no longer trusted for TLS"),
        ),
        *_listed("server name", old.server_names, new.server_names, str, ("accepted", "no longer accepted")),
        f"expires {date(new.expiry)}, was {date(old.expiry)}",
    ]


def certificate_name(der: bytes) -> str:
    """Return a short name of a certificate: 10 characters of its digest."""
    return b64u(sha256(der))[:10]


def date(seconds: int) -> str:
    """Return seconds since 1970 as a date of ISO 8601."""
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()


def _root(old: trust.Anchor, new: trust.Anchor) -> Iterable[str]:
    lines = list(_set_changes("root", old.root, new.root))
    if lines and new.version > old.version:
        lines.append(
            f"root: both must sign this version: {set_text(old.root)} of version {old.version}, "
            f"{set_text(new.root)} of version {new.version}"
        )
    return lines


def _directors(old: trust.Anchor, new: trust.Anchor) -> Iterable[str]:
    added, removed = _difference(old.directors, new.directors)
    yield from (f"director: key {short_name(key)} added" for key in added)
    yield from (f"director: key {short_name(key)} removed: its offers are refused" for key in removed)
    if added:
        yield f"director: the time floor of every device is reset to the issue time, {date(new.issued)}"


def _role(role: int, old: trust.Anchor, new: trust.Anchor) -> Iterable[str]:
    name = role_name(role)
    if role not in old.roles:
        install_set, boot_sets = new.roles[role]
        yield f"{name}: new role, {set_text(install_set)} may sign"
        yield from (f"{name}: what {set_text(one)} signed may boot" for one in boot_sets)
    elif role not in new.roles:
        yield f"{name}: role removed: what it signed neither installs nor boots"
    else:
        yield from _image_role(name, old.roles[role], new.roles[role])


_ImageRole = tuple[_KeySet, list[_KeySet]]


def _image_role(name: str, old: _ImageRole, new: _ImageRole) -> Iterable[str]:
    yield from _set_changes(name, old[0], new[0])
    if not is_covered(old[0], new[0]):
        still = any(is_covered(old[0], one) for one in new[1])
        end = "they still boot where they were confirmed" if still else "they STOP BOOTING"
        yield f"{name}: releases that {set_text(old[0])} signed, but not {set_text(new[0])}, no longer install; {end}"
    for one in old[1]:
        if not any(is_covered(one, other) for other in (new[0], *new[1])):
            yield f"{name}: boot set {set_text(one)} dropped: releases that only it signed STOP BOOTING"
    for one in new[1]:
        if not any(is_covered(one, other) for other in (old[0], *old[1])):
            yield f"{name}: boot set {set_text(one)} added: what it signed may boot once confirmed"


def _set_changes(name: str, old: _KeySet, new: _KeySet) -> Iterable[str]:
    added, removed = _difference(old.keys, new.keys)
    yield from (f"{name}: key {short_name(key)} added" for key in added)
    yield from (f"{name}: key {short_name(key)} removed" for key in removed)
    if (old.threshold, len(old.keys)) != (new.threshold, len(new.keys)):
        yield f"{name}: threshold {old.threshold} of {len(old.keys)} becomes {new.threshold} of {len(new.keys)}"


def _difference(old: Sequence[cose.Key], new: Sequence[cose.Key]) -> tuple[list[cose.Key], list[cose.Key]]:
    before, after = ({key.identity for key in keys} for keys in (old, new))
    return [key for key in new if key.identity not in before], [
        key for key in old if key.identity not in after
    ]


def _listed(
    what: str, old: Sequence[Any], new: Sequence[Any], name: Callable[[Any], str], words: tuple[str, str]
) -> Iterable[str]:
    yield from (f"{what} {name(one)} {words[0]}" for one in new if one not in old)
    yield from (f"{what} {name(one)} {words[1]}" for one in old if one not in new)
