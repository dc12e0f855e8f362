"""The one settings object of the fleet server, made where the program starts and passed down."""

from dataclasses import dataclass
from pathlib import Path

DATABASE_NAME = "pawl.sqlite"
RELEASES_NAME = "releases"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the server keeps things, which broker it talks to, and its limits; files but the last are PEM."""

    folder: Path
    broker_host: str
    broker_port: int
    tls_authority: Path
    tls_certificate: Path
    tls_key: Path
    director_key: Path
    anchor: Path
    client_id: str = "ingest"
    bundle_max_bytes: int = 64 * 1024 * 1024
    publish_window: int = 64
    start_timeout_s: float = 20.0
    outbox_retry_s: float = 1.0
    reconcile_pass_s: float = 2.0
    watcher_queue_max: int = 10_000

    @property
    def database(self) -> Path:
        """The file of the database."""
        return self.folder / DATABASE_NAME

    @property
    def releases(self) -> Path:
        """The folder of imported bundles."""
        return self.folder / RELEASES_NAME
