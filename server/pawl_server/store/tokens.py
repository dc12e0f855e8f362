"""Digests of access tokens within one transaction."""

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.store import tables


class TokenRows:
    """The rows of tokens; made by `Transaction.tokens`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, name: str, digest: bytes, now_s: int) -> bool:
        """Add the digest of a new token; return False if the name is taken."""
        column = tables.tokens.c
        if (await self._connection.scalars(select(column.name).where(column.name == name))).first():
            return False
        row = {"name": name, "digest": digest, "created_at_s": now_s}
        await self._connection.execute(insert(tables.tokens), [row])
        return True

    async def name_of(self, digest: bytes) -> str | None:
        """Return whose token has this digest."""
        query = select(tables.tokens.c.name).where(tables.tokens.c.digest == digest)
        return (await self._connection.scalars(query)).first()
