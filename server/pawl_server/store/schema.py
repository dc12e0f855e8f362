"""Which tables a database has: made in a new one, and refused in one of another version."""

from sqlalchemy import Connection, inspect

from pawl_server.store import tables


class SchemaError(Exception):
    """The database is of another version of the server; nothing in it was changed."""


def prepare(connection: Connection) -> None:
    """Make the tables of an empty database, or refuse one that has others."""
    names = set(inspect(connection).get_table_names())
    if not names:
        tables.metadata.create_all(connection)
    elif names != set(tables.metadata.tables):
        raise SchemaError("the database has tables of another version")
