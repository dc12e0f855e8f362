"""A real mosquitto with certificates in a temporary folder, for host tests."""

import socket
from dataclasses import dataclass
from pathlib import Path

from pawl_server.mqtt.broker import Broker
from pawl_server.mqtt.broker_config import SERVER_NAME, AnchorListener, BrokerSettings, ListenerTls
from pawl_server.mqtt.link import LinkSettings
from pawl_tools.pki import Identity, create_authority, issue


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listened on a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Authorities, certificates and settings of one broker."""

    folder: Path
    fleet: Identity
    server_side: Identity
    settings: BrokerSettings

    def broker(self) -> Broker:
        """Return a broker that was not started."""
        return Broker(self.settings)

    def device(self, name: str) -> Identity:
        """Return a new certificate of the fleet, also written as PEM."""
        device = issue(self.fleet, name, days=30)
        device.write_pem(self.folder, name)
        return device

    def link_settings(self, client_id: str = "ingest-0", **changes: object) -> LinkSettings:
        """Return what a server's link needs."""
        folder = self.folder
        fields = {
            "host": "127.0.0.1",
            "port": self.settings.server_port,
            "client_id": f"_{client_id}",
            "authority": folder / "server-ca.pem",
            "certificate": folder / f"{SERVER_NAME}.crt",
            "key": folder / f"{SERVER_NAME}.key",
        }
        return LinkSettings(**{**fields, **changes})


def make_bench(folder: Path) -> Bench:
    """Make the public key infrastructure of a fleet, and settings with free ports."""
    fleet, server_side = create_authority("Pawl devices"), create_authority("Pawl server side")
    (folder / "device-ca.pem").write_bytes(fleet.certificate_pem())
    (folder / "server-ca.pem").write_bytes(server_side.certificate_pem())
    listener = issue(fleet, "broker", server_names=("updates.example", "127.0.0.1"), days=30)
    inner = issue(server_side, "broker-inner", server_names=("127.0.0.1",), days=30)
    link = _tls(folder, "server-ca.pem", issue(server_side, SERVER_NAME, days=30), SERVER_NAME)
    device_port, server_port, anchor_port = free_ports(3)
    settings = BrokerSettings(
        folder=folder / "broker",
        device_port=device_port,
        server_port=server_port,
        device_tls=_tls(folder, "device-ca.pem", listener, "listener"),
        server_tls=_tls(folder, "server-ca.pem", inner, "inner"),
        anchors=AnchorListener(port=anchor_port, link=link),
    )
    return Bench(folder=folder, fleet=fleet, server_side=server_side, settings=settings)


def _tls(folder: Path, authority: str, identity: Identity, name: str) -> ListenerTls:
    certificate, key = identity.write_pem(folder, name)
    return ListenerTls(client_authority=folder / authority, certificate=certificate, key=key)
