"""What went wrong, as `application/problem+json` (RFC 9457): one table from exceptions to statuses.

Every problem names the cause (`detail`), the next step (`next`), and the field if one is to blame. A fault of our own says
that much and no more: its traceback is in the server's log.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import compile_path

from pawl.errors import ManifestError, PawlError, TrustError
from pawl.names import reason_name
from pawl_server.domain.director import FinalError
from pawl_server.domain.plan import PlanError
from pawl_server.domain.rollout import RolloutStateError
from pawl_server.errors import InvalidError, UnknownError
from pawl_server.filters import FilterError
from pawl_server.judges import DisagreementError
from pawl_server.signing import DirectorKeyError
from pawl_server.store import ConflictError, FencedError

_log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class ProblemView(BaseModel):
    """What went wrong, and what to do next; `field` is where it stands in what was sent, `position` the character there."""

    model_config = ConfigDict(title="Problem")

    type: str
    title: str
    status: int
    detail: str
    next: str
    field: str = Field(default="", examples=["phases.0.size", "after", "Idempotency-Key"])
    position: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A row of the table: how an exception is told."""

    status: int
    title: str
    next: str


KINDS: dict[type[Exception], Kind] = {
    UnknownError: Kind(status=404, title="unknown", next="list what there is, and check the name"),
    InvalidError: Kind(status=422, title="invalid", next="correct the field and send it again"),
    PlanError: Kind(status=422, title="invalid", next="correct the field and send it again"),
    FilterError: Kind(status=422, title="invalid", next="correct the filter and send it again"),
    RequestValidationError: Kind(status=422, title="invalid", next="correct the field and send it again"),
    ConflictError: Kind(
        status=409, title="conflict", next="look at what is there, then choose another name or end it"
    ),
    RolloutStateError: Kind(status=409, title="wrong state", next="look at the rollout's state"),
    ManifestError: Kind(status=422, title="refused", next="run `pawl verify` on the release"),
    TrustError: Kind(
        status=422, title="refused", next="import every version in order, each signed by the roots of both"
    ),
    DirectorKeyError: Kind(
        status=422,
        title="refused",
        next="set `next_director_key` in server.toml to a key that the anchor names, and start again",
    ),
    FinalError: Kind(status=409, title="final", next="import and assign another release"),
    FencedError: Kind(status=503, title="replaced", next="ask the server process that took over"),
    DisagreementError: Kind(
        status=422,
        title="judges disagree",
        next="use the release nowhere; report the case that the server kept",
    ),
    Exception: Kind(
        status=500, title="internal", next="look into the server's log; what was asked can be asked again"
    ),
}
_NO_METHOD = 405
_NEXT_BY_STATUS = {
    400: "send JSON in UTF-8",
    401: "send `Authorization: Bearer` with a token that `pawl server token new` made",
    404: "see /openapi.json for what there is",
    _NO_METHOD: "see /openapi.json for what can be done there",
    413: "send less",
}


def problem(  # noqa: PLR0913  # the members of a problem
    status: int,
    title: str,
    detail: str,
    next_step: str,
    *,
    field: str | None = None,
    position: int | None = None,
) -> JSONResponse:
    """Return the response that tells a problem."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, "next": next_step}
    told = {"field": field, "position": position}
    content |= {name: value for name, value in told.items() if value is not None}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(content, status, headers, MEDIA_TYPE)


def problem_of_status(status: int, detail: str) -> JSONResponse:
    """Return the response to what HTTP itself has a status for."""
    return problem(status, "not possible", detail, _NEXT_BY_STATUS.get(status, "see /openapi.json"))


def install(app: FastAPI) -> None:
    """Let the app answer every exception by the table."""
    for kind in KINDS:
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(HTTPException, _answer_http)


async def _answer(_request: Request, error: Exception) -> JSONResponse:
    kind = next(KINDS[one] for one in type(error).__mro__ if one in KINDS)
    tell = next((_TELLERS[one] for one in type(error).__mro__ if one in _TELLERS), _told)
    field, detail = tell(error)
    position = _position(error)
    return problem(kind.status, kind.title, detail, kind.next, field=field, position=position)


def _position(error: BaseException) -> int | None:
    """Return which character of a filter is to blame, if one is."""
    blamed = error if isinstance(error, FilterError) else error.__cause__
    return blamed.position if isinstance(blamed, FilterError) else None


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for it alone
    response = problem_of_status(error.status_code, str(error.detail))
    if error.status_code == _NO_METHOD:
        response.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return response


def _methods(request: Request) -> set[str]:
    """Return what can be done at a path: each of its methods has a route of its own, of which one was asked."""
    paths: dict[str, dict[str, object]] = request.app.openapi()["paths"]
    found = [paths[path] for path in paths if compile_path(path)[0].match(request.url.path)]
    return {method.upper() for methods in found for method in methods}


def _told(error: Exception) -> tuple[str | None, str]:
    if KINDS.get(type(error)) is None:
        _log.error("a request failed", exc_info=error)
        return None, "the server failed; nothing is known to have been changed"
    return None, str(error)


def _told_invalid(error: Exception) -> tuple[str | None, str]:
    return getattr(error, "field", None), str(error)


def _told_plan(error: Exception) -> tuple[str | None, str]:
    assert isinstance(error, PlanError)  # noqa: S101  # the table's row
    return error.field, error.text


def _told_filter(error: Exception) -> tuple[str | None, str]:
    return "filter", str(error)


def _told_manifest(error: Exception) -> tuple[str | None, str]:
    return "release", _reason_of(error)


def _told_anchor(error: Exception) -> tuple[str | None, str]:
    return "anchor", _reason_of(error)


def _reason_of(error: Exception) -> str:
    assert isinstance(error, PawlError)  # noqa: S101  # the table's row
    return f"{reason_name(error.code)} ({error.code}): {error.detail}"


def _told_request(error: Exception) -> tuple[str | None, str]:
    """Tell the first fault of a request: where, and what is wrong there."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # the table's row
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part not in {"body", "query", "path", "header"}]
    return ".".join(place) or "body", str(first["msg"])


_TELLERS: dict[type[Exception], Callable[[Exception], tuple[str | None, str]]] = {
    InvalidError: _told_invalid,
    PlanError: _told_plan,
    FilterError: _told_filter,
    ManifestError: _told_manifest,
    TrustError: _told_anchor,
    RequestValidationError: _told_request,
}
