"""What every POST says in /openapi.json of its `Idempotency-Key`; `api/idempotency.py` obeys it before a route is asked."""

from typing import Annotated, Any

from fastapi import Depends, Header
from pydantic import StringConstraints

from pawl_server.api.idempotency import HEADER, KEY_PATTERN, REPLAYED


def _say(
    _key: Annotated[
        Annotated[str, StringConstraints(pattern=KEY_PATTERN)] | None,
        Header(
            alias=HEADER,
            description="The same request with the same key is answered again, and done once.",
            examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
        ),
    ] = None,
) -> None:
    """Take the header, which was looked at already."""


KEYED: list[Any] = [Depends(_say)]
_HEADERS = {
    REPLAYED: {
        "description": "The answer is a repetition, of the first request with this key.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}


def answered(status: int, description: str) -> dict[int | str, dict[str, Any]]:
    """Return what a POST says of its answer."""
    return {status: {"description": description, "headers": _HEADERS}}
