"""The settings of the fleet server and of the program around it, made where it starts and passed down."""

import re
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path

from pawl_server.domain.registration import Registration
from pawl_server.mqtt.broker_config import BrokerSettings
from pawl_server.store import MAIN_WORKER

DATABASE_NAME = "pawl.sqlite"
RELEASES_NAME = "releases"
CHECK_IN_PERIOD_S = 3600
# How many devices are asked in a second, over all rollouts.
OFFERS_PER_S = 50
# A device that proved nothing for this long is shown as late.
LATE_AFTER_S = 3 * CHECK_IN_PERIOD_S
RETENTION_MAX = 2**31 - 1
# How long the works of a worker that died wait for another one, at most.
LEASE_TERM_S = 10
LEASE_TERM_MIN_S = 3
WORKER_NAME = re.compile("[a-z][a-z0-9-]{0,31}")
DISAGREEMENTS_NAME = "disagreements"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """How much is kept of what would grow for ever; of rows by device or in all the newest ones, else by age."""

    history_rows_per_device: int = 200
    reports_per_device: int = 200
    events_kept: int = 100_000
    answers_kept_s: int = 86400
    candidates_kept_s: int = 30 * 86400
    pass_s: int = 3600

    def __post_init__(self) -> None:
        """Refuse to keep nothing, and more than a database counts."""
        for name in [one.name for one in fields(self)]:
            if not 0 < getattr(self, name) <= RETENTION_MAX:
                raise ValueError(f"{name} must be 1 to {RETENTION_MAX}, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishLimits:
    """How releases are put on the broker, so many messages at a time, and how long they stay there unneeded.

    `grace_s`: one that was published stays for so long though nothing asks for it yet. `settle_s`: a broker that is killed
    comes back as it saved itself last; after this time, what was withdrawn is gone for sure.
    """

    window: int = 64
    grace_s: int = 600
    settle_s: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the server keeps things, which broker it talks to, and its limits; files are PEM.

    `anchor` is the first trust anchor document of the chain; the others are imported. `next_director_key` is the key that a
    later anchor names in place of the first.
    """

    folder: Path
    broker_host: str
    broker_port: int
    tls_authority: Path
    tls_certificate: Path
    tls_key: Path
    director_key: Path
    anchor: Path
    next_director_key: Path | None = None
    late_after_s: int = LATE_AFTER_S
    registration: Registration = Registration.PRE_REGISTERED
    worker: str = MAIN_WORKER
    lease_term_s: int = LEASE_TERM_S
    # Of each ingest slice: so many messages at a time are with the server, unacknowledged.
    slice_receive_max: int = 125
    bundle_max_bytes: int = 64 * 1024 * 1024
    publishing: PublishLimits = PublishLimits()
    start_timeout_s: float = 20.0
    outbox_retry_s: float = 1.0
    reconcile_pass_s: float = 2.0
    offers_per_s: float = OFFERS_PER_S
    watch_pass_s: float = 60.0
    watcher_queue_max: int = 10_000
    retention: RetentionSettings = field(default_factory=RetentionSettings)

    def __post_init__(self) -> None:
        """Refuse a name that a file or a client id can't have, and a term that can't be kept."""
        if not WORKER_NAME.fullmatch(self.worker):
            raise ValueError(
                f"a worker's name is a letter and then letters, digits and -, 32 at most, not {self.worker!r}"
            )
        if self.lease_term_s < LEASE_TERM_MIN_S:
            raise ValueError(f"lease_term_s must be {LEASE_TERM_MIN_S} at least, not {self.lease_term_s}")

    @property
    def database(self) -> Path:
        """The file of the database."""
        return self.folder / DATABASE_NAME

    @property
    def releases(self) -> Path:
        """The folder of imported bundles."""
        return self.folder / RELEASES_NAME

    @property
    def disagreements(self) -> Path:
        """The folder of cases about which the judges of releases differ."""
        return self.folder / DISAGREEMENTS_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Where the HTTP interface listens; beyond this machine, only with a certificate of its own."""

    address: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        """Refuse to send tokens over a network in the clear."""
        if not 0 < self.port < 65536:
            raise ValueError(f"api.port {self.port} is no port")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("api.certificate and api.key belong together")
        if self.certificate is None and not ip_address(self.address).is_loopback:
            raise ValueError(
                f"api.address {self.address} is not this machine: set api.certificate and api.key"
            )

    @property
    def url(self) -> str:
        """Where clients find it."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSettings:
    """Everything that `pawl server run` goes by; `broker` is None if somebody else runs it."""

    server: ServerSettings
    api: ApiSettings
    broker: BrokerSettings | None
