"""`pawl keys` and `pawl ca`: key pairs for signing, and the authority of a fleet's TLS certificates."""

from pathlib import Path
from typing import Annotated

import typer

from pawl_tools.cli import files

app = typer.Typer(help="Signing keys.", no_args_is_help=True)
authorities = typer.Typer(help="The authority of a fleet's TLS certificates.", no_args_is_help=True)


@app.callback()
def _keys() -> None:
    """Signing keys."""


@app.command()
def new(
    path: Annotated[
        Path, typer.Argument(help="Where the private key goes; the public one goes beside it, as .pub")
    ],
    algorithm: Annotated[str, typer.Option(help="esp256 (the profile) or ed25519")] = "esp256",
    *,
    json: files.Json = False,
) -> None:
    """Make a key pair; the private key is readable by its owner only."""
    from pawl_tools import keys

    keys.new(path, algorithm)
    public = keys.public_path(path)
    files.done(
        f"{path} (private), {public} (public)", {"private": str(path), "public": str(public)}, as_json=json
    )


@authorities.callback()
def _authorities() -> None:
    """The authority of a fleet's TLS certificates."""


@authorities.command("new")
def new_authority(
    folder: Annotated[Path, typer.Argument(help="Folder for ca.crt and ca.key")],
    name: Annotated[str, typer.Option(help="Name in the certificate")] = "Pawl fleet",
    *,
    json: files.Json = False,
) -> None:
    """Make an authority; it protects the path to the broker and carries no authority over updates."""
    from pawl_tools import pki
    from pawl_tools.errors import ToolError

    folder.mkdir(parents=True, exist_ok=True)
    try:
        certificate, key = pki.create_authority(name).write_pem(folder, "ca")
    except FileExistsError:
        raise ToolError(
            f"{folder} has an authority: it is never overwritten, choose another folder"
        ) from None
    facts: dict[str, object] = {"private": str(key), "certificate": str(certificate)}
    files.done(f"{key} (private), {certificate}", facts, as_json=json)
