"""What a filter says, as values. Made by `parse`: the fields exist, and values are of their field's kind."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

# By kind of field: a text, a slot or a name; a number or seconds; a flag; a UUID; a version.
Value: TypeAlias = str | int | bool | bytes | tuple[int, ...]


class Operator(StrEnum):
    """How a field is compared with one value."""

    EQUAL = "=="
    UNEQUAL = "!="
    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The field has a value, and it compares so."""

    field: str
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """The field has a value, and it is (or isn't, if negated) one of these."""

    field: str
    values: tuple[Value, ...]
    is_negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Like:
    """The field has a text that fits the pattern: * is any text, ? is any character."""

    field: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Has:
    """The field has a value."""

    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A field that is true or false has this value."""

    field: str
    is_true: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """The operand is false."""

    operand: "Expression"


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    """All of two or more operands are true."""

    operands: tuple["Expression", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """At least one of two or more operands is true."""

    operands: tuple["Expression", ...]


Expression: TypeAlias = Comparison | Membership | Like | Has | Flag | Not | And | Or
