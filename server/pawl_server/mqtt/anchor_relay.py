"""The anchor relay: a mosquitto that shows trust anchors to whoever asks, for devices whose TLS doesn't stand any more.

A process of its own, because a broker knows a client by its id alone: on a listener of the fleet's broker a stranger
could take over the session of any device, and the server's with its queued messages (eclipse-mosquitto issues 3551 and
3553; `clientid_prefixes` holds for all listeners of a process). It carries anchors over from the fleet's broker by a
bridge that only reads, and keeps nothing on disk.
"""

import secrets
from pathlib import Path

from pawl import codes
from pawl_server.mqtt.broker_config import (
    CONFIGURATION_NAME,
    PACKET_OVERHEAD_BYTES,
    AnchorListener,
    BrokerSettings,
    user_lines,
)
from pawl_server.mqtt.mosquitto import Mosquitto

ANCHOR_ACL = "topic read pawl/k/+\n"
CONNECTIONS_MAX = 1000
KEEPALIVE_MAX_S = 60
_FOLDER_NAME = "anchors"


class AnchorRelay(Mosquitto):
    """Listens beside the fleet's broker, with the same certificate; nobody has to believe it."""

    def __init__(self, settings: BrokerSettings, listener: AnchorListener) -> None:
        super().__init__(settings.folder / _FOLDER_NAME, settings.program)
        self._settings = settings
        self._listener = listener

    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Return the one place where strangers are heard."""
        return ((self._settings.device_address, self._listener.port),)

    def write_configuration(self, program: str, version: tuple[int, ...]) -> Path:
        """Write configuration and access list for the owner's eyes only."""
        del program, version  # one listener needs no list of its own, and so no plugin
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        acl = self._folder / "anchors.acl"
        configuration = self._folder / CONFIGURATION_NAME
        # Who knew the bridge's id here could take its place: it is new, and for nobody's eyes, at every start.
        text = "\n".join(configuration_lines(self._settings, self._listener, acl, secrets.token_hex(16)))
        for path, content in ((acl, ANCHOR_ACL), (configuration, text + "\n")):
            path.touch(mode=0o600)
            path.write_text(content)
        return configuration


def configuration_lines(
    settings: BrokerSettings, listener: AnchorListener, acl: Path, bridge_id: str
) -> list[str]:
    """Return what the relay is told; pure."""
    folder = acl.parent
    tls = settings.device_tls
    return [
        *user_lines(),
        "persistence false",
        f"log_dest file {folder / 'mosquitto.log'}",
        "log_type error",
        "log_type warning",
        "connection_messages false",  # with them the log would have the bridge's id
        f"max_packet_size {codes.ANCHOR_MAX_BYTES + PACKET_OVERHEAD_BYTES}",
        f"max_keepalive {KEEPALIVE_MAX_S}",
        "max_queued_messages 16",
        "allow_anonymous true",
        f"acl_file {acl}",
        f"listener {listener.port} {settings.device_address}",
        "protocol mqtt",
        f"max_connections {CONNECTIONS_MAX}",
        f"certfile {tls.certificate}",
        f"keyfile {tls.key}",
        "tls_version tlsv1.2",
        "connection pawl-anchors",
        f"address 127.0.0.1:{settings.server_port}",
        f"bridge_cafile {listener.link.client_authority}",
        f"bridge_certfile {listener.link.certificate}",
        f"bridge_keyfile {listener.link.key}",
        "bridge_tls_version tlsv1.2",
        f"local_clientid {bridge_id}",
        f"remote_clientid pawl-anchors-{bridge_id}",
        "cleansession true",
        "notifications false",
        "restart_timeout 1 30",
        "topic pawl/k/+ in 1",
    ]
