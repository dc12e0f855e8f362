"""The broker of a fleet: the system's mosquitto as a child process, and beside it the one that tells anchors to anybody.

Refuses to be a broker for others: no password, no anonymous client, no listener without mutual TLS. Only the anchor
relay takes strangers, and that is a process of its own (`anchor_relay`). It doesn't restart what dies: `MqttLink`
reconnects to whatever runs at the address, and who supervises is the caller's choice.

    with Broker(settings) as broker:
        ...                                        # every listener takes connections
"""

from pathlib import Path
from types import TracebackType
from typing import Self

from pawl_server.mqtt.anchor_relay import AnchorRelay
from pawl_server.mqtt.broker_config import BrokerSettings, acl_plugin_near, write_configuration
from pawl_server.mqtt.mosquitto import BrokerError, Mosquitto, find_mosquitto, read_version

__all__ = ["Broker", "BrokerError", "find_mosquitto", "read_version"]


class _FleetBroker(Mosquitto):
    """The mosquitto that devices and server meet at."""

    def __init__(self, settings: BrokerSettings) -> None:
        super().__init__(settings.folder, settings.program)
        self._settings = settings

    def addresses(self) -> tuple[tuple[str, int], ...]:
        settings = self._settings
        return (settings.device_address, settings.device_port), ("127.0.0.1", settings.server_port)

    def write_configuration(self, program: str, version: tuple[int, ...]) -> Path:
        return write_configuration(self._settings, version, acl_plugin_near(program))


class Broker:
    """Both processes, or the first alone if no anchor listener is set; a context manager."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.settings = settings
        self._main = _FleetBroker(settings)
        self._children: list[Mosquitto] = [self._main]
        if settings.anchors is not None:
            self._children.append(AnchorRelay(settings, settings.anchors))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Return the process id of the fleet's broker; raises BrokerError if it was not started."""
        return self._main.pid

    @property
    def is_running(self) -> bool:
        """Whether every process was started and is alive."""
        return all(child.is_running for child in self._children)

    @property
    def log_path(self) -> Path:
        """Return where the fleet's broker logs."""
        return self._main.log_path

    def start(self) -> None:
        """Start what doesn't run and wait until every listener answers; raises BrokerError."""
        if self.is_running:
            raise BrokerError(f"the broker already runs as process {self.pid}")
        for child in self._children:
            if not child.is_running:
                child.start()

    def stop(self) -> None:
        """Stop every process so that it saves its state; one that doesn't run is left alone."""
        for child in reversed(self._children):
            child.stop()
