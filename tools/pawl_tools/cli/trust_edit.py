"""`pawl trust add-key|rotate|bar|renew`: each makes the draft of the next version, which `pawl trust sign` completes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pawl_tools.cli import files
from pawl_tools.errors import ToolError

if TYPE_CHECKING:
    from pawl_tools.trust import Plan

_SOURCE_HELP = "Anchor file of the newest version, or a draft of the next"
Source = Annotated[Path, typer.Argument(help=_SOURCE_HELP)]
Out = Annotated[Path, typer.Option("--out", "-o", help="Where the draft goes")]
Role = Annotated[
    str, typer.Option(help="root, director, release, recovery, firmware-release or firmware-recovery")
]
Threshold = Annotated[int | None, typer.Option(help="How many keys of the role must sign; else as before")]
Days = Annotated[
    int | None, typer.Option(help="Days until it expires for new installs; else a year, or the draft's")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `pawl trust`."""
    app.command("add-key")(add_key)
    for command in (rotate, bar, renew):
        app.command()(command)


def add_key(
    path: Source,
    public: Annotated[list[Path], typer.Argument(help="Public keys in PEM")],
    role: Role,
    out: Out,
    threshold: Threshold = None,
    days: Days = None,
    *,
    json: files.Json = False,
) -> None:
    """Give a role another key."""
    from pawl_tools import keys, trust_edit

    added = [keys.load_public(one) for one in public]
    change = trust_edit.KeyChange(role=role, add=added, threshold=threshold)
    _edit(path, out, lambda plan: trust_edit.change_keys(plan, change), days, as_json=json)


def rotate(
    path: Source,
    role: Role,
    out: Out,
    remove: Annotated[
        list[str] | None, typer.Option(help="Key to take out: a file, or its short name; repeat for several")
    ] = None,
    add: Annotated[list[Path] | None, typer.Option(help="Public key to put in; repeat for several")] = None,
    threshold: Threshold = None,
    drop_boot_set: Annotated[
        list[int] | None,
        typer.Option(help="Boot set to drop, by its number in `pawl trust show`: its releases stop booting"),
    ] = None,
    days: Days = None,
    *,
    json: files.Json = False,
) -> None:
    """Replace keys of a role; what the former install set signed still boots, until its boot set is dropped."""
    from pawl_tools import keys, trust_edit

    if not (remove or add or drop_boot_set) and threshold is None:
        raise ToolError("nothing to rotate: give --remove, --add, --threshold or --drop-boot-set")
    change = trust_edit.KeyChange(
        role=role,
        remove=[_key_name(one) for one in remove or []],
        add=[keys.load_public(one) for one in add or []],
        threshold=threshold,
        drop_boot_sets=drop_boot_set or [],
    )
    _edit(path, out, lambda plan: trust_edit.change_keys(plan, change), days, as_json=json)


def _key_name(given: str) -> str:
    from pawl_tools import keys

    return keys.short_name(keys.load_public(Path(given))) if Path(given).is_file() else given


def bar(
    path: Source,
    out: Out,
    release: Annotated[
        list[str] | None,
        typer.Argument(
            help="What to stop: releases (*.pawl), or digests; -- goes before one that begins with -"
        ),
    ] = None,
    unbar: Annotated[
        list[str] | None, typer.Option(help="What is no longer stopped: a release, or a digest")
    ] = None,
    days: Days = None,
    *,
    json: files.Json = False,
) -> None:
    """Stop releases: no device installs or boots a barred one, even if it runs it now."""
    from pawl_tools import trust_edit

    if not (release or unbar):
        raise ToolError("nothing to bar: give releases or digests, or --unbar")
    barred, unbarred = ([_digest(one) for one in given or []] for given in (release, unbar))
    _edit(path, out, lambda plan: trust_edit.bar(plan, barred, unbarred), days, as_json=json)


def _digest(given: str) -> bytes:
    from pawl_tools import trust_releases

    path = Path(given)
    return trust_releases.digest_of(files.read(path), given) if path.is_file() else _b64u(given)


def _b64u(text: str) -> bytes:
    import base64
    import binascii

    from pawl.index import b64u

    try:
        digest = base64.urlsafe_b64decode(text + "=")
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 32 or b64u(digest) != text:
        raise ToolError(
            f"{text} is neither a file nor a digest of 43 characters: `pawl release show` prints them"
        )
    return digest


def renew(
    path: Source,
    out: Out,
    ca: Annotated[
        list[Path] | None,
        typer.Option(help="CA certificate (PEM); those given replace all former ones, so repeat what stays"),
    ] = None,
    server_name: Annotated[
        list[str] | None, typer.Option(help="Name in the broker's certificate; replaces all former ones")
    ] = None,
    days: Days = None,
    *,
    json: files.Json = False,
) -> None:
    """Issue it anew: for later expiry, and for other CA certificates or server names."""
    from pawl_tools import pki, trust_edit

    certificates = [pki.pem_to_der(files.read(one)) for one in ca or []]
    _edit(path, out, lambda plan: trust_edit.renew(plan, certificates, server_name or []), days, as_json=json)


def _edit(path: Path, out: Path, edit: "Callable[[Plan], Plan]", days: int | None, *, as_json: bool) -> None:
    """Write the draft that an edit makes, and say what it changes and who must sign it."""
    from pawl_tools import trust_changes, trust_draft, trust_edit

    source = trust_draft.open_draft(files.read(path))
    draft = trust_draft.new(edit(trust_edit.successor_plan(source, days)))
    version = draft.anchor.version
    is_next = version > source.anchor.version
    if is_next and out.exists() and out.samefile(path):
        raise ToolError(
            f"{out} is version {source.anchor.version}, which signers compare with: choose another -o"
        )
    changes = trust_changes.changes(source.anchor, draft.anchor)
    if not is_next and source.blocks:
        changes.append(f"the draft's {len(source.blocks)} signatures fall away: it must be signed anew")
    files.write(out, draft.file())
    standings = trust_draft.standings(draft, source.anchor if is_next else None)
    facts = {
        "file": str(out),
        "version": version,
        "complete": False,
        "changes": changes,
        "signed by": [one.facts() for one in standings],
    }
    lines = [f"{out}: draft of version {version}, unsigned", *(f"  {line}" for line in changes)]
    lines += [f"  signed by {one.text()}" for one in standings]
    former = f" --from VERSION-{version - 1}" if version > 1 else ""
    lines.append(f"next, by each root key holder: pawl trust sign {out} --key PRIVATE{former}")
    files.done("\n".join(lines), facts, as_json=as_json)
