"""Rollouts with phases, groups by filter, workers and leases, tags, history, kept events and answers.

Columns are added where that is enough. The other tables are renamed, made anew, copied, and dropped, those first that refer
to others: so no reference is ever broken, and the checks of the database stay on.
"""

import json
import time
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002_rollout_engine"
down_revision = "0001_baseline"


def upgrade() -> None:
    """Turn version 2 into the tables of the rollout engine, with what it holds."""
    _take_over_fence()
    _make_of_devices()
    _make_told()
    _extend()
    _extend_group_members()
    _turn_rollouts()
    op.drop_table("schema")


def _take_over_fence() -> None:
    op.create_table(
        "workers",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("seen_at_s", sa.Integer, nullable=False),
    )
    _run("INSERT INTO workers SELECT 'main', number, :now_s FROM fence", now_s=_now_s())
    op.drop_table("fence")
    op.create_table(
        "leases",
        sa.Column("work", sa.String, primary_key=True),
        sa.Column("worker", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("until_s", sa.Integer, nullable=False),
    )


def _make_of_devices() -> None:
    op.create_table(
        "device_tags",
        sa.Column("device", sa.String, sa.ForeignKey("devices.id"), primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
        sa.Index("device_tags_by_value", "key", "value", "device"),
    )
    op.create_table(
        "candidates",
        sa.Column("device", sa.String, primary_key=True),
        sa.Column("vendor", sa.LargeBinary, nullable=False),
        sa.Column("class_id", sa.LargeBinary, nullable=False),
        sa.Column("first_seen_s", sa.Integer, nullable=False),
        sa.Column("last_seen_s", sa.Integer, nullable=False),
    )
    op.create_table(
        "history",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("device", sa.String, sa.ForeignKey("devices.id"), nullable=False),
        sa.Column("at_s", sa.Integer, nullable=False),
        sa.Column("release", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Index("history_by_device", "device", "id"),
        sqlite_autoincrement=True,
    )


def _make_told() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at_s", sa.Integer, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("device", sa.String),
        sa.Column("rollout", sa.Integer),
        sa.Column("content", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "answers",
        sa.Column("token", sa.String, primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("at_s", sa.Integer, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("content", sa.LargeBinary),
    )


def _extend() -> None:
    for column in (
        sa.Column("timezone", sa.String, nullable=False, server_default="UTC"),
        sa.Column("confirmed_version_key", sa.LargeBinary),
        sa.Column("confirmed_version", sa.String),
        sa.Column("former_nonce", sa.LargeBinary),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("attention_at_s", sa.Integer),
        sa.Column("attention_reason", sa.String),
        sa.Column("agent", sa.String),
    ):
        op.add_column("devices", column)
    # When a release was published is forgotten at every reconnect: the broker may have any of those that were imported.
    op.add_column("releases", sa.Column("is_retained", sa.Boolean, nullable=False, server_default=sa.true()))
    # Not known here: importing such a release again says it.
    op.add_column("releases", sa.Column("is_recovery", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("groups", sa.Column("filter", sa.String))
    op.create_index("assignments_by_release", "assignments", ["release", "state"])
    _extend_reports()


def _extend_reports() -> None:
    """Take those that came after the newest offer for answers to it: such a report must never be taken twice."""
    op.add_column("reports", sa.Column("accepted_number", sa.Integer))
    _run(
        "UPDATE reports SET accepted_number = (SELECT d.next_number - 1 FROM devices d"
        " WHERE d.id = reports.device AND d.offered_at_s <= reports.received_at_s)"
    )


def _extend_group_members() -> None:
    op.rename_table("group_members", "old_group_members")
    op.create_table(
        "group_members",
        sa.Column("group", sa.String, sa.ForeignKey("groups.name"), primary_key=True),
        sa.Column("device", sa.String, sa.ForeignKey("devices.id"), primary_key=True),
        sa.Column("kind", sa.String, primary_key=True),
    )
    _run("""INSERT INTO group_members SELECT "group", device, 'member' FROM old_group_members""")
    op.drop_table("old_group_members")


def _turn_rollouts() -> None:
    op.rename_table("rollouts", "old_rollouts")
    op.rename_table("rollout_members", "old_rollout_members")
    _make_rollouts()
    _copy_rollouts()
    _copy_phases()
    _copy_members()
    for name in ("old_rollout_members", "rollout_groups", "old_rollouts"):
        op.drop_table(name)


def _make_rollouts() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, unique=True, nullable=False),
        sa.Column("release", sa.LargeBinary, sa.ForeignKey("releases.digest"), nullable=False),
        sa.Column("recovery", sa.LargeBinary, sa.ForeignKey("releases.digest")),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("created_at_s", sa.Integer, nullable=False),
        sa.Column("changed_at_s", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "rollout_phases",
        sa.Column("rollout", sa.Integer, sa.ForeignKey("rollouts.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("began_at_s", sa.Integer),
        sa.Column("passed_at_s", sa.Integer),
        sa.Column("forgiven", sa.Integer, nullable=False),
    )
    op.create_table(
        "rollout_members",
        sa.Column("rollout", sa.Integer, sa.ForeignKey("rollouts.id"), primary_key=True),
        sa.Column("device", sa.String, sa.ForeignKey("devices.id"), primary_key=True),
        sa.Column("phase", sa.Integer, nullable=False),
        sa.Column("is_asked", sa.Boolean, nullable=False),
        sa.Column("asked_at_s", sa.Integer),
        sa.Column("awaited_since_s", sa.Integer),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("not_before_s", sa.Integer, nullable=False),
        sa.Column("is_final", sa.Boolean, nullable=False),
        sa.Column("is_recovering", sa.Boolean, nullable=False),
        sa.Index("rollout_members_by_device", "device"),
        sa.Index("rollout_members_by_asked", "asked_at_s"),
    )


def _copy_rollouts() -> None:
    """Write plans that do what these rollouts did: a group after the other, and one failure stops them."""
    connection = op.get_bind()
    groups: dict[int, list[str]] = {}
    for row in connection.execute(
        sa.text("SELECT rollout, name FROM rollout_groups ORDER BY rollout, position")
    ):
        groups.setdefault(row.rollout, []).append(row.name)
    for row in connection.execute(sa.text("SELECT id, release FROM old_rollouts")).all():
        _run(
            "INSERT INTO rollouts (id, name, release, plan, state, reason, created_at_s, changed_at_s)"
            " SELECT id, name, release, :plan, CASE state WHEN 'failed' THEN 'cancelled' ELSE state END,"
            " reason, created_at_s, changed_at_s FROM old_rollouts WHERE id = :id",
            id=row.id,
            plan=json.dumps(_plan(row.release, groups.get(row.id, []))),
        )


def _plan(release: bytes, groups: list[str]) -> dict[str, Any]:
    return {
        "release": release.hex(),
        "groups": groups,
        "phases": [_phase(name) for name in groups],
        "recovery": None,
        "silence_s": 86400,
        "tries_max": 3,
        "stays_open": False,
        "needs_approval": False,
    }


def _phase(group: str) -> dict[str, Any]:
    return {
        "kind": "group",
        "group": group,
        "size": 0,
        "success_percent": 100,
        "failure_count": 1,
        "failure_percent": None,
        "soak_s": 0,
        "concurrency": None,
        "starts_at_s": None,
        "windows": [],
    }


def _copy_phases() -> None:
    """A group has begun if it, or one after it, was asked, and is passed if one after it was; all are, of one that is done."""
    _run(
        "INSERT INTO rollout_phases"
        " SELECT g.rollout, g.position,"
        "  CASE WHEN r.state = 'done' OR g.position <= r.asked THEN r.created_at_s END,"
        "  CASE WHEN r.state = 'done' OR g.position < r.asked THEN r.changed_at_s END, 0"
        " FROM rollout_groups g JOIN (SELECT o.*, (SELECT coalesce(max(m.position), -1) FROM old_rollout_members m"
        "  WHERE m.rollout = o.id AND m.is_asked) AS asked FROM old_rollouts o) r ON r.id = g.rollout"
    )


def _copy_members() -> None:
    """Silence of those who were asked counts from now on; a failure was final, until somebody resumed the rollout."""
    _run(
        "INSERT INTO rollout_members (rollout, device, phase, is_asked, asked_at_s, tries, not_before_s, is_final, is_recovering)"
        " SELECT m.rollout, m.device, m.position, m.is_asked,"
        " CASE WHEN NOT m.is_asked THEN NULL WHEN r.state IN ('running', 'paused')"
        " AND a.state IN ('assigned', 'offered', 'held') THEN :now_s ELSE r.changed_at_s END,"
        " CASE WHEN m.is_asked THEN 1 ELSE 0 END, 0,"
        " m.is_asked AND coalesce(a.state = 'failed', :no), :no"
        " FROM old_rollout_members m JOIN old_rollouts r ON r.id = m.rollout"
        " LEFT JOIN assignments a ON a.device = m.device AND a.release = r.release",
        now_s=_now_s(),
        no=False,
    )
    _run("UPDATE rollout_members SET awaited_since_s = asked_at_s")


def _run(statement: str, **values: Any) -> None:
    op.get_bind().execute(sa.text(statement), values)


def _now_s() -> int:
    return int(time.time())
