"""Reads `server.toml`, which `pawl server init` wrote, into one settings object.

Paths in it are relative to its folder. An unknown name is refused: a setting that is misspelt must not be a setting
that is silently not made.

    settings = configuration.load(folder)
"""

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from pawl_server.domain.registration import Registration
from pawl_server.mqtt.broker_config import AnchorListener, BrokerSettings, ListenerTls
from pawl_server.settings import (
    ApiSettings,
    ProgramSettings,
    RetentionSettings,
    ServerSettings,
)

FILE_NAME = "server.toml"
FILE_MAX_BYTES = 64 * 1024


class ConfigurationError(Exception):
    """The file can't be used; the message says which setting, and what is wrong with it."""


def load(folder: Path) -> ProgramSettings:
    """Return the settings of a server's folder."""
    folder = folder.resolve()
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            values = tomllib.loads(file.read(FILE_MAX_BYTES).decode())
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}; `pawl server init` makes it"
        ) from None
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    try:
        return _settings(_Table(values, folder))
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{path}: {error}") from None


class _Table:
    """A table of the file; what nobody asked for in it is an error."""

    def __init__(self, values: dict[str, Any], folder: Path, name: str = "") -> None:
        self._values = values
        self._folder = folder
        self._name = name
        self._asked: set[str] = set()

    def table(self, name: str) -> "_Table":
        return _Table(self._get(name, dict), self._folder, f"{self._name}{name}.")

    def text(self, name: str) -> str:
        return str(self._get(name, str))

    def number(self, name: str) -> int:
        return int(self._get(name, int))

    def path(self, name: str) -> Path:
        return self._folder / self.text(name)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def require_all_known(self) -> None:
        for name in self._values.keys() - self._asked:
            raise ValueError(f"{self._name}{name} is no setting")

    def _get(self, name: str, kind: type) -> Any:
        self._asked.add(name)
        value = self._values.get(name)
        if type(value) is not kind:
            raise ValueError(f"{self._name}{name} must be a {_KINDS[kind]}, not {value!r}")
        return value


_KINDS = {str: "text", int: "whole number", dict: "table"}


def _settings(top: _Table) -> ProgramSettings:
    broker = top.table("broker")
    settings = ProgramSettings(
        server=_server(top, broker),
        broker=_child(broker) if "child" in broker else None,
        api=_api(top.table("api")),
    )
    broker.require_all_known()
    top.require_all_known()
    return settings


def _api(api: _Table) -> ApiSettings:
    is_secure = "certificate" in api or "key" in api
    settings = ApiSettings(
        address=api.text("address"),
        port=api.number("port"),
        certificate=api.path("certificate") if is_secure else None,
        key=api.path("key") if is_secure else None,
    )
    api.require_all_known()
    return settings


# Whole numbers above 0 that may be left out.
_NUMBERS = ("late_after_s", "lease_term_s", "offers_per_s")


def _server(top: _Table, broker: _Table) -> ServerSettings:
    numbers: dict[str, Any] = {name: _positive(top, name) for name in _NUMBERS if name in top}
    return ServerSettings(
        folder=top.path("data"),
        broker_host=broker.text("host"),
        broker_port=broker.number("port"),
        tls_authority=broker.path("authority"),
        tls_certificate=broker.path("certificate"),
        tls_key=broker.path("key"),
        director_key=top.path("director_key"),
        anchor=top.path("trust"),
        next_director_key=top.path("next_director_key") if "next_director_key" in top else None,
        retention=_retention(top.table("retention")) if "retention" in top else RetentionSettings(),
        registration=_registration(top) if "registration" in top else Registration.PRE_REGISTERED,
        **numbers,
    )


def _retention(table: _Table) -> RetentionSettings:
    names = [field.name for field in fields(RetentionSettings)]
    settings = RetentionSettings(**{name: table.number(name) for name in names if name in table})
    table.require_all_known()
    return settings


def _positive(table: _Table, name: str) -> int:
    number = table.number(name)
    if number <= 0:
        raise ValueError(f"{name} must be above 0, not {number}")
    return number


def _registration(table: _Table) -> Registration:
    text = table.text("registration")
    if text not in set(Registration):
        raise ValueError(
            f"registration must be {' or '.join(f'`{one}`' for one in Registration)}, not {text!r}"
        )
    return Registration(text)


def _child(broker: _Table) -> BrokerSettings:
    child = broker.table("child")
    settings = BrokerSettings(
        folder=child.path("folder"),
        device_address=child.text("device_address"),
        device_port=child.number("device_port"),
        server_port=broker.number("port"),
        device_tls=_listener(child, "device", child.path("device_authority")),
        server_tls=_listener(child, "server", broker.path("authority")),
        anchors=_anchors(child, broker) if "anchor_port" in child else None,
    )
    child.require_all_known()
    return settings


def _anchors(child: _Table, broker: _Table) -> AnchorListener:
    link = ListenerTls(
        client_authority=broker.path("authority"),
        certificate=broker.path("certificate"),
        key=broker.path("key"),
    )
    return AnchorListener(port=child.number("anchor_port"), link=link)


def _listener(child: _Table, side: str, authority: Path) -> ListenerTls:
    return ListenerTls(
        client_authority=authority,
        certificate=child.path(f"{side}_certificate"),
        key=child.path(f"{side}_key"),
    )
