"""`Idempotency-Key`: a POST that is sent again is answered again, and done once.

The key is its token's own. The same key with the same method, path, query and body gets the stored answer, with
`Idempotency-Replayed: true`; with anything else it is refused; while the first request is at work, it is told to come back. An
answer of 5xx isn't stored: the key is free again.

A server that dies between the action and its stored answer leaves a key that is at work for a minute at most; then the request
runs again. That is right because every POST of this interface names what it is about, and does nothing the second time:
enrolments and claims name the device, releases and anchors have a digest, rollouts have a name (one without is given one that is
made of the key), commands name the state that they lead to.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pawl_server.api import problems
from pawl_server.api.gate import OWNER
from pawl_server.api.request_body import Body, DisconnectedError
from pawl_server.store import Store
from pawl_server.store.answers import InProgress, New, Stored

_log = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEY_PATTERN = "^[!-~]{1,128}$"
ANSWER_MAX_BYTES = 64 * 1024
RETRY_AFTER_S = 1
_KEY = re.compile(KEY_PATTERN[1:-1])
_SERVER_FAULT = 500
_REFUSED = 400
# In the scope's state: digest of owner, key and request, of a request that has a key.
REQUEST = "request"


class Idempotency:
    """Stands behind the gate, which says whose token it is; says in the scope's state by what name a request is known."""

    def __init__(self, app: ASGIApp, store: Store, clock: Callable[[], float]) -> None:
        self._app = app
        self._store = store
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be the middleware."""
        keys = Headers(scope=scope).getlist(HEADER) if scope.get("method") == "POST" else []
        if not keys or OWNER not in scope.get("state", {}):
            await self._app(scope, receive, send)
            return
        try:
            response = await self._answer(scope, receive, send, keys)
        except HTTPException as error:  # the body is too large
            response = problems.problem_of_status(error.status_code, str(error.detail))
        except DisconnectedError:
            return
        if response is not None:
            await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, keys: list[str]) -> Response | None:
        """Let the request through, or return the answer to it."""
        if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
            return _refused(422, "send one key of 1 to 128 visible ASCII characters")
        body = await Body.read(receive)
        digest = _digest(scope, body)
        used = _Key(self._store, scope["state"][OWNER], keys[0], digest)
        match await used.begin(int(self._clock())):
            case New():
                scope["state"][REQUEST] = used.named()
                await self._run(scope, body.receive, send, used)
                return None
            case other if other.request != digest:
                return _refused(422, "this key came with another request: a new request takes a new key")
            case InProgress():
                return _in_progress()
            case Stored() as stored:
                return _replay(stored)

    async def _run(self, scope: Scope, receive: Receive, send: Send, used: "_Key") -> None:
        answer = _Answer(scope["path"], send, used)
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            # What answers for it stands outside of this, and says 500.
            if not answer.is_kept:
                await used.release()
            raise


class _Key:
    """A token's key, the digest of what it came with, and their row; each step is a transaction."""

    def __init__(self, store: Store, token: str, key: str, digest: bytes) -> None:
        self._store = store
        self._names = (token, key, digest)

    def named(self) -> bytes:
        """Return what names this request for ever."""
        token, key, digest = self._names
        return hashlib.sha256(json.dumps([token, key, digest.hex()]).encode()).digest()

    async def begin(self, now_s: int) -> New | InProgress | Stored:
        async with self._store.writing() as transaction:
            return await transaction.answers.begin(*self._names, now_s)

    async def finish(self, status: int, content: bytes) -> None:
        """Keep an answer; what was done is done, so that a fault here doesn't change what the client is told."""
        try:
            async with self._store.writing() as transaction:
                await transaction.answers.finish(*self._names, status, content)
        except Exception:  # noqa: BLE001  # whatever it was: the key is free in a minute, and the request may run again
            _log.exception("an answer was not stored")

    async def release(self) -> None:
        try:
            async with self._store.writing() as transaction:
                await transaction.answers.release(*self._names)
        except Exception:  # noqa: BLE001  # whatever it was: the key is free in a minute
            _log.exception("an idempotency key was not freed")


class _Answer:
    """Keeps an answer before the client has its end; of one that is too large, it keeps the status and what it is about."""

    def __init__(self, path: str, send: Send, used: _Key) -> None:
        self._path = path
        self._send = send
        self._used = used
        self._waiting: list[Message] = []
        self._status = _SERVER_FAULT
        self._content = b""
        self.is_kept = False

    async def send(self, message: Message) -> None:
        """Be the application's send."""
        if self.is_kept:
            await self._send(message)
            return
        self._waiting.append(message)
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._path = Headers(raw=message["headers"]).get("location", self._path)
            return
        self._content += message.get("body", b"")
        if len(self._content) > ANSWER_MAX_BYTES or not message.get("more_body"):
            await self._keep()

    async def _keep(self) -> None:
        self.is_kept = True
        if self._status >= _SERVER_FAULT:
            await self._used.release()
        else:
            await self._used.finish(self._status, self._stored_content())
        for message in self._waiting:
            await self._send(message)
        self._waiting, self._content = [], b""

    def _stored_content(self) -> bytes:
        if len(self._content) <= ANSWER_MAX_BYTES:
            return self._content
        detail = "this was answered, and the answer was too large to keep: look at the resource"
        return json.dumps({"detail": detail, "resource": self._path}).encode()


def _digest(scope: Scope, body: Body) -> bytes:
    """Return what tells this request from every other one."""
    named = json.dumps([scope["method"], scope["path"], scope["query_string"].decode("latin-1")])
    return hashlib.sha256(hashlib.sha256(named.encode()).digest() + body.digest).digest()


def _replay(stored: Stored) -> Response:
    media_type = problems.MEDIA_TYPE if stored.status >= _REFUSED else "application/json"
    return Response(stored.content, stored.status, {REPLAYED: "true"}, media_type)


def _refused(status: int, detail: str) -> Response:
    return problems.problem(status, "invalid", detail, "correct the header and send it again", field=HEADER)


def _in_progress() -> Response:
    detail = "the first request with this key is at work"
    response = problems.problem(409, "in progress", detail, "send it again in a moment", field=HEADER)
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response
