"""Filters as SQL over `tables.devices`: every value is a bound parameter.

Each condition is true or false, never NULL: `not` of one about a value that a device lacks is true, as the language says.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, LargeBinary, and_, false, func, not_, or_, select, true, tuple_

from pawl import codes
from pawl_server.domain.fleet import QUARANTINE_FAILURES
from pawl_server.domain.identifiers import class_id, vendor_id
from pawl_server.domain.versions import version_key
from pawl_server.filters.evaluation import COMPARE
from pawl_server.filters.expressions import (
    And,
    Comparison,
    Expression,
    Flag,
    Has,
    Like,
    Membership,
    Not,
    Operator,
    Or,
    Value,
)
from pawl_server.filters.fields import TAG_PREFIX, Kind, field_of
from pawl_server.store import tables

_HALF_BYTES = 4
_SLOTS = {"A": codes.RUNNING_A, "B": codes.RUNNING_B, "recovery": codes.RUNNING_RECOVERY}
_Condition: TypeAlias = Comparison | Membership | Like | Has
_Test: TypeAlias = Callable[[ColumnElement[Any]], ColumnElement[bool]]
_device = tables.devices.c
_tag = tables.device_tags.c


def _half(start: int) -> ColumnElement[bytes]:
    """Return the four bytes of the ratchet's 64-bit number from here on: epoch, then counter."""
    return func.substr(_device.ratchet_sequence, start, _HALF_BYTES, type_=LargeBinary)


_COLUMNS: dict[str, ColumnElement[Any]] = {
    "id": _device.id,
    "vendor": _device.vendor,
    "class": _device.class_id,
    "version": _device.confirmed_version_key,
    "epoch": _half(1),
    "sequence": _half(1 + _HALF_BYTES),
    "agent": _device.agent,
    "slot": _device.running,
    "boots": _device.boots,
    "partition": _device.partition,
    "timezone": _device.timezone,
    "silent_for": _device.last_seen_s,
}
_FLAGS: dict[str, ColumnElement[bool]] = {
    "late": _device.is_late.is_(true()),
    "flagged": _device.flagged_at_s.is_not(None),
    "quarantined": _device.failures >= QUARANTINE_FAILURES,
}
# A time span is compared as the moment when it began: the longer, the earlier.
_TURNED = {
    Operator.LESS: Operator.GREATER,
    Operator.LESS_EQUAL: Operator.GREATER_EQUAL,
    Operator.GREATER: Operator.LESS,
    Operator.GREATER_EQUAL: Operator.LESS_EQUAL,
}


def compile_filter(expression: Expression, vendors: Collection[bytes], now_s: int) -> ColumnElement[bool]:
    """Return the condition on `tables.devices`; a class name is looked for in each of these vendors, which are all known."""
    return _Compiler(vendors=vendors, now_s=now_s).condition(expression)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiler:
    vendors: Collection[bytes]
    now_s: int

    def condition(self, expression: Expression) -> ColumnElement[bool]:
        match expression:
            case And():
                return and_(*map(self.condition, expression.operands))
            case Or():
                return or_(*map(self.condition, expression.operands))
            case Not():
                return not_(self.condition(expression.operand))
            case Flag():
                return _FLAGS[expression.field] if expression.is_true else not_(_FLAGS[expression.field])
            case _:
                return _of_device(expression, self._test(expression))

    def _test(self, condition: _Condition) -> _Test:
        """Return what makes the condition of a column that isn't NULL."""
        match condition:
            case Has():
                return lambda _column: true()
            case Like():
                return lambda column: column.op("GLOB", is_comparison=True)(
                    condition.pattern.replace("[", "[[]")
                )
            case Membership(is_negated=True):
                return lambda column: not_(self._one_of(column, condition.field, condition.values))
            case Membership():
                return lambda column: self._one_of(column, condition.field, condition.values)
            case Comparison():
                return lambda column: self._compared(column, condition)

    def _compared(self, column: ColumnElement[Any], condition: Comparison) -> ColumnElement[bool]:
        kind, operator = field_of(condition.field).kind, condition.operator
        if kind is Kind.CLASS:
            is_one = self._one_of(column, condition.field, (condition.value,))
            return is_one if operator is Operator.EQUAL else not_(is_one)
        if kind is Kind.SPAN:
            operator = _TURNED[operator]
        compared: ColumnElement[bool] = COMPARE[operator](
            column, self._bound(condition.field, condition.value)
        )
        return compared

    def _one_of(self, column: ColumnElement[Any], name: str, values: Sequence[Value]) -> ColumnElement[bool]:
        if name != "class":
            return column.in_([self._bound(name, value) for value in values])
        # A class name means another class with each vendor.
        names = dict.fromkeys(value for value in values if isinstance(value, str))
        pairs = [(vendor, class_id(vendor, one)) for vendor in self.vendors for one in names]
        others = [value for value in values if isinstance(value, bytes)]
        is_named = tuple_(_device.vendor, column).in_(pairs) if pairs else false()
        return or_(column.in_(others), is_named) if others else is_named

    def _bound(self, name: str, value: Any) -> Any:
        """Return a filter's value as the column has it."""
        match field_of(name).kind:
            case Kind.VENDOR:
                return vendor_id(value) if isinstance(value, str) else value
            case Kind.VERSION:
                return version_key(value)
            case Kind.SLOT:
                return _SLOTS[value]
            case Kind.SPAN:
                return self.now_s - value
            case _:
                return value.to_bytes(_HALF_BYTES) if name in {"epoch", "sequence"} else value


def _of_device(condition: _Condition, test: _Test) -> ColumnElement[bool]:
    """Return that the device has a value, and that the test holds of it."""
    if condition.field in _FLAGS:
        return true()  # `has late`: nobody lacks a flag
    if condition.field.startswith(TAG_PREFIX):
        return _of_tag(condition, test)
    column = _COLUMNS[condition.field]
    return and_(column.is_not(None), test(column))


def _of_tag(condition: _Condition, test: _Test) -> ColumnElement[bool]:
    """Return that the device has the tag, and that the test holds of its value."""
    key = condition.field.removeprefix(TAG_PREFIX)
    tagged = select(_tag.device).where(_tag.key == key, test(_tag.value))
    if _is_narrow(condition):
        return _device.id.in_(tagged.correlate(None))
    return tagged.where(_tag.device == _device.id).correlate(tables.devices).exists()


def _is_narrow(condition: _Condition) -> bool:
    """Return whether the index by value finds the few tags that match; other conditions are asked of device by device."""
    match condition:
        case Comparison():
            return condition.operator is Operator.EQUAL
        case Membership():
            return not condition.is_negated
        case _:
            return False
