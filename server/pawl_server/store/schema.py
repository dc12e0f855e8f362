"""Which tables a database has: made in a new one, and refused in one of another version."""

from sqlalchemy import Connection, insert, inspect, select

from pawl_server.store import tables

SCHEMA_VERSION = 2


class SchemaError(Exception):
    """The database is of another version of the server; nothing in it was changed."""


def prepare(connection: Connection) -> None:
    """Make the tables of an empty database, or refuse one that has others."""
    names = inspect(connection).get_table_names()
    if not names:
        tables.metadata.create_all(connection)
        connection.execute(insert(tables.schema).values(version=SCHEMA_VERSION))
        return
    found = _version(connection) if tables.schema.name in names else 1
    if found != SCHEMA_VERSION:
        raise SchemaError(
            f"the database has tables of version {found}, this server needs version {SCHEMA_VERSION} and can't convert "
            "them: use the server that made it, or make a new folder with `pawl server init` and enroll and import again"
        )


def _version(connection: Connection) -> int:
    return int(connection.execute(select(tables.schema.c.version)).scalar_one())
