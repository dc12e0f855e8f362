"""Filters as SQL; not built on this branch."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement


def compile_filter(expression: Any, vendors: Collection[bytes], now_s: int) -> ColumnElement[bool]:
    """Return the condition on rows of devices."""
    raise NotImplementedError(expression, vendors, now_s)
