"""What an anchor document says, as named facts for people and machines."""

from pawl.index import b64u
from pawl.names import role_name
from pawl.trust import Anchor
from pawl_tools.keys import short_name
from pawl_tools.trust_changes import certificate_name, date, set_text
from pawl_tools.trust_draft import Draft, standings


def facts(draft: Draft, former: Anchor | None) -> dict[str, object]:
    """Return the facts of a document, and who signed it; keys by their short names."""
    anchor = draft.anchor
    return {
        "version": anchor.version,
        "digest": b64u(anchor.digest),
        "issued": date(anchor.issued),
        "expiry": date(anchor.expiry),
        "root": f"{anchor.root.threshold} of {len(anchor.root.keys)}",
        "root keys": [short_name(key) for key in anchor.root.keys],
        "directors": len(anchor.directors),
        "director keys": [short_name(key) for key in anchor.directors],
        **_roles(anchor),
        "barred": [b64u(digest) for digest in anchor.barred],
        "CA certificates": [certificate_name(der) for der in anchor.ca],
        "server names": list(anchor.server_names),
        "signed by": [one.text() for one in standings(draft, former)],
    }


def _roles(anchor: Anchor) -> dict[str, object]:
    told: dict[str, object] = {}
    for role in sorted(anchor.roles):
        install_set, boot_sets = anchor.roles[role]
        name = role_name(role)
        told[name] = (
            f"{install_set.threshold} of {len(install_set.keys)}, {len(boot_sets)} former sets may boot"
        )
        told[f"{name} keys"] = [short_name(key) for key in install_set.keys]
        for number, boot_set in enumerate(boot_sets, 1):
            told[f"{name} boot set {number}"] = set_text(boot_set)
    return told
