"""`pawl server`: makes a fleet server's folder, runs it, and makes access tokens."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pawl_tools.cli import files
from pawl_tools.errors import RefusedError, ToolError

app = typer.Typer(help="The fleet server.", no_args_is_help=True)
tokens = typer.Typer(help="Access tokens of the fleet server.", no_args_is_help=True)
app.add_typer(tokens, name="token")

_Folder = Annotated[Path, typer.Argument(help="The server's folder")]


@app.callback()
def _server() -> None:
    """The fleet server."""


@tokens.callback()
def _tokens() -> None:
    """Access tokens of the fleet server."""


def _require_extra() -> None:
    """Say how to get the server's libraries, of which a signing machine has none."""
    try:
        import fastapi  # noqa: F401
        import paho.mqtt  # noqa: F401
        import sqlalchemy  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ToolError(f"{error.name} is missing: install pawl-ota[server]") from None


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="New folder for settings, certificates, database")],
    trust: Annotated[Path, typer.Option(help="Trust anchor file")],
    director: Annotated[Path, typer.Option(help="Private key of the director; stays where it is")],
    device_ca: Annotated[
        Path, typer.Option(help="Folder of the authority that the anchor names: ca.crt and ca.key")
    ] = Path("ca"),
    host: Annotated[str, typer.Option(help="Address on which devices reach the broker")] = "127.0.0.1",
    device_port: Annotated[int, typer.Option(help="Port for devices")] = 8883,
    server_port: Annotated[int, typer.Option(help="Port between server and broker, on this machine")] = 18883,
    api_port: Annotated[int, typer.Option(help="Port of the API, on this machine")] = 8080,
) -> None:
    """Make a fleet server: settings, certificates, database, and a first token."""
    _require_extra()
    from pawl_tools import credentials, server_init

    plan = server_init.InitPlan(
        anchor_file=files.read(trust),
        director_key=director,
        device_ca=device_ca,
        host=host,
        device_port=device_port,
        server_port=server_port,
        api_port=api_port,
    )
    server_init.init(folder, plan)
    print(f"{folder}: server.toml, data, tls, and {credentials.FILE_NAME} with the first token (private)")
    print(f"next: pawl server run {folder}")
    print(f"then: export PAWL_CREDENTIALS={folder.resolve() / credentials.FILE_NAME}")


@app.command()
def run(folder: _Folder) -> None:
    """Run broker, device link, rollouts and API until interrupted; killed, the next start goes on."""
    _require_extra()
    import asyncio
    import logging

    from pawl_server import configuration, program

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = configuration.load(folder)
        asyncio.run(program.run(settings, lambda line: print(line, flush=True)))
    except (configuration.ConfigurationError, program.ProgramError) as error:
        raise ToolError(str(error)) from None


@tokens.command("new")
def new_token(
    name: Annotated[str, typer.Argument(help="Whose token: a-z, 0-9 and -")],
    folder: Annotated[Path, typer.Option(help="The server's folder")] = Path(),
) -> None:
    """Make a token and print it, once: the server keeps its digest only."""
    _require_extra()
    import asyncio

    from pawl_server import configuration
    from pawl_server.errors import InvalidError
    from pawl_server.store import ConflictError
    from pawl_tools import server_init

    try:
        database = configuration.load(folder).server.database
        print(asyncio.run(server_init.make_token(database, name)))
    except (configuration.ConfigurationError, InvalidError) as error:
        raise ToolError(str(error)) from None
    except ConflictError as error:
        raise RefusedError(str(error)) from None
    if sys.stdout.isatty():
        print("keep it: it isn't shown again", file=sys.stderr)
