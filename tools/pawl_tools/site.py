"""A whole fleet in one folder on one machine: keys, authorities, broker, server, devices. For the demo and for tests.

Everything is the real one; only the keys, which lie all in one place, would not be.
"""

import asyncio
import base64
import json
import random
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pawl import codes, index
from pawl_server.domain.fleet import Enrolment
from pawl_server.mqtt.broker import Broker
from pawl_server.mqtt.broker_config import SERVER_NAME, AnchorListener, BrokerSettings, ListenerTls
from pawl_server.mqtt.link import LinkSettings, MqttLink
from pawl_server.service import FleetServer
from pawl_server.settings import ServerSettings
from pawl_tools import identifiers, keys, launcher, layouts, pack, pki, provision, release, trust
from pawl_tools.toolchain import Toolchain

HOST = "127.0.0.1"
SERVER_NAME_TLS = "localhost"
VENDOR = identifiers.vendor_id("example.com")
CLASS = identifiers.class_id(VENDOR, "unix-board")
RELEASE_KEYS = ("release-1", "release-2", "release-3")
KEY_NAMES = ("root", *RELEASE_KEYS, "director", "stranger")
RELEASE_THRESHOLD = 2
_CERTIFICATE_DAYS = 400  # longer than the days that a campaign of tests lets pass
_ANCHOR_S = 365 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The broker's listeners; devices look for anchors one above their own."""

    devices: int
    server: int

    @property
    def anchors(self) -> int:
        """Where anchors are read without a certificate."""
        return self.devices + 1


def free_ports() -> Ports:
    """Return ports that are free, below those that the system gives to outgoing connections."""
    found: list[int] = []
    while len(found) < 2:
        port = random.randrange(20_000, 32_000, 2)  # noqa: S311 (no secret)
        with socket.socket() as probe, socket.socket() as above, suppress(OSError):
            probe.bind((HOST, port))
            above.bind((HOST, port + 1))
            found += [port] if port not in found else []
    devices, server = found
    return Ports(devices=devices, server=server)


