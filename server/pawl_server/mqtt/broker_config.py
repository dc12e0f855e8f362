"""What mosquitto is told: listeners, access control, limits; written for the version that will read it.

Every limit is set on purpose: mosquitto's own defaults drop QoS 1 messages of a slow subscriber in silence.
2.0 has an access list per listener. 2.1 deprecates `per_listener_settings` and `acl_file` for a plugin, whose list is
one for all listeners (eclipse-mosquitto issue 3653): there, one file holds both rules, kept apart by user name.
The form for 2.1 follows its documentation and could not be run here: Debian has 2.0.11.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from pawl.identity import PARTITIONS

SERVER_NAME = "_server"  # no device id begins with an underscore
MESSAGE_MAX_BYTES = 65536
PACKET_OVERHEAD_BYTES = 512  # topic, properties and header
FIRST_VERSION_WITH_PLUGIN = (2, 1)
CONFIGURATION_NAME = "mosquitto.conf"
_PLUGIN_FILE = "mosquitto_acl_file.so"

# %u is the name in the certificate. Mosquitto (2.0) checks a wildcard subscription at delivery only, not when it is made.
# An access list can't compute a device's partition, nor tell a retained message from another one: the partitions are
# listed, so that a device can leave so many retained messages behind and no more. Reads stand first: lists are read in order.
_READS = """\
pattern read pawl/b/+/+/+
pattern read pawl/b/+/i
pattern read pawl/r/+
pattern read pawl/k/+
pattern read pawl/d/+/%u/offer
"""
_UP_KINDS = ("hello", "report", "log")
DEVICE_ACL = _READS + "".join(
    f"pattern write pawl/d/{partition}/%u/up/{kind}\n"
    for kind in _UP_KINDS
    for partition in range(PARTITIONS)
)
SERVER_ACL = f"""\
user {SERVER_NAME}
topic readwrite pawl/#
topic read $SYS/broker/#
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerTls:
    """PEM files of one listener: its own certificate and key, and the authority that its clients must come from."""

    client_authority: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorListener:
    """Where strangers may read anchors; `link` is what the relay shows the fleet's broker: the server's own."""

    port: int
    link: ListenerTls


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """Where the broker lives and what it may hold; queue limits are per client.

    Only the sessions of the server's ingest slices are kept: each holds what an eighth of the fleet says meanwhile.
    """

    folder: Path
    device_port: int
    server_port: int
    device_tls: ListenerTls
    server_tls: ListenerTls
    anchors: AnchorListener | None = None
    device_address: str = "127.0.0.1"
    program: str = "mosquitto"
    max_queued_messages: int = 25_000
    max_queued_bytes: int = 16 * 1024 * 1024
    max_inflight_messages: int = 200
    max_keepalive_s: int = 1800
    autosave_interval_s: int = 30

    def __post_init__(self) -> None:
        """Refuse what would be misread in the configuration's line format."""
        links = () if self.anchors is None else (self.anchors.link,)
        listeners = (self.device_tls, self.server_tls, *links)
        for path in (self.folder, *(path for tls in listeners for path in _files_of(tls))):
            if "\n" in str(path) or not path.is_absolute():
                raise ValueError(f"an absolute path on one line is needed: {path}")
        for port in (self.device_port, self.server_port, self.anchors.port if self.anchors else 1):
            if not 0 < port < 65536:
                raise ValueError(f"port {port}")


def _files_of(tls: ListenerTls) -> tuple[Path, Path, Path]:
    return tls.client_authority, tls.certificate, tls.key


def acl_plugin_near(program: str) -> Path | None:
    """Return the access list plugin of 2.1 and later, where packages put it relative to the program."""
    prefix = Path(program).resolve().parent.parent
    places = (prefix / "lib", prefix / "lib64", prefix / "lib" / f"{os.uname().machine}-linux-gnu")
    found = (place / _PLUGIN_FILE for place in places)
    return next((path for path in found if path.exists()), None)


def write_configuration(settings: BrokerSettings, version: tuple[int, ...], acl_plugin: Path | None) -> Path:
    """Write mosquitto.conf and its access lists into the folder, and return the path of the former."""
    folder = settings.folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in (
        ("device.acl", DEVICE_ACL),
        ("server.acl", SERVER_ACL),
        ("both.acl", DEVICE_ACL + SERVER_ACL),
    ):
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(text)
    configuration = folder / CONFIGURATION_NAME
    configuration.write_text("\n".join(configuration_lines(settings, version, acl_plugin)) + "\n")
    return configuration


def configuration_lines(
    settings: BrokerSettings, version: tuple[int, ...], acl_plugin: Path | None
) -> list[str]:
    """Return the configuration for this version of mosquitto; pure."""
    has_plugin = version >= FIRST_VERSION_WITH_PLUGIN and acl_plugin is not None
    start = ["per_listener_settings true"]
    device, server = (
        _per_listener(settings.folder / "device.acl"),
        _per_listener(settings.folder / "server.acl"),
    )
    if has_plugin:
        start = [f"plugin_load pawl_acl {acl_plugin}", f"plugin_opt_acl_file {settings.folder / 'both.acl'}"]
        device = server = ["listener_allow_anonymous false", "plugin_use pawl_acl"]
    return [
        *start,
        *_global_lines(settings),
        f"listener {settings.device_port} {settings.device_address}",
        *_tls_lines(settings.device_tls),
        *device,
        # A device can't take over another's session, nor the server's: the certificate is the client id.
        "use_username_as_clientid true",
        f"listener {settings.server_port} 127.0.0.1",
        *_tls_lines(settings.server_tls),
        *server,
    ]


def _per_listener(acl: Path) -> list[str]:
    return ["allow_anonymous false", f"acl_file {acl}"]


def _tls_lines(tls: ListenerTls) -> list[str]:
    return [
        "protocol mqtt",
        f"cafile {tls.client_authority}",
        f"certfile {tls.certificate}",
        f"keyfile {tls.key}",
        "tls_version tlsv1.2",
        "require_certificate true",
        "use_identity_as_username true",
    ]


def _global_lines(settings: BrokerSettings) -> list[str]:
    folder = settings.folder
    return [
        *user_lines(),
        "persistence true",
        f"persistence_location {folder}/",
        f"autosave_interval {settings.autosave_interval_s}",
        f"log_dest file {folder / 'mosquitto.log'}",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "connection_messages true",
        "log_timestamp_format %Y-%m-%dT%H:%M:%S",
        f"max_queued_messages {settings.max_queued_messages}",
        f"max_queued_bytes {settings.max_queued_bytes}",
        f"max_inflight_messages {settings.max_inflight_messages}",
        f"max_packet_size {MESSAGE_MAX_BYTES + PACKET_OVERHEAD_BYTES}",
        f"max_keepalive {settings.max_keepalive_s}",
        "queue_qos0_messages false",
        "set_tcp_nodelay true",
    ]


def user_lines() -> list[str]:
    """Return the line that keeps mosquitto the user who starts it."""
    # As root, mosquitto would become a user that can't read the folder. Anyone else needs no line, nor an account.
    return [f"user {pwd.getpwuid(0).pw_name}"] if os.geteuid() == 0 else []
