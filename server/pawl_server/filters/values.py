"""Values of fields: read from the literals of a filter, and written as such."""

import re
from collections.abc import Callable
from typing import TypeAlias

from pawl_server.domain.identifiers import uuid_bytes
from pawl_server.domain.versions import VersionError, parse_version, version_text
from pawl_server.filters.expressions import Value
from pawl_server.filters.fields import Field, Kind

Literal: TypeAlias = str | int | bool

SLOTS = ("A", "B", "recovery")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SPAN = re.compile(r"([0-9]{1,9})([smhd])")
_ESCAPED = re.compile(r'["\\]')


class ValueMistake(ValueError):  # noqa: N818  # it becomes a FilterError where the position is known
    """The literal can't be a value of that field; the text says what could."""


def read_value(field: Field, literal: Literal) -> Value:
    """Return the value that a literal is for this field; ValueMistake if it is none."""
    if type(literal) is not _LITERALS[field.kind]:
        raise ValueMistake(field.expected)
    value = _READERS[field.kind](literal)
    if value is None or (field.kind is Kind.NUMBER and not 0 <= int(literal) <= field.limit):
        raise ValueMistake(field.expected)
    return value


def write_value(kind: Kind, value: Value) -> str:
    """Return the literal that is read as this value."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if kind is Kind.NUMBER else quoted(_span_text(value))
        case bytes():
            return quoted(value.hex())
        case tuple():
            return quoted(version_text(value))
        case _:
            return quoted(value)


def quoted(text: str) -> str:
    """Return a string literal."""
    return '"' + _ESCAPED.sub(lambda found: "\\" + found[0], text) + '"'


def _read_version(literal: Literal) -> Value:
    try:
        return parse_version(str(literal))
    except VersionError as error:
        raise ValueMistake(str(error)) from None


def _read_span(literal: Literal) -> Value | None:
    found = _SPAN.fullmatch(str(literal))
    return int(found[1]) * _SECONDS[found[2]] if found else None


def _read_slot(literal: Literal) -> Value | None:
    return literal if literal in SLOTS else None


def _read_identifier(literal: Literal) -> Value:
    return uuid_bytes(str(literal)) or literal


def _as_it_is(literal: Literal) -> Value:
    return literal


def _span_text(seconds: int) -> str:
    unit = next(unit for unit, size in _SECONDS.items() if seconds % size == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


_LITERALS: dict[Kind, type] = dict.fromkeys(Kind, str) | {Kind.NUMBER: int, Kind.FLAG: bool}
_READERS: dict[Kind, Callable[[Literal], Value | None]] = {
    Kind.TEXT: _as_it_is,
    Kind.VENDOR: _read_identifier,
    Kind.CLASS: _read_identifier,
    Kind.VERSION: _read_version,
    Kind.NUMBER: _as_it_is,
    Kind.SLOT: _read_slot,
    Kind.FLAG: _as_it_is,
    Kind.SPAN: _read_span,
}