class Site:
    """Made in an empty folder; `signers` are by the names in KEY_NAMES, `stranger` is in no trust anchor."""

    def __init__(self, folder: Path, toolchain: Toolchain, now_s: int) -> None:
        self.folder = folder
        self.toolchain = toolchain
        self.ports = free_ports()
        self._make_keys()
        self._make_authorities()
        self._make_anchor(now_s)
        self.agent = folder / "agent.romfs"
        self.agent.write_bytes(pack.pack_agent(toolchain))
        self.broker = Broker(self._broker_settings())
        self.server = FleetServer(self._server_settings())

    def _make_keys(self) -> None:
        (self.folder / "keys").mkdir()
        for name in KEY_NAMES:
            keys.new(self.folder / "keys" / name, "esp256")
        self.signers = {name: keys.FileSigner(self.folder / "keys" / name) for name in KEY_NAMES}

    def _make_authorities(self) -> None:
        """One authority for devices and the broker they meet, one for the server's own listener."""
        tls = self.folder / "tls"
        tls.mkdir()
        self.device_ca = pki.create_authority("Pawl demo devices")
        server_ca = pki.create_authority("Pawl demo server")
        (tls / "device-ca.crt").write_bytes(self.device_ca.certificate_pem())
        (tls / "server-ca.crt").write_bytes(server_ca.certificate_pem())
        names = (SERVER_NAME_TLS, HOST)
        for ca, name in ((self.device_ca, "broker-devices"), (server_ca, "broker-server")):
            pki.issue(ca, SERVER_NAME_TLS, server_names=names, days=_CERTIFICATE_DAYS).write_pem(tls, name)
        pki.issue(server_ca, SERVER_NAME, days=_CERTIFICATE_DAYS).write_pem(tls, "server")

    def _make_anchor(self, now_s: int) -> None:
        plan = trust.Plan(
            version=1,
            issued=now_s,
            expiry=now_s + _ANCHOR_S,
            root=trust.KeySet(threshold=1, keys=[self.signers["root"].key]),
            directors=[self.signers["director"].key],
            roles={
                codes.ROLE_APP_RELEASE: trust.KeySet(
                    threshold=RELEASE_THRESHOLD, keys=[self.signers[name].key for name in RELEASE_KEYS]
                )
            },
            ca=[self.device_ca.certificate_der()],
            server_names=[SERVER_NAME_TLS],
        )
        self.anchor_file = trust.build(plan, [self.signers["root"]])
        (self.folder / "trust.cbor").write_bytes(self.anchor_file)

    def _tls(self, name: str) -> Path:
        return self.folder / "tls" / name

    def _broker_settings(self) -> BrokerSettings:
        listeners = [
            ListenerTls(
                client_authority=self._tls(f"{side}-ca.crt"),
                certificate=self._tls(f"{name}.crt"),
                key=self._tls(f"{name}.key"),
            )
            for side, name in (("device", "broker-devices"), ("server", "broker-server"))
        ]
        return BrokerSettings(
            folder=self.folder / "broker",
            device_port=self.ports.devices,
            server_port=self.ports.server,
            device_tls=listeners[0],
            server_tls=listeners[1],
            anchors=AnchorListener(
                port=self.ports.anchors,
                link=ListenerTls(
                    client_authority=self._tls("server-ca.crt"),
                    certificate=self._tls("server.crt"),
                    key=self._tls("server.key"),
                ),
            ),
        )

    def _server_settings(self) -> ServerSettings:
        return ServerSettings(
            folder=self.folder / "server",
            broker_host=HOST,
            broker_port=self.ports.server,
            tls_authority=self._tls("server-ca.crt"),
            tls_certificate=self._tls("server.crt"),
            tls_key=self._tls("server.key"),
            director_key=self.folder / "keys" / "director",
            anchor=self.folder / "trust.cbor",
        )

    async def start(self) -> None:
        """Start broker and server."""
        await asyncio.to_thread(self.broker.start)
        await self.server.start()

    async def stop(self) -> None:
        """Stop both."""
        await self.server.stop()
        await asyncio.to_thread(self.broker.stop)

    def release(
        self,
        image: bytes | release.Payload,
        sequence: int,
        version: tuple[int, ...],
        signers: Sequence[str] = RELEASE_KEYS[:RELEASE_THRESHOLD],
    ) -> bytes:
        """Return the bundle of an image, signed by the named keys."""
        statement = release.Statement(sequence=sequence, version=version, vendor=VENDOR, device_class=CLASS)
        return release.build(image, statement, [self.signers[name] for name in signers])

    async def provision(
        self,
        device: str,
        factory: bytes,
        on_line: Callable[[str], None],
        watchdog_timeout_s: float = launcher.WATCHDOG_TIMEOUT_S,
    ) -> launcher.Device:
        """Make a device of the unix board with a factory release and enroll it; it is not powered yet."""
        folder = await self.make_device(device, factory, layouts.load(layouts.UNIX))
        return launcher.Device(folder, self.agent, self.toolchain, on_line, watchdog_timeout_s)

    async def make_device(self, device: str, factory: bytes, layout: layouts.Layout) -> Path:
        """Make the folder of a device of any board with a factory release, enroll it, return the folder."""
        folder = self.folder / "devices" / device
        plan = provision.plan_for(factory, device=device, host=HOST, port=self.ports.devices)
        made = (folder, plan, self.anchor_file, factory, self.device_ca)
        await asyncio.to_thread(provision.provision, *made, layout=layout)
        await self.server.enroll(read_enrolment(folder / "enrolment.json"))
        return folder

    async def publish_as_attacker(self, messages: Sequence[tuple[str, bytes, bool]]) -> None:
        """Publish (topic, payload, retained) past the server's code, as whoever owns the broker can."""
        link = MqttLink(
            LinkSettings(
                host=HOST,
                port=self.ports.server,
                client_id="_attacker",
                authority=self._tls("server-ca.crt"),
                certificate=self._tls("server.crt"),
                key=self._tls("server.key"),
                session_expiry_s=0,
            ),
            _ignore,
        )
        await link.start([])
        for topic, payload, is_retained in messages:
            await link.publish(topic, payload, qos=1, retain=is_retained)
        await link.stop()


async def _ignore(_: object) -> None:
    return


def read_enrolment(path: Path) -> Enrolment:
    """Return what `pawl provision` wrote for the server."""
    values = json.loads(path.read_text())
    return Enrolment(
        device=values["device"],
        vendor=bytes.fromhex(values["vendor"]),
        class_id=bytes.fromhex(values["class"]),
        report_x=base64.b64decode(values["report_key"]["x"]),
        report_y=base64.b64decode(values["report_key"]["y"]),
    )


def short(digest: bytes) -> str:
    """Return the beginning of a digest as people see it."""
    return str(index.b64u(digest))[:8]
