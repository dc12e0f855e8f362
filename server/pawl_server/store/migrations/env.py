"""What Alembic runs around the migrations: they work on the connection that is handed over, in its transaction.

Nothing is committed here: `Store.open` does, when all of them are done.
"""

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext

from pawl_server.store import tables


def _drafted(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write the type of a drafted column as what the database has: a migration imports nothing of today's tables."""
    if kind == "type" and isinstance(item, tables.Uint64):
        return "sa.LargeBinary()"
    return False


connection: sa.Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=tables.metadata, render_item=_drafted)
context.run_migrations()
