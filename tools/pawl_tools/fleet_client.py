"""The operator's side of the fleet server's HTTP interface: asks, and turns problems into one line.

with FleetClient(credentials.find()) as fleet:
    fleet.get("/rollouts")
"""

import ipaddress
import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import httpx2

from pawl_tools.credentials import Credentials
from pawl_tools.errors import RefusedError, ToolError

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 60.0
# The server's stream says that it is still there more often than this.
STREAM_TIMEOUT_S = 60.0
_UNAUTHORISED = 401
_DATA = "data: "
_PAGE_ITEMS = 1000


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

    def get(self, path: str, **query: str | int) -> Any:
        """Return what the server says at a path."""
        return self._ask("GET", path, params=query)

    def items(self, path: str, name: str) -> list[Any]:
        """Return everything that a list has, page by page."""
        found: list[Any] = []
        after: str | None = ""
        while after is not None:
            page = self.get(path, after=after, limit=_PAGE_ITEMS)
            found += page[name]
            after = page["next"]
        return found

    def put(self, path: str, body: object) -> Any:
        """Replace what is at a path."""
        return self._ask("PUT", path, json=body)

    def post(self, path: str, body: object = None) -> Any:
        """Add to what is at a path, or command it."""
        return self._ask("POST", path, json=body)

    def upload(self, path: str, content: bytes) -> Any:
        """Add a file."""
        return self._ask("POST", path, content=content, headers={"Content-Type": "application/octet-stream"})

    def stream(self, path: str) -> Iterator[Any]:
        """Yield what the server-sent events at a path say, until the server ends them."""
        timeout = httpx2.Timeout(STREAM_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        try:
            with self._http.stream("GET", path, timeout=timeout) as response:
                if response.is_error:
                    response.read()
                    self._raise(response)
                lines = (line for line in response.iter_lines() if line.startswith(_DATA))
                yield from (json.loads(line.removeprefix(_DATA)) for line in lines)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        try:
            response = self._http.request(method, path, **request)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None
        if response.is_error:
            self._raise(response)
        try:
            return response.json()
        except ValueError:
            raise ToolError(f"{self._server} is no fleet server: it answered something else") from None

    def _unreachable(self, error: Exception) -> ToolError:
        cause = " ".join(str(error).split()) or type(error).__name__
        return ToolError(f"no answer from {self._server}: {cause}; does `pawl server run` run there?")

    def _raise(self, response: httpx2.Response) -> None:
        try:
            problem = response.json()
            detail, following = str(problem["detail"]), str(problem["next"])
        except (ValueError, KeyError, TypeError):
            raise ToolError(f"{self._server} answered with status {response.status_code}") from None
        field = f"{problem['field']}: " if problem.get("field") else ""
        kind = ToolError if response.status_code == _UNAUTHORISED else RefusedError
        raise kind(f"{field}{detail}; {following}")


def _is_loopback(server: str) -> bool:
    host = httpx2.URL(server).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
