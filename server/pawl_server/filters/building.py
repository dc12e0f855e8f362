"""Expressions from what the parser finds: operators and values that the field takes."""

import re
import unicodedata
from typing import Any

from lark import Token, Transformer, v_args

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
from pawl_server.filters.fields import OPERATORS, Field, Kind, field_of
from pawl_server.filters.values import Literal, ValueMistake, read_value

_ESCAPE = re.compile(r"\\(.)")
_WORDS = {"true": True, "false": False}


class Mistake(Exception):  # noqa: N818  # `parse` makes a FilterError of it, with the text
    """What is wrong at which character."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(position, message)
        self.position = position
        self.message = message


@v_args(inline=True)
class Builder(Transformer[Token, Expression]):
    """A method for each rule of the grammar; raises Mistake."""

    def either(self, *operands: Expression) -> Expression:
        """Return an `or` of all."""
        return Or(operands=operands)

    def both(self, *operands: Expression) -> Expression:
        """Return an `and` of all."""
        return And(operands=operands)

    def negated(self, operand: Expression) -> Expression:
        """Return a `not`."""
        return Not(operand=operand)

    def comparison(self, name: Token, operator: Token, literal: Token) -> Expression:
        """Return a comparison; one with true or false is that of a flag."""
        field = _field(name, operator, operator)
        value = _value(field, literal)
        is_equal = operator == Operator.EQUAL
        if field.kind is Kind.FLAG:
            return Flag(field=field.name, is_true=bool(value) is is_equal)
        return Comparison(field=field.name, operator=Operator(operator), value=value)

    def membership(self, name: Token, word: Token, literals: tuple[Token, ...]) -> Expression:
        """Return an `in`."""
        field = _field(name, word, "in")
        return Membership(field=field.name, values=tuple(_value(field, literal) for literal in literals))

    def exclusion(self, name: Token, word: Token, _in: Token, literals: tuple[Token, ...]) -> Expression:
        """Return a `not in`."""
        field = _field(name, word, "not in")
        values = tuple(_value(field, literal) for literal in literals)
        return Membership(field=field.name, values=values, is_negated=True)

    def like(self, name: Token, word: Token, literal: Token) -> Expression:
        """Return a `like`."""
        field = _field(name, word, "like")
        return Like(field=field.name, pattern=_text(literal))

    def has(self, name: Token) -> Expression:
        """Return a `has`."""
        return Has(field=str(name))

    def flag(self, name: Token) -> Expression:
        """Return a flag by itself."""
        return Flag(field=str(name))

    def values(self, *literals: Token) -> tuple[Token, ...]:
        """Return the literals between parentheses."""
        return literals


def _field(name: Token, operator: Token, words: str) -> Field:
    """Return the field; Mistake at the operator if it isn't one of its own."""
    field = field_of(str(name))
    taken = OPERATORS[field.kind]
    if words not in taken:
        raise Mistake(
            _start(operator),
            f"`{field.name}` can't be asked with `{words}`, only with {listed(taken, 'and')}",
        )
    return field


def _value(field: Field, literal: Token) -> Value:
    try:
        return read_value(field, _literal(literal))
    except ValueMistake as mistake:
        raise Mistake(_start(literal), str(mistake)) from None


def _literal(token: Token) -> Literal:
    match token.type:
        case "STRING":
            return _text(token)
        case "NUMBER":
            return int(token)
        case _:
            return _WORDS[str(token)]


def _text(token: Token) -> str:
    """Return the text of a string; Mistake at an escape that there is not, or a character that no text has."""
    for found in _ESCAPE.finditer(token):
        if found[1] not in '"\\':
            raise Mistake(
                _start(token) + found.start(), 'in a text, `\\` stands before `"` or another `\\` only'
            )
    for offset, char in enumerate(token):
        if unicodedata.category(char) in {"Cc", "Cs"}:
            raise Mistake(_start(token) + offset, f"character U+{ord(char):04X} can't stand in a text")
    return _ESCAPE.sub(r"\1", token[1:-1])


def _start(token: Token) -> int:
    return token.start_pos or 0


def listed(names: Any, word: str) -> str:
    """Return names as a sentence has them: `a`, `b` and `c`."""
    *former, last = [f"`{name}`" for name in names]
    return f"{', '.join(former)} {word} {last}" if former else last
