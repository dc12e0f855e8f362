"""The tables. Digests and identifiers are bytes, times are seconds since 1970, states are stored by value."""

from sqlalchemy import (
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

_UINT64_BYTES = 8


class Uint64(TypeDecorator[int]):
    """The wire's 64-bit numbers as 8 bytes: databases' integers are signed, and bytes sort the same way."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: int | None, _dialect: Dialect) -> bytes | None:
        """Return the number as the database keeps it."""
        return None if value is None else value.to_bytes(_UINT64_BYTES)

    def process_result_value(self, value: bytes | None, _dialect: Dialect) -> int | None:
        """Return the number."""
        return None if value is None else int.from_bytes(value)


metadata = MetaData()

# One row: which tables these are.
schema = Table("schema", metadata, Column("version", Integer, primary_key=True))

# One row: the number of the newest process that may write; docs/architecture.md, Server.
fence = Table("fence", metadata, Column("number", Integer, primary_key=True))

# The chain of trust anchor documents, as they were signed; the first is the configured one.
anchors = Table(
    "anchors",
    metadata,
    Column("version", Uint64, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("file", LargeBinary, nullable=False),
    Column("imported_at_s", Integer, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("sequence", Uint64, nullable=False),
    Column("version", String, nullable=False),
    Column("index_digest", LargeBinary, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("imported_at_s", Integer, nullable=False),
    Column("published_at_s", Integer),
)

devices = Table(
    "devices",
    metadata,
    Column("id", String, primary_key=True),
    Column("partition", Integer, nullable=False),
    Column("vendor", LargeBinary, nullable=False),
    Column("class_id", LargeBinary, nullable=False),
    Column("report_x", LargeBinary, nullable=False),
    Column("report_y", LargeBinary, nullable=False),
    Column("assigned", LargeBinary, ForeignKey("releases.digest")),
    Column("nonce", LargeBinary),
    Column("first_number", Integer, nullable=False),
    Column("next_number", Integer, nullable=False),
    Column("boots", Uint64),
    Column("running", Integer),
    Column("ratchet_sequence", Uint64),
    Column("ratchet_digest", LargeBinary),
    Column("last_report_boots", Uint64),
    Column("last_report_number", Uint64),
    Column("last_seen_s", Integer),
    Column("enrolled_at_s", Integer),
    Column("fresh_at_s", Integer),
    Column("nonce_at_s", Integer),
    Column("offered_at_s", Integer),
    Column("is_late", Boolean, nullable=False),
    Column("flagged_at_s", Integer),
    Column("flagged_reason", String),
    Column("hello", LargeBinary),
    Column("log", LargeBinary),
)

assignments = Table(
    "assignments",
    metadata,
    Column("device", String, ForeignKey("devices.id"), primary_key=True),
    Column("release", LargeBinary, ForeignKey("releases.digest"), primary_key=True),
    Column("state", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("reason", Uint64, nullable=False),
    Column("offer_nonce", LargeBinary),
    Column("offer_number", Integer),
    Column("offer_boots", Uint64),
)

reports = Table(
    "reports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device", String, ForeignKey("devices.id"), nullable=False),
    Column("boots", Uint64, nullable=False),
    Column("number", Uint64, nullable=False),
    Column("event", Uint64, nullable=False),
    Column("reason", Uint64, nullable=False),
    Column("release", LargeBinary),
    Column("digest", LargeBinary, nullable=False),
    Column("received_at_s", Integer, nullable=False),
    # Not by boot count and number: after a restored flash, these come twice.
    UniqueConstraint("device", "digest"),
)

# No foreign key: what nobody enrolled sends is counted too, under an empty name.
refusals = Table(
    "refusals",
    metadata,
    Column("device", String, primary_key=True),
    Column("where", String, primary_key=True),
    Column("reason", String, primary_key=True),
    Column("count", Integer, nullable=False),
)

# A row is deleted when the broker has it. An id is never used again: a newer offer must not be taken for an older one.
outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("topic", String, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("qos", Integer, nullable=False),
    Column("is_retained", Boolean, nullable=False),
    Column("created_at_s", Integer, nullable=False),
    Column("device", String, unique=True),
    ForeignKeyConstraint(["device"], ["devices.id"]),
    sqlite_autoincrement=True,
)

groups = Table("groups", metadata, Column("name", String, primary_key=True))

group_members = Table(
    "group_members",
    metadata,
    Column("group", String, ForeignKey("groups.name"), primary_key=True),
    Column("device", String, ForeignKey("devices.id"), primary_key=True),
)

# Ids are never used again: a command for a rollout must not reach another one.
rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, unique=True, nullable=False),
    Column("release", LargeBinary, ForeignKey("releases.digest"), nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("created_at_s", Integer, nullable=False),
    Column("changed_at_s", Integer, nullable=False),
    sqlite_autoincrement=True,
)

rollout_groups = Table(
    "rollout_groups",
    metadata,
    Column("rollout", Integer, ForeignKey("rollouts.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", String, nullable=False),
)

# Who was in the groups when the rollout was created. `is_asked`: its assignment speaks of this rollout.
rollout_members = Table(
    "rollout_members",
    metadata,
    Column("rollout", Integer, ForeignKey("rollouts.id"), primary_key=True),
    Column("device", String, ForeignKey("devices.id"), primary_key=True, index=True),
    Column("position", Integer, nullable=False),
    Column("is_asked", Boolean, nullable=False),
)

# The SHA-256 of a token: who reads the database can't use it.
tokens = Table(
    "tokens",
    metadata,
    Column("name", String, primary_key=True),
    Column("digest", LargeBinary, unique=True, nullable=False),
    Column("created_at_s", Integer, nullable=False),
)
