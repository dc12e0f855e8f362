"""`pawl trust`: makes, signs, shows and verifies the trust anchor document, which says who may sign what."""

import json as json_format
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pawl_tools.cli import files, trust_edit
from pawl_tools.errors import ToolError

if TYPE_CHECKING:
    from pawl.errors import TrustError
    from pawl.trust import Anchor
    from pawl_tools import trust as building
    from pawl_tools.trust_draft import Draft, Standing

app = typer.Typer(help="The trust anchor document: who may sign what.", no_args_is_help=True)

From = Annotated[Path | None, typer.Option("--from", help="Anchor file of the version before")]


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
    _done(out, draft, None, as_json=json)


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


def _done(out: Path, draft: "Draft", former: "Anchor | None", *, as_json: bool) -> None:
    """Say how far the signatures go, and what is to be done next."""
    from pawl_tools import trust_draft

    version = draft.anchor.version
    standings = trust_draft.standings(draft, former)
    is_complete = not any(one.missing for one in standings) and (former is not None or version == 1)
    facts = {
        "file": str(out),
        "version": version,
        "complete": is_complete,
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
    former: From = None,
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
    if before is not None and not json:
        _tell(f"version {draft.anchor.version} changes:", trust_changes.changes(before, draft.anchor))
    signed = trust_draft.sign(draft, keys.FileSigner(key), before)
    files.write(out or path, signed.file())
    _done(out or path, signed, before, as_json=json)


def _tell(title: str, lines: list[str]) -> None:
    print("\n".join([title, *(f"  {line}" for line in lines)]))


@app.command()
def show(
    path: Annotated[Path, typer.Argument(help="Anchor file or draft")],
    former: From = None,
    release: Annotated[
        list[Path] | None, typer.Option(help="Release (*.pawl) whose fate is told; repeat for several")
    ] = None,
    *,
    json: files.Json = False,
) -> None:
    """Print what an anchor says, and with --from what it changes; exit 1 if signatures are missing."""
    from pawl_tools import trust, trust_changes, trust_draft, trust_facts

    draft = trust_draft.open_draft(files.read(path))
    before = None if former is None else trust.load(files.read(former))
    releases = [_release(one, before, draft.anchor) for one in release or []]
    facts = trust_facts.facts(draft, before)
    facts["accepted"] = _verdict(before, draft)
    changes = [] if before is None else trust_changes.changes(before, draft.anchor)
    if json:
        print(json_format.dumps({**facts, "changes": changes, "releases": releases}, indent=2))
    else:
        files.show(facts, as_json=False)
        if changes:
            _tell("changes", changes)
        if releases:
            _tell("releases", [_release_line(one) for one in releases])
    if facts["accepted"] != _YES:
        raise typer.Exit(1)


_YES = "yes"


def _verdict(former: "Anchor | None", draft: "Draft") -> str:
    """Return whether a device takes it: one that holds the former version, or at provisioning."""
    from pawl.names import reason_name
    from pawl_tools import trust_draft

    if former is None:
        return _YES if trust_draft.is_signed(draft) else "no: its own root has not signed it"
    fault = trust_draft.refusal(former, draft.file())
    return _YES if fault is None else f"no: {reason_name(fault.code)} ({fault.detail})"


def _release(path: Path, old: "Anchor | None", new: "Anchor") -> dict[str, object]:
    from pawl.index import b64u
    from pawl_tools import trust_releases

    envelope = trust_releases.open_release(files.read(path), str(path))
    fates = {
        f"version {anchor.version}": trust_releases.fate(envelope, anchor)
        for anchor in (old, new)
        if anchor is not None
    }
    return {
        "file": str(path),
        "digest": b64u(envelope.digest),
        **{
            name: {"installs": one.installs, "boots": one.boots, "text": one.text()}
            for name, one in fates.items()
        },
    }


def _release_line(told: dict[str, object]) -> str:
    fates = [f"{name}: {one['text']}" for name, one in told.items() if isinstance(one, dict)]
    return f"{told['file']}  {'; '.join(fates)}"


@app.command()
def verify(
    paths: Annotated[list[Path], typer.Argument(help="Anchor files, each the successor of the one before")],
    former: Annotated[Path, typer.Option("--from", help="Anchor file that a device holds")],
    *,
    json: files.Json = False,
) -> None:
    """Walk as a device does: exit 0 accepted, 1 refused (with the reason), 2 unusable arguments or files."""
    from pawl_tools import trust, trust_draft

    current = trust.load(files.read(former))
    for path in paths:
        file = files.read(path)
        fault = trust_draft.refusal(current, file)
        if fault is not None:
            _refuse(path, fault, _standings(current, file), as_json=json)
        current = trust_draft.open_draft(file).anchor
    facts: dict[str, object] = {"accepted": True, "version": current.version}
    files.done(f"accepted: a device walks to version {current.version}", facts, as_json=json)


def _standings(current: "Anchor", file: bytes) -> "list[Standing]":
    """Return who signed a file that was refused; nobody, if it can't be read."""
    from pawl_tools import trust_draft

    try:
        return trust_draft.standings(trust_draft.open_draft(file), current)
    except ToolError:
        return []


def _refuse(path: Path, fault: "TrustError", standings: "list[Standing]", *, as_json: bool) -> NoReturn:
    from pawl.names import reason_name

    reason = reason_name(fault.code)
    if as_json:
        facts = {
            "accepted": False,
            "file": str(path),
            "reason": reason,
            "code": fault.code,
            "detail": fault.detail,
            "signed by": [one.facts() for one in standings],
        }
        print(json_format.dumps(facts, indent=2))
    print(f"refused: {path}: {reason} ({fault.code}): {fault.detail}", file=sys.stderr)
    for one in standings:
        print(f"  signed by {one.text()}", file=sys.stderr)
    raise typer.Exit(1)


trust_edit.add_to(app)
