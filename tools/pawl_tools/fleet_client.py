"""The operator's side of the fleet server's HTTP interface: asks, and turns problems into one line.

with FleetClient(credentials.find()) as fleet:
    fleet.get("/rollouts")

A request whose connection broke is sent once more: whoever can't tell whether it was done has a key with it, by which the
server knows it again.
"""

import ipaddress
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx2

from pawl_tools.credentials import Credentials
from pawl_tools.errors import RefusedError, ToolError

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 60.0
# The server's stream says that it is still there more often than this.
STREAM_TIMEOUT_S = 60.0
# A server that was killed at work knows its request's key for so long, as one that is at work.
KEY_WAIT_S = 65.0
_KEY = "Idempotency-Key"
_PAUSE_S = 1.0
_NO_CONTENT, _UNAUTHORISED, _CONFLICT, _SERVER_FAULT = 204, 401, 409, 500


class UnreachableError(ToolError):
    """The server didn't answer, or not to the end: it may do so in a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A server-sent event: `id` is where a stream goes on that was cut behind it."""

    id: str
    kind: str
    content: Any


_SIGN_OF_LIFE = Message(id="", kind="", content=None)


class FleetClient:
    """One connection; a context manager. Paths are below /v1."""

    def __init__(self, credentials: Credentials) -> None:
        self._server = credentials.server
        self._http = httpx2.Client(
            base_url=f"{credentials.server}/v1",
            headers={"Authorization": f"Bearer {credentials.token}"},
            timeout=httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            # A token for this machine must not go by way of a proxy.
            trust_env=not _is_loopback(credentials.server),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **query: str | int | None) -> Any:
        """Return what the server says at a path; what is None isn't asked for."""
        return self._ask("GET", path, params=_said(query))

    def pages(self, path: str, items: str, *, limit: int = 1000, **query: str | int | None) -> Iterator[Any]:
        """Yield what the pages of a list have under this name."""
        after: str | None = ""
        while after is not None:
            page = self.get(path, after=after, limit=limit, **query)
            yield from page[items]
            after = page["next"]

    def put(self, path: str, body: object = None) -> Any:
        """Replace what is at a path."""
        return self._ask("PUT", path, json=body)

    def patch(self, path: str, body: object) -> Any:
        """Change what is at a path."""
        return self._ask("PATCH", path, json=body)

    def delete(self, path: str) -> Any:
        """Take away what is at a path."""
        return self._ask("DELETE", path)

    def post(self, path: str, body: object = None, **query: str) -> Any:
        """Add to what is at a path, or command it."""
        return self._ask("POST", path, json=body, params=query)

    def upload(self, path: str, content: bytes) -> Any:
        """Add a file."""
        return self._ask("POST", path, content=content, headers={"Content-Type": "application/octet-stream"})

    def stream(self, path: str, last_id: str = "", **query: str | int | None) -> Iterator[Message]:
        """Yield the server-sent events at a path, behind the one of this id, until the server ends them.

        What has no content is a sign of life, the first when the server has answered; its id, if any, is a place to go on from.
        UnreachableError if the connection can't be made, or breaks.
        """
        timeout = httpx2.Timeout(STREAM_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        headers = {"Last-Event-ID": last_id} if last_id else {}
        try:
            with self._http.stream(
                "GET", path, params=_said(query), headers=headers, timeout=timeout
            ) as response:
                if response.is_error:
                    response.read()
                    self._raise(response)
                yield _SIGN_OF_LIFE
                yield from _messages(response.iter_lines())
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        headers = request.pop("headers", {})
        if method == "POST":
            headers = {**headers, _KEY: str(uuid.uuid4())}
        response = self._answer(method, path, headers=headers, **request)
        if response.is_error:
            self._raise(response)
        if response.status_code == _NO_CONTENT:
            return None
        try:
            return response.json()
        except ValueError:
            raise ToolError(f"{self._server} is no fleet server: it answered something else") from None

    def _answer(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Return the answer to a request; one that broke is sent once more, with the same key."""
        try:
            return self._settled(method, path, **request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise self._unreachable(error) from None  # nothing was sent
        except httpx2.HTTPError:
            time.sleep(_PAUSE_S)
        try:
            return self._settled(method, path, **request)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None

    def _settled(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Return the answer; while the server is at work on the very request, ask again."""
        ends = time.monotonic() + KEY_WAIT_S
        while True:
            response = self._http.request(method, path, **request)
            if not _is_at_work(response) or time.monotonic() > ends:
                return response
            time.sleep(_PAUSE_S)

    def _unreachable(self, error: Exception) -> ToolError:
        cause = " ".join(str(error).split()) or type(error).__name__
        return UnreachableError(f"no answer from {self._server}: {cause}; does `pawl server run` run there?")

    def _raise(self, response: httpx2.Response) -> None:
        try:
            problem = response.json()
            detail, following = str(problem["detail"]), str(problem["next"])
        except (ValueError, KeyError, TypeError):
            kind = UnreachableError if response.status_code >= _SERVER_FAULT else ToolError
            raise kind(f"{self._server} answered with status {response.status_code}") from None
        field = f"{problem['field']}: " if problem.get("field") else ""
        refused = ToolError if response.status_code == _UNAUTHORISED else RefusedError
        raise refused(_told(field, detail, following))


def _told(field: str, detail: str, following: str) -> str:
    """Return a problem in one line; one that shows a place in a text has that on lines of its own."""
    *shown, message = detail.split("\n")
    return "".join([f"{field}{message}; {following}", *(f"\n  {line}" for line in shown)])


def _said(query: dict[str, str | int | None]) -> dict[str, str | int]:
    return {name: value for name, value in query.items() if value is not None}


def _is_at_work(response: httpx2.Response) -> bool:
    return response.status_code == _CONFLICT and "Retry-After" in response.headers


def _messages(lines: Iterator[str]) -> Iterator[Message]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        content = json.loads(fields["data"]) if "data" in fields else None
        yield Message(id=fields.get("id", ""), kind=fields.get("event", ""), content=content)
        fields = {}


def _is_loopback(server: str) -> bool:
    host = httpx2.URL(server).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
