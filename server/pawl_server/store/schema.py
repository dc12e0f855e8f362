"""Which tables a database has: made in an empty one, brought up to date in an older one, refused in any other.

All in the transaction that is given: a migration that fails, or a process that is killed, leaves the old database.
"""

from sqlalchemy import Connection, inspect, text

# The newest migration. `migrating` knows it, too, but takes long to import: a server that starts has nothing to migrate.
HEAD = "0002_rollout_engine"
_ADOPTED_VERSION = 2
_VERSION_TABLE, _REVISION_TABLE = "schema", "alembic_version"


class SchemaError(Exception):
    """The database is of another version of the server; nothing in it was changed."""


def prepare(connection: Connection) -> None:
    """Bring a database to the tables of this server; SchemaError if there is no way."""
    names = set(inspect(connection).get_table_names())
    revision = _revision(connection) if _REVISION_TABLE in names else None
    if revision == HEAD:
        return
    from pawl_server.store import migrating  # noqa: PLC0415  # see HEAD

    if revision is not None:
        _require_known(revision, migrating.known())
    elif names:
        _require_adopted(_version(connection) if _VERSION_TABLE in names else 1)
        migrating.adopt(connection)
    migrating.upgrade(connection)


def _revision(connection: Connection) -> str:
    found = connection.execute(text(f"SELECT version_num FROM {_REVISION_TABLE}")).scalars().all()  # noqa: S608  # a constant
    return str(found[0]) if len(found) == 1 else f"{len(found)} revisions"


def _version(connection: Connection) -> int:
    found = connection.execute(text(f"SELECT version FROM {_VERSION_TABLE}")).scalars().all()  # noqa: S608  # a constant
    return int(found[0]) if len(found) == 1 else 0


def _require_known(revision: str, known: list[str]) -> None:
    if revision not in known:
        raise SchemaError(
            f"the database is at revision {revision}, this server knows {known[0]} and those before it: "
            "use the newer server that migrated it, or restore the copy of the database from before that"
        )


def _require_adopted(version: int) -> None:
    if version != _ADOPTED_VERSION:
        raise SchemaError(
            f"the database has tables of version {version}, this server can migrate version {_ADOPTED_VERSION} only: use the "
            "server that made it, or make a new folder with `pawl server init` and enroll and import again"
        )
