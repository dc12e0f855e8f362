"""The tables. Digests and identifiers are bytes, times are seconds since 1970, states are stored by value."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
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

# The newest process of each name: one with an older number was replaced; docs/architecture.md, Server.
workers = Table(
    "workers",
    metadata,
    Column("name", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("seen_at_s", Integer, nullable=False),
)

# Who does which work. `number` rises whenever a lease changes hands; one that is over is anybody's.
leases = Table(
    "leases",
    metadata,
    Column("work", String, primary_key=True),
    Column("worker", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("until_s", Integer, nullable=False),
)

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
    # The broker may have some of it: set before the first byte goes there, taken back after the last was withdrawn.
    Column("is_retained", Boolean, nullable=False),
    # Declares what it recovers from; such a release is for that purpose alone.
    Column("is_recovery", Boolean, nullable=False),
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
    # What operators say of it; an IANA name.
    Column("timezone", String, nullable=False),
    # What its newest signed report says that it confirmed: bytes that sort as versions do, and as people write them.
    Column("confirmed_version_key", LargeBinary),
    Column("confirmed_version", String),
    # The nonce before the open one, or the open one if it came back after another: domain/clones.py.
    Column("former_nonce", LargeBinary),
    # Final failures in a row, over rollouts; from QUARANTINE_FAILURES on, no rollout takes it.
    Column("failures", Integer, nullable=False),
    # Why people have to look at it, until they did or it succeeded.
    Column("attention_at_s", Integer),
    Column("attention_reason", String),
    Column("agent", String),
)

device_tags = Table(
    "device_tags",
    metadata,
    Column("device", String, ForeignKey("devices.id"), primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
    Index("device_tags_by_value", "key", "value", "device"),
)

# Devices that said hello and aren't enrolled: nothing is believed of them but that they are there.
candidates = Table(
    "candidates",
    metadata,
    Column("device", String, primary_key=True),
    Column("vendor", LargeBinary, nullable=False),
    Column("class_id", LargeBinary, nullable=False),
    Column("first_seen_s", Integer, nullable=False),
    Column("last_seen_s", Integer, nullable=False),
)

# Every state that an assignment of a device came into, the newest last; pruned, so nothing may depend on it.
history = Table(
    "history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("device", String, ForeignKey("devices.id"), nullable=False),
    Column("at_s", Integer, nullable=False),
    Column("release", LargeBinary, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Index("history_by_device", "device", "id"),
    sqlite_autoincrement=True,
)

# What happened, in the order of the transactions; pruned. An id is never used again: a stream is resumed by it.
events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at_s", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("device", String),
    Column("rollout", Integer),
    Column("content", JSON, nullable=False),
    sqlite_autoincrement=True,
)

# What was answered to a request with an Idempotency-Key, by whose token it came; `status` is empty while it is at work.
answers = Table(
    "answers",
    metadata,
    Column("token", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("request", LargeBinary, nullable=False),
    Column("at_s", Integer, nullable=False),
    Column("status", Integer),
    Column("content", LargeBinary),
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
    Index("assignments_by_release", "release", "state"),
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
    # Of the offer that its sender had accepted: none that is issued has the number of an earlier one.
    Column("accepted_number", Integer),
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

# A group with a filter has the devices that match it; one without has those that are named.
groups = Table(
    "groups", metadata, Column("name", String, primary_key=True), Column("filter", String, nullable=True)
)

# `kind`: a member of a static group; a device that is pinned to a group, or excluded from it, whatever else is said.
group_members = Table(
    "group_members",
    metadata,
    Column("group", String, ForeignKey("groups.name"), primary_key=True),
    Column("device", String, ForeignKey("devices.id"), primary_key=True),
    Column("kind", String, primary_key=True),
)

# `plan` is domain.plan.Plan as JSON; what is looked for or joined has a column of its own.
# Ids are never used again: a command for a rollout must not reach another one.
rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, unique=True, nullable=False),
    Column("release", LargeBinary, ForeignKey("releases.digest"), nullable=False),
    Column("recovery", LargeBinary, ForeignKey("releases.digest")),
    Column("plan", JSON, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("created_at_s", Integer, nullable=False),
    Column("changed_at_s", Integer, nullable=False),
    sqlite_autoincrement=True,
)

rollout_phases = Table(
    "rollout_phases",
    metadata,
    Column("rollout", Integer, ForeignKey("rollouts.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("began_at_s", Integer),
    Column("passed_at_s", Integer),
    Column("forgiven", Integer, nullable=False),
)

# `is_asked`: its assignment speaks of this rollout. `is_final`: its failure was judged, and isn't tried again by itself.
# `awaited_since_s`: from when on its silence counts; `asked_at_s` is newer if a window closed and opened again meanwhile.
# `is_recovering`: its assignment is that of the recovery release. `tries`: how often it was asked since people last did.
rollout_members = Table(
    "rollout_members",
    metadata,
    Column("rollout", Integer, ForeignKey("rollouts.id"), primary_key=True),
    Column("device", String, ForeignKey("devices.id"), primary_key=True),
    Column("phase", Integer, nullable=False),
    Column("is_asked", Boolean, nullable=False),
    Column("asked_at_s", Integer),
    Column("awaited_since_s", Integer),
    Column("tries", Integer, nullable=False),
    Column("not_before_s", Integer, nullable=False),
    Column("is_final", Boolean, nullable=False),
    Column("is_recovering", Boolean, nullable=False),
    Index("rollout_members_by_device", "device"),
    Index("rollout_members_by_asked", "asked_at_s"),
)

# The SHA-256 of a token: who reads the database can't use it.
tokens = Table(
    "tokens",
    metadata,
    Column("name", String, primary_key=True),
    Column("digest", LargeBinary, unique=True, nullable=False),
    Column("created_at_s", Integer, nullable=False),
)
