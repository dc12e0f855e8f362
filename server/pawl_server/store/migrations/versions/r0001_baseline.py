"""The tables of schema version 2, the last one without migrations: a new database begins with them, too."""

import sqlalchemy as sa
from alembic import op

revision = "0001_baseline"
down_revision = None


def upgrade() -> None:
    """Make the tables, those first that others refer to."""
    _make_alone()
    _make_devices()
    _make_of_devices()
    _make_outbox()
    _make_group_members()
    _make_rollouts()


def _make_alone() -> None:
    op.create_table("schema", sa.Column("version", sa.Integer, primary_key=True))
    op.create_table("fence", sa.Column("number", sa.Integer, primary_key=True))
    op.create_table(
        "anchors",
        sa.Column("version", sa.LargeBinary, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("file", sa.LargeBinary, nullable=False),
        sa.Column("imported_at_s", sa.Integer, nullable=False),
    )
    op.create_table(
        "releases",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("sequence", sa.LargeBinary, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("index_digest", sa.LargeBinary, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("imported_at_s", sa.Integer, nullable=False),
        sa.Column("published_at_s", sa.Integer),
    )
    op.create_table(
        "refusals",
        sa.Column("device", sa.String, primary_key=True),
        sa.Column("where", sa.String, primary_key=True),
        sa.Column("reason", sa.String, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
    )
    op.create_table("groups", sa.Column("name", sa.String, primary_key=True))
    op.create_table(
        "tokens",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("digest", sa.LargeBinary, unique=True, nullable=False),
        sa.Column("created_at_s", sa.Integer, nullable=False),
    )


def _make_devices() -> None:
    op.create_table(
        "devices",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("vendor", sa.LargeBinary, nullable=False),
        sa.Column("class_id", sa.LargeBinary, nullable=False),
        sa.Column("report_x", sa.LargeBinary, nullable=False),
        sa.Column("report_y", sa.LargeBinary, nullable=False),
        sa.Column("assigned", sa.LargeBinary, sa.ForeignKey("releases.digest")),
        sa.Column("nonce", sa.LargeBinary),
        sa.Column("first_number", sa.Integer, nullable=False),
        sa.Column("next_number", sa.Integer, nullable=False),
        sa.Column("boots", sa.LargeBinary),
        sa.Column("running", sa.Integer),
        sa.Column("ratchet_sequence", sa.LargeBinary),
        sa.Column("ratchet_digest", sa.LargeBinary),
        sa.Column("last_report_boots", sa.LargeBinary),
        sa.Column("last_report_number", sa.LargeBinary),
        sa.Column("last_seen_s", sa.Integer),
        sa.Column("enrolled_at_s", sa.Integer),
        sa.Column("fresh_at_s", sa.Integer),
        sa.Column("nonce_at_s", sa.Integer),
        sa.Column("offered_at_s", sa.Integer),
        sa.Column("is_late", sa.Boolean, nullable=False),
        sa.Column("flagged_at_s", sa.Integer),
        sa.Column("flagged_reason", sa.String),
        sa.Column("hello", sa.LargeBinary),
        sa.Column("log", sa.LargeBinary),
    )


def _make_of_devices() -> None:
    op.create_table(
        "assignments",
        sa.Column("device", sa.String, sa.ForeignKey("devices.id"), primary_key=True),
        sa.Column("release", sa.LargeBinary, sa.ForeignKey("releases.digest"), primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("reason", sa.LargeBinary, nullable=False),
        sa.Column("offer_nonce", sa.LargeBinary),
        sa.Column("offer_number", sa.Integer),
        sa.Column("offer_boots", sa.LargeBinary),
    )
    op.create_table(
        "reports",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("device", sa.String, sa.ForeignKey("devices.id"), nullable=False),
        sa.Column("boots", sa.LargeBinary, nullable=False),
        sa.Column("number", sa.LargeBinary, nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
        sa.Column("reason", sa.LargeBinary, nullable=False),
        sa.Column("release", sa.LargeBinary),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("received_at_s", sa.Integer, nullable=False),
        sa.UniqueConstraint("device", "digest"),
    )


def _make_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("topic", sa.String, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("qos", sa.Integer, nullable=False),
        sa.Column("is_retained", sa.Boolean, nullable=False),
        sa.Column("created_at_s", sa.Integer, nullable=False),
        sa.Column("device", sa.String, unique=True),
        sa.ForeignKeyConstraint(["device"], ["devices.id"]),
        sqlite_autoincrement=True,
    )


def _make_group_members() -> None:
    op.create_table(
        "group_members",
        sa.Column("group", sa.String, sa.ForeignKey("groups.name"), primary_key=True),
        sa.Column("device", sa.String, sa.ForeignKey("devices.id"), primary_key=True),
    )


def _make_rollouts() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, unique=True, nullable=False),
        sa.Column("release", sa.LargeBinary, sa.ForeignKey("releases.digest"), nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("created_at_s", sa.Integer, nullable=False),
        sa.Column("changed_at_s", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "rollout_groups",
        sa.Column("rollout", sa.Integer, sa.ForeignKey("rollouts.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
    )
    op.create_table(
        "rollout_members",
        sa.Column("rollout", sa.Integer, sa.ForeignKey("rollouts.id"), primary_key=True),
        sa.Column("device", sa.String, sa.ForeignKey("devices.id"), primary_key=True, index=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("is_asked", sa.Boolean, nullable=False),
    )
