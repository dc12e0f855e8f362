"""`pawl trust`: makes and signs the trust anchor document, which says who may sign what."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pawl_tools.cli import files, trust_edit, trust_show
from pawl_tools.errors import ToolError

if TYPE_CHECKING:
    from pawl.trust import Anchor
    from pawl_tools import trust as building
    from pawl_tools.trust_draft import Draft

app = typer.Typer(help="The trust anchor document: who may sign what.", no_args_is_help=True)


@app.command()
def init(
    out: Annotated[Path, typer.Argument(help="Where the anchor file goes")],
    root: Annotated[
        list[Path], typer.Option(help="Root key, private to sign now, or public; repeat for several")
    ],
    release: Annotated[list[Path], typer.Option(help="Public release key; repeat for several")],
    director: Annotated[
        list[Path], typer.Option(help="Public key of the fleet server's director; at most 2")
    ],
    ca: Annotated[
        list[Path], typer.Option(help="Certificate (PEM) of the authority that devices trust for TLS")
    ],
    server_name: Annotated[list[str], typer.Option(help="Name in the broker's certificate")],
    recovery: Annotated[
        list[Path] | None, typer.Option(help="Public recovery key; repeat for several")
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            help="How many keys must sign: 2 or release=2, root=2, recovery=2. Else all root keys, 1"
        ),
    ] = None,
    days: Annotated[int, typer.Option(help="Days until it expires for new installs")] = 365,
    *,
    json: files.Json = False,
) -> None:
    """Make version 1, signed by the private root keys given; a draft if those are too few."""
    from pawl_tools import keys, pki, trust, trust_draft
    from pawl_tools.trust_edit import days_s

    sets = _sets({"root": root, "release": release, "recovery": recovery or []}, threshold or [])
    now = int(time.time())
    plan = trust.Plan(
        version=1,
        issued=now,
        expiry=now + days_s(days),
        root=sets["root"],
        directors=[keys.load_public(path) for path in director],
        roles={role: sets[name] for role, name in _image_roles().items() if name in sets},
        ca=[pki.pem_to_der(files.read(path)) for path in ca],
        server_names=server_name,
    )
    draft = trust_draft.new(plan)
    for signer in filter(None, map(keys.signer_of, root)):
        draft = trust_draft.sign(draft, signer, None)
    files.write(out, draft.file())
    _done(out, draft, None, [], as_json=json)


def _image_roles() -> dict[int, str]:
    from pawl import codes

    return {codes.ROLE_APP_RELEASE: "release", codes.ROLE_APP_RECOVERY: "recovery"}


def _sets(paths: dict[str, list[Path]], thresholds: list[str]) -> "dict[str, building.KeySet]":
    """Return the key sets by role: all root keys must sign unless it is said otherwise, of the others one."""
    from pawl_tools import keys, trust

    needed = {"root": len(paths["root"]), "release": 1, "recovery": 1, **_thresholds(thresholds)}
    if not paths["recovery"] and needed["recovery"] != 1:
        raise ToolError("--threshold names recovery: give its public keys with --recovery")
    return {
        role: trust.KeySet(threshold=needed[role], keys=[keys.load_public(path) for path in given])
        for role, given in paths.items()
        if given
    }


def _thresholds(given: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for text in given:
        role, _, number = text.rpartition("=")
        if role not in ("", "root", "release", "recovery") or not number.isdecimal():
            raise ToolError(
                f"--threshold {text!r} is no threshold: write a number, or root=2, release=2, recovery=2"
            )
        found[role or "release"] = int(number)
    return found


def _done(out: Path, draft: "Draft", former: "Anchor | None", changes: list[str], *, as_json: bool) -> None:
    """Say how far the signatures go, and what is to be done next."""
    from pawl_tools import trust_draft

    version = draft.anchor.version
    standings = trust_draft.standings(draft, former)
    is_complete = not any(one.missing for one in standings) and (former is not None or version == 1)
    facts = {
        "file": str(out),
        "version": version,
        "complete": is_complete,
        "changes": changes,
        "signed by": [one.facts() for one in standings],
    }
    lines = [f"{out}: {'' if is_complete else 'draft of '}version {version}"]
    lines += [f"  signed by {one.text()}" for one in standings]
    if former is None and version > 1:
        lines.append(f"  version {version - 1}'s root must sign too: --from shows how far it has")
    files.done("\n".join(lines), facts, as_json=as_json)


@app.command()
def sign(
    path: Annotated[Path, typer.Argument(help="Anchor file or draft")],
    key: Annotated[Path, typer.Option(help="Private root key, of this version or the one before")],
    former: files.From = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where it goes with the signature, else in its place")
    ] = None,
    *,
    json: files.Json = False,
) -> None:
    """Add a signature. With --from, what you sign is told first, and a key of the former root may sign."""
    from pawl_tools import keys, trust, trust_changes, trust_draft

    draft = trust_draft.open_draft(files.read(path))
    before = None if former is None else trust.load(files.read(former))
    changes = [] if before is None else trust_changes.changes(before, draft.anchor)
    if changes and not json:
        files.tell(f"version {draft.anchor.version} changes", changes)
    signed = trust_draft.sign(draft, keys.FileSigner(key), before)
    files.write(out or path, signed.file())
    _done(out or path, signed, before, changes, as_json=json)


trust_edit.add_to(app)
trust_show.add_to(app)
