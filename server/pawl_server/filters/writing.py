"""Filters as text: one way to write each, which is what is stored."""

from pawl_server.filters.expressions import (
    And,
    Comparison,
    Expression,
    Flag,
    Has,
    Like,
    Membership,
    Not,
    Or,
    Value,
)
from pawl_server.filters.fields import field_of
from pawl_server.filters.values import quoted, write_value


def normal(expression: Expression) -> str:
    """Return the text that is parsed as this expression."""
    match expression:
        case Comparison():
            return f"{expression.field} {expression.operator.value} {_written(expression.field, expression.value)}"
        case Membership():
            values = ", ".join(_written(expression.field, value) for value in expression.values)
            return f"{expression.field} {'not in' if expression.is_negated else 'in'} ({values})"
        case Like():
            return f"{expression.field} like {quoted(expression.pattern)}"
        case Has():
            return f"has {expression.field}"
        case Flag():
            return expression.field if expression.is_true else f"{expression.field} == false"
        case _:
            return _combined(expression)


def _combined(expression: Not | And | Or) -> str:
    """Return the text of operands; parentheses only where they are needed, so that they nest no deeper than they did."""
    match expression:
        case Not():
            return "not " + _within(expression.operand, And, Or)
        case And():
            return " and ".join(_within(operand, And, Or) for operand in expression.operands)
        case Or():
            return " or ".join(_within(operand, Or) for operand in expression.operands)


def _within(operand: Expression, *in_parentheses: type) -> str:
    return f"({normal(operand)})" if isinstance(operand, in_parentheses) else normal(operand)


def _written(name: str, value: Value) -> str:
    return write_value(field_of(name).kind, value)
