"""What every request passes before anything of it is parsed: a token that is known, a body that is bounded."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pawl_server.api.problems import problem_of_status

JSON_MAX_BYTES = 1024 * 1024  # a group of 10 000 devices with ids of 63 characters has 0.7 MB
# In the scope's state: whose token it is.
OWNER = "owner"
OPEN_PATHS = frozenset({"/openapi.json", "/v1/health"})

WhoHas = Callable[[str], Awaitable[str | None]]


class Gate:
    """Lets requests in; `who_has` names the owner of a token, `limits` are the bytes of a body by path."""

    def __init__(self, app: ASGIApp, who_has: WhoHas, limits: Mapping[str, int]) -> None:
        self._app = app
        self._who_has = who_has
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be the middleware."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if scope["path"] not in OPEN_PATHS:
            owner = await self._owner(headers)
            if owner is None:
                await problem_of_status(401, "no valid token")(scope, receive, send)
                return
            scope.setdefault("state", {})[OWNER] = owner
        limit = self._limits.get(scope["path"], JSON_MAX_BYTES)
        if _announced_bytes(headers) > limit:
            await problem_of_status(413, _too_large(limit))(scope, receive, send)
            return
        await self._app(scope, _bounded(receive, limit), send)

    async def _owner(self, headers: Headers) -> str | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return await self._who_has(token.strip()) if scheme.lower() == "bearer" else None


def _announced_bytes(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


def _bounded(receive: Receive, limit: int) -> Callable[[], Awaitable[Message]]:
    """Return a receive that stops at the limit, whatever length was announced."""
    received = 0

    async def receive_bounded() -> Any:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise HTTPException(413, _too_large(limit))
        return message

    return receive_bounded


def _too_large(limit: int) -> str:
    return f"a body has at most {limit} bytes here"
