"""Makes the folder of a fleet server: settings, certificates, database, the first token.

The authority of the devices' side is given, because devices trust what their anchor names; the one of the server's own
side is made here and serves for nothing else. The director's key stays where it is.
"""

import asyncio
import ipaddress
import json
import time
from dataclasses import dataclass
from pathlib import Path

from pawl.errors import PawlError
from pawl.trust import Anchor
from pawl_server import access, configuration
from pawl_server.mqtt.broker_config import SERVER_NAME
from pawl_server.settings import LATE_AFTER_S, OFFERS_PER_S
from pawl_server.signing import DirectorKeyError, load_director
from pawl_server.store import Store
from pawl_tools import credentials, pki, trust
from pawl_tools.errors import ToolError
from pawl_tools.new_folder import new_folder

FIRST_OPERATOR = "operator"
CERTIFICATE_DAYS = 3650
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class InitPlan:
    """What the server is made of; `host` is the address that devices reach it at."""

    anchor_file: bytes
    director_key: Path
    device_ca: Path
    host: str
    device_port: int
    server_port: int
    api_port: int

    def __post_init__(self) -> None:
        """Refuse what no listener could have."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            raise ToolError(
                f"--host {self.host} is no address: give one of this machine, or 0.0.0.0"
            ) from None
        ports = (self.device_port, self.device_port + 1, self.server_port, self.api_port)
        if len(set(ports)) != len(ports) or not all(0 < port < 65536 for port in ports):
            raise ToolError(f"ports {ports} must be different ones, 1 to 65535")


def init(folder: Path, plan: InitPlan) -> None:
    """Make the folder, whole or not at all."""
    anchor = trust.load(plan.anchor_file)
    _require_director(plan.director_key, anchor)
    ca = _device_ca(plan.device_ca, anchor)
    with new_folder(folder, "a server is made once") as partial:
        _fill(partial, plan, anchor, ca)


def _fill(folder: Path, plan: InitPlan, anchor: Anchor, ca: pki.Identity) -> None:
    (folder / "trust.cbor").write_bytes(plan.anchor_file)
    _write_certificates(folder / "tls", ca, tuple(anchor.server_names))
    pki.write_private(folder / configuration.FILE_NAME, _settings(plan).encode())
    settings = configuration.load(folder)
    settings.server.folder.mkdir(mode=0o700)
    token = asyncio.run(_first_token(settings.server.database))
    credentials.write(folder, credentials.Credentials(server=settings.api.url, token=token))


async def _first_token(database: Path) -> str:
    return await make_token(database, FIRST_OPERATOR)


async def make_token(database: Path, name: str) -> str:
    """Make a token in a server's database, which may be in use."""
    store = Store(database)
    await store.open()
    try:
        return await access.new_token(store, name, int(time.time()))
    finally:
        await store.close()


def _require_director(path: Path, anchor: Anchor) -> None:
    try:
        load_director(path, anchor.directors)
    except OSError as error:
        raise ToolError(f"cannot read {path}: {error.strerror}") from None
    except (DirectorKeyError, PawlError) as error:
        raise ToolError(str(error)) from None


def _device_ca(folder: Path, anchor: Anchor) -> pki.Identity:
    ca = pki.load_authority(folder / "ca.crt", folder / "ca.key")
    if ca.certificate_der() not in anchor.ca:
        raise ToolError(
            f"the trust anchor doesn't name the authority in {folder}: devices would refuse the broker's certificate"
        )
    return ca


def _write_certificates(folder: Path, ca: pki.Identity, names: tuple[str, ...]) -> None:
    """Write what broker and server show each other, and what the broker shows devices."""
    folder.mkdir(mode=0o700)
    server_ca = pki.create_authority("Pawl server side")
    (folder / "device-ca.crt").write_bytes(ca.certificate_pem())
    (folder / "server-ca.crt").write_bytes(server_ca.certificate_pem())
    days = CERTIFICATE_DAYS
    pki.issue(ca, names[0], server_names=names, days=days).write_pem(folder, "broker-devices")
    pki.issue(server_ca, "broker", server_names=(_LOOPBACK,), days=days).write_pem(folder, "broker-server")
    pki.issue(server_ca, SERVER_NAME, days=days).write_pem(folder, "server")


def _settings(plan: InitPlan) -> str:
    # JSON's strings are TOML's.
    return f"""\
# Paths are relative to this folder.
data = "data"
trust = "trust.cbor"
director_key = {json.dumps(str(plan.director_key.resolve()), ensure_ascii=False)}
# The director's key that a later anchor names, if it names another; `pawl server anchors add` imports anchors.
# next_director_key = "director-2"
# A device that proved nothing by a signed report for this long is shown as late, in seconds.
# late_after_s = {LATE_AFTER_S}
# Rollouts ask at most so many devices a second, all of them together.
# offers_per_s = {OFFERS_PER_S}

# Devices that nobody enrolled are refused. With "claim", they are also shown, and a person with the claim code of one enrolls it.
# registration = "pre-registered"

[api]
# Beyond this machine, tokens need TLS: set `certificate` and `key` (PEM), too.
address = "{_LOOPBACK}"
port = {plan.api_port}

[broker]
# Where the server finds the broker, and what it shows there.
host = "{_LOOPBACK}"
port = {plan.server_port}
authority = "tls/server-ca.crt"
certificate = "tls/server.crt"
key = "tls/server.key"

[broker.child]
# The mosquitto that the server starts itself. Without this table, somebody else runs the broker.
folder = "broker"
device_address = "{plan.host}"
device_port = {plan.device_port}
# Where anybody may read trust anchors, and nothing else: devices are provisioned with the port above theirs.
anchor_port = {plan.device_port + 1}
device_authority = "tls/device-ca.crt"
device_certificate = "tls/broker-devices.crt"
device_key = "tls/broker-devices.key"
server_certificate = "tls/broker-server.crt"
server_key = "tls/broker-server.key"
"""
