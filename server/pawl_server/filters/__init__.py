"""The language of filters: parsing and writing them; not built on this branch."""

from typing import Any


class FilterError(ValueError):
    """The text isn't a filter."""


def parse(text: str) -> Any:
    """Return what the text says; FilterError if it is no filter."""
    raise NotImplementedError(text)


def normal(expression: Any) -> str:
    """Return the text of a filter."""
    raise NotImplementedError(expression)
