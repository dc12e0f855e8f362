"""Which fleet server the operator's commands talk to, and with which token; never from a command line.

PAWL_SERVER and PAWL_TOKEN, else the file that PAWL_CREDENTIALS names, else `operator.toml` in the current folder.
"""

import json
import os
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pawl_tools.errors import ToolError
from pawl_tools.pki import write_private

FILE_NAME = "operator.toml"
_HOW = (
    "set PAWL_SERVER and PAWL_TOKEN, or PAWL_CREDENTIALS to the operator.toml that `pawl server init` wrote"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The address of a fleet server, and a token for it."""

    server: str
    token: str


def write(folder: Path, credentials: Credentials) -> Path:
    """Write the file, for its owner's eyes."""
    path = folder / FILE_NAME
    write_private(
        path,
        f"server = {json.dumps(credentials.server)}\ntoken = {json.dumps(credentials.token)}\n".encode(),
    )
    return path


def find() -> Credentials:
    """Return what the environment says, or the file."""
    server, token = os.environ.get("PAWL_SERVER"), os.environ.get("PAWL_TOKEN")
    if server and token:
        return _checked(server, token, "PAWL_SERVER")
    if server or token:
        raise ToolError(f"PAWL_SERVER and PAWL_TOKEN belong together: {_HOW}")
    return _read(Path(os.environ.get("PAWL_CREDENTIALS") or FILE_NAME))


def _read(path: Path) -> Credentials:
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        raise ToolError(f"cannot read {path}: {_HOW}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise ToolError(f"{path} can be read by others: chmod 600 {path}")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        values = {}
    server, token = values.get("server"), values.get("token")
    if not isinstance(server, str) or not isinstance(token, str):
        raise ToolError(f"{path} holds no server and token: {_HOW}")
    return _checked(server, token, str(path))


def _checked(server: str, token: str, where: str) -> Credentials:
    if not server.startswith(("http://", "https://")):
        raise ToolError(f"{where}: {server!r} is no address: it begins with http:// or https://")
    if not token.isascii() or not token.isprintable():
        raise ToolError("the token has characters that no token has: `pawl server token new` makes one")
    return Credentials(server=server.rstrip("/"), token=token)
