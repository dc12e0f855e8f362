"""What a filter means, without a database: the reference that the SQL of `store/filters.py` is tested against."""

import fnmatch
import operator
import re
from collections.abc import Callable, Mapping
from functools import cmp_to_key
from typing import Any

from pawl.policy import compare_versions
from pawl_server.domain.identifiers import class_id, vendor_id
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
from pawl_server.filters.fields import Kind, field_of

COMPARE: dict[Operator, Callable[[Any, Any], Any]] = {
    Operator.EQUAL: operator.eq,
    Operator.UNEQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.LESS_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_EQUAL: operator.ge,
}
_version_order = cmp_to_key(compare_versions)


def matches(expression: Expression, facts: Mapping[str, Any]) -> bool:
    """Return whether a device with these values of fields matches; a value that it lacks is absent or None."""
    match expression:
        case And():
            return all(matches(operand, facts) for operand in expression.operands)
        case Or():
            return any(matches(operand, facts) for operand in expression.operands)
        case Not():
            return not matches(expression.operand, facts)
        case Flag():
            return facts[expression.field] is expression.is_true
        case _:
            return facts.get(expression.field) is not None and _holds(expression, facts)


def _holds(condition: Comparison | Membership | Like | Has, facts: Mapping[str, Any]) -> bool:
    """Return whether a condition holds of a value that the device has."""
    value = facts[condition.field]
    match condition:
        case Comparison():
            wanted = _meant(condition.field, condition.value, facts)
            return bool(COMPARE[condition.operator](_ordered(condition.field, value), wanted))
        case Membership():
            wanted_ones = [_meant(condition.field, one, facts) for one in condition.values]
            return (_ordered(condition.field, value) in wanted_ones) is not condition.is_negated
        case Like():
            return re.match(fnmatch.translate(condition.pattern.replace("[", "[[]")), value) is not None
        case Has():
            return True


def _meant(name: str, value: Value, facts: Mapping[str, Any]) -> Any:
    """Return a filter's value as one of the device's; a class name is one of the device's own vendor."""
    match field_of(name).kind, value:
        case Kind.VENDOR, str():
            return vendor_id(value)
        case Kind.CLASS, str():
            return class_id(facts["vendor"], value)
        case _:
            return _ordered(name, value)


def _ordered(name: str, value: Any) -> Any:
    return _version_order(value) if field_of(name).kind is Kind.VERSION else value
