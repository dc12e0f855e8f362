"""Answers to requests with an idempotency key within one transaction."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pawl_server.store import tables

AT_WORK_MAX_S = 60


@dataclass(frozen=True, slots=True)
class New:
    """The key is taken: do what was asked, then say how it was answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InProgress:
    """The key is at work; `request` is the digest of what for."""

    request: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The key was used; `request` is the digest of what for."""

    request: bytes
    status: int
    content: bytes


class AnswerRows:
    """The rows of answers; made by `Transaction.answers`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def begin(self, token: str, key: str, request: bytes, now_s: int) -> New | InProgress | Stored:
        """Take a key, or say what became of it; one that was at work for too long is taken again."""
        column = tables.answers.c
        is_it = (column.token == token) & (column.key == key)
        row = (await self._connection.execute(select(tables.answers).where(is_it))).mappings().first()
        if row is not None and row["status"] is not None:
            return Stored(request=row["request"], status=row["status"], content=row["content"])
        if row is not None and row["at_s"] + AT_WORK_MAX_S > now_s:
            return InProgress(request=row["request"])
        await self._connection.execute(delete(tables.answers).where(is_it))
        values = {"token": token, "key": key, "request": request, "at_s": now_s}
        await self._connection.execute(insert(tables.answers), [values])
        return New()

    async def finish(self, token: str, key: str, request: bytes, status: int, content: bytes) -> None:
        """Keep the answer, unless another request has taken the key meanwhile."""
        change = update(tables.answers).where(_is_at_work(token, key, request))
        await self._connection.execute(change.values(status=status, content=content))

    async def release(self, token: str, key: str, request: bytes) -> None:
        """Free the key: nothing was answered that may be repeated."""
        await self._connection.execute(delete(tables.answers).where(_is_at_work(token, key, request)))


def _is_at_work(token: str, key: str, request: bytes) -> ColumnElement[bool]:
    column = tables.answers.c
    is_it = and_(column.token == token, column.key == key)
    return and_(is_it, column.request == request, column.status.is_(None))
