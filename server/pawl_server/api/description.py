"""The description of the interface, /openapi.json: what FastAPI makes of the routes, and what every one of them has besides."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from pawl_server.api.problems import MEDIA_TYPE, ProblemView

OPENAPI_VERSION = "3.1.0"
_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Refused: what was asked can't be done", "content": _PROBLEM},
    "5XX": {"description": "Failed: the server can't do it now", "content": _PROBLEM},
}


def install(app: FastAPI) -> None:
    """Let the app describe itself so; made once, when it is asked for first."""
    app.openapi = lambda: _description(app)  # type: ignore[method-assign]


def _description(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        description = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version=OPENAPI_VERSION,
            description="Devices, groups, releases and rollouts of a fleet. Times are seconds since 1970.",
            routes=app.routes,
        )
        description["components"]["schemas"]["Problem"] = ProblemView.model_json_schema()
        for parameter in _parameters(description):
            parameter["schema"] = _sent(parameter["schema"])
        app.openapi_schema = description
    return app.openapi_schema


def _parameters(description: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in description["paths"].values():
        for operation in methods.values():
            yield from operation.get("parameters", [])


def _sent(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what is sent: a query or header that has no value is left out, and can't be null."""
    match schema:
        case {"anyOf": [dict() as wanted, {"type": "null"}], **others}:
            return {**others, **wanted}
    return schema
