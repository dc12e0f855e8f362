"""`pawl server`: makes a fleet server's folder, runs it, makes access tokens, and imports trust anchors."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pawl_tools.cli import api, files
from pawl_tools.errors import RefusedError, ToolError

app = typer.Typer(help="The fleet server.", no_args_is_help=True)
tokens = typer.Typer(help="Access tokens of the fleet server.", no_args_is_help=True)
app.add_typer(tokens, name="token")
anchors = typer.Typer(
    help="The chain of trust anchors that the running server goes by.", no_args_is_help=True
)
app.add_typer(anchors, name="anchors")

_Folder = Annotated[Path, typer.Argument(help="The server's folder")]


@app.callback()
def _server() -> None:
    """The fleet server."""


@tokens.callback()
def _tokens() -> None:
    """Access tokens of the fleet server."""


@anchors.callback()
def _anchors() -> None:
    """The chain of trust anchors that the running server goes by."""


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
    from pawl_server import program

    _serve(folder, program.run)


@app.command()
def worker(
    folder: _Folder,
    name: Annotated[str, typer.Option(help="Its name: one process has it at a time; a-z, 0-9 and -")],
) -> None:
    """Run a second process over a server's folder: it shares the work, and does all of it while the server is down."""
    _require_extra()
    from pawl_server import program

    _serve(folder, lambda settings, say: program.run_worker(settings, name, say))


def _serve(folder: Path, serve: Any) -> None:
    import asyncio
    import logging

    from pawl_server import configuration, program

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = configuration.load(folder)
        asyncio.run(serve(settings, lambda line: print(line, flush=True)))
    except (configuration.ConfigurationError, program.ProgramError) as error:
        raise ToolError(str(error)) from None


@anchors.command("add")
def add_anchor(
    trust: Annotated[Path, typer.Argument(help="Trust anchor file: the version after the newest one")],
    *,
    json: api.Json = False,
) -> None:
    """Let the server go by the next trust anchor: it is published for devices to walk to, and never withdrawn."""
    content = files.read(trust)
    with api.connect() as fleet:
        added = fleet.upload("/anchors", content)
    if json:
        api.print_json(added)
        return
    print(f"trust anchor {added['version']} is in force: {added['digest']}")


@anchors.command("list")
def list_anchors(*, json: api.Json = False) -> None:
    """List the trust anchors, the oldest first; the last one is in force."""
    with api.connect() as fleet:
        found = fleet.get("/anchors")["anchors"]
    if json:
        api.print_json(found)
        return
    rows = [[str(one["version"]), one["digest"], api.time_text(one["imported_at_s"])] for one in found]
    api.print_table(("version", "digest", "imported"), rows)


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
    from pawl_server.store import ConflictError, SchemaError
    from pawl_tools import server_init

    try:
        database = configuration.load(folder).server.database
        print(asyncio.run(server_init.make_token(database, name)))
    except (configuration.ConfigurationError, InvalidError, SchemaError) as error:
        raise ToolError(str(error)) from None
    except ConflictError as error:
        raise RefusedError(str(error)) from None
    if sys.stdout.isatty():
        print("keep it: it isn't shown again", file=sys.stderr)
