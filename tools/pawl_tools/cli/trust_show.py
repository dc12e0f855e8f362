"""`pawl trust show|verify`: what an anchor says and changes, and whether a device would walk to it."""

import json as json_format
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pawl_tools.cli import files
from pawl_tools.errors import ToolError

if TYPE_CHECKING:
    from pawl.errors import TrustError
    from pawl.trust import Anchor
    from pawl_tools.trust_draft import Draft, Standing


def add_to(app: typer.Typer) -> None:
    """Add the commands to `pawl trust`."""
    app.command()(show)
    app.command()(verify)


def show(
    path: Annotated[Path, typer.Argument(help="Anchor file or draft")],
    former: files.From = None,
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
    is_accepted, facts["verdict"] = _verdict(before, draft)
    changes = [] if before is None else trust_changes.changes(before, draft.anchor)
    if json:
        print(
            json_format.dumps(
                {**facts, "accepted": is_accepted, "changes": changes, "releases": releases}, indent=2
            )
        )
    else:
        files.show(facts, as_json=False)
        if changes:
            files.tell("changes", changes)
        if releases:
            files.tell("releases", [_release_line(one) for one in releases])
    if not is_accepted:
        raise typer.Exit(1)


def _verdict(former: "Anchor | None", draft: "Draft") -> tuple[bool, str]:
    """Return whether a device takes it, and why: one that holds the former version, or at provisioning."""
    from pawl.names import reason_name
    from pawl_tools import trust_draft

    version = draft.anchor.version
    if former is not None:
        fault = trust_draft.refusal(former, draft.file())
        if fault is not None:
            return False, f"no device walks to it: {reason_name(fault.code)} ({fault.detail})"
        return True, f"a device walks from version {former.version} to {version}"
    if not trust_draft.is_signed(draft):
        return False, f"a draft: version {version}'s root has not signed it"
    if version == 1:
        return True, "complete"
    return True, f"signed by its own root; --from says whether version {version - 1}'s root signed too"


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
