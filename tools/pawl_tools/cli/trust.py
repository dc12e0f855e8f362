"""`pawl trust`: makes and shows the trust anchor document, which says who may sign what."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pawl_tools.cli import files

if TYPE_CHECKING:
    from pawl.trust import Anchor

app = typer.Typer(help="The trust anchor document: who may sign what.", no_args_is_help=True)

_DAY_S = 86400


@app.command()
def init(
    out: Annotated[Path, typer.Argument(help="Where the anchor file goes")],
    root: Annotated[list[Path], typer.Option(help="Private root key; repeat for several")],
    release: Annotated[list[Path], typer.Option(help="Public release key; repeat for several")],
    director: Annotated[
        list[Path], typer.Option(help="Public key of the fleet server's director; at most 2")
    ],
    ca: Annotated[
        list[Path], typer.Option(help="Certificate (PEM) of the authority that devices trust for TLS")
    ],
    server_name: Annotated[list[str], typer.Option(help="Name in the broker's certificate")],
    threshold: Annotated[int, typer.Option(help="How many release keys must sign")] = 1,
    days: Annotated[int, typer.Option(help="Days until it expires for new installs")] = 365,
    *,
    json: files.Json = False,
) -> None:
    """Make version 1, signed by all root keys given, all of which must sign its successor."""
    from pawl import codes
    from pawl_tools import keys, pki, trust

    roots = [keys.FileSigner(path) for path in root]
    now = int(time.time())
    plan = trust.Plan(
        version=1,
        issued=now,
        expiry=now + days * _DAY_S,
        root=trust.KeySet(threshold=len(roots), keys=[signer.key for signer in roots]),
        directors=[keys.load_public(path) for path in director],
        roles={
            codes.ROLE_APP_RELEASE: trust.KeySet(
                threshold=threshold, keys=[keys.load_public(path) for path in release]
            )
        },
        ca=[pki.pem_to_der(files.read(path)) for path in ca],
        server_names=server_name,
    )
    files.write(out, trust.build(plan, roots))
    files.done(f"{out}: version 1", {"file": str(out), "version": 1}, as_json=json)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(help="Anchor file")],
    *,
    json: files.Json = False,
) -> None:
    """Check an anchor file as a device does, and print what it says."""
    from pawl_tools import trust

    files.show(_facts(trust.load(files.read(path))), as_json=json)


def _facts(anchor: "Anchor") -> dict[str, object]:
    from pawl.index import b64u
    from pawl.names import role_name

    facts: dict[str, object] = {
        "version": anchor.version,
        "digest": b64u(anchor.digest),
        "issued": _date(anchor.issued),
        "expiry": _date(anchor.expiry),
        "root": f"{anchor.root.threshold} of {len(anchor.root.keys)}",
        "directors": len(anchor.directors),
    }
    for role in sorted(anchor.roles):
        install_set, boot_sets = anchor.roles[role]
        facts[role_name(role)] = (
            f"{install_set.threshold} of {len(install_set.keys)}, {len(boot_sets)} former sets may boot"
        )
    facts["barred"] = [b64u(digest) for digest in anchor.barred]
    facts["server names"] = list(anchor.server_names)
    return facts


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()
