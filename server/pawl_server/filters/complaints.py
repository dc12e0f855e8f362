"""What is said of a token or character that doesn't belong where it is."""

from collections.abc import Collection
from difflib import get_close_matches

from lark import Token

from pawl_server.filters.building import Mistake, listed
from pawl_server.filters.fields import FIELDS, OPERATORS, TAG_PREFIX, Field, field_of

END = "$END"
UNKNOWN = "UNKNOWN"
_FOUND_MAX_CHARACTERS = 40
_EXPECTED = {
    "FIELD": "a field",
    "STRING": "a text in quotes",
    "IN": "`in`",
    "COMMA": "`,`",
    "AND": "`and`",
    "OR": "`or`",
    "HAS": "`has`",
    "NOT": "`not`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    END: "the end",
}
_CHARACTERS = {
    '"': 'this text has no closing `"`',
    "'": 'a text stands in `"`, such as "b1"',
    "=": "`=` is no operator, `==` is",
    "!": "`!` is no operator, `!=` and `not` are",
    "&": "write `and`",
    "|": "write `or`",
    "*": "a pattern stands in quotes, after `like`",
}
_MEANT = {
    "device": "id",
    "name": "id",
    "last_seen": "silent_for",
    "tag": "tag.<key>",
    "tags": "tag.<key>",
    "quarantine": "quarantined",
}


def of_token(token: Token, accepted: Collection[str], field: Token | None) -> Mistake:
    """Return what is wrong with a token where these would have been right; `field` is the newest one before it."""
    expected = _expected(set(accepted), None if field is None else field_of(str(field)))
    return Mistake(token.start_pos or 0, f"expected {expected}; {_said_of(token, accepted)}")


def of_character(text: str, position: int) -> Mistake:
    """Return what is wrong with a character that no token begins with."""
    char = text[position]
    if char.isdigit() or char == "-":
        return Mistake(position, "a number has digits only: a version, a time and a name stand in quotes")
    return Mistake(position, _CHARACTERS.get(char, f"no filter has `{_printable(char)}` outside of quotes"))


def _expected(accepted: set[str], field: Field | None) -> str:
    names = []
    if field is not None and "OPERATOR" in accepted:
        names = [f"`{operator}`" for operator in OPERATORS[field.kind]]
        accepted -= {"NOT", "IN", "LIKE"}
    elif field is not None and "NUMBER" in accepted:
        names = [field.kind.value]
        accepted -= {"STRING", "TRUE", "FALSE"}
    names += [name for terminal, name in _EXPECTED.items() if terminal in accepted]
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _said_of(token: Token, accepted: Collection[str]) -> str:
    if token.type == END:
        return "the filter ends here"
    if token.type == UNKNOWN and token.lower() in _KEYWORDS:
        return f"`{token}` is written `{token.lower()}`"
    if token.type == UNKNOWN and "FIELD" in accepted:
        return _unknown_field(str(token))
    if token.type in {UNKNOWN, "FIELD", "FLAG"} and "STRING" in accepted:
        return f'a text stands in quotes: "{_cut(str(token))}"'
    return f"found `{_cut(str(token))}`"


def _unknown_field(name: str) -> str:
    if name.startswith(TAG_PREFIX):
        return "a tag's key is a letter a to z and at most 31 of a to z, 0 to 9, `_`, `-`"
    close = get_close_matches(name.lower(), FIELDS, n=1)
    meant = _MEANT.get(name.lower()) or (close[0] if close else None)
    if meant:
        return f"unknown field `{_cut(name)}`, did you mean `{meant}`?"
    return f"unknown field `{_cut(name)}`, there are {listed([*FIELDS, 'tag.<key>'], 'and')}"


def _cut(text: str) -> str:
    shown = _printable(text)
    return shown if len(shown) <= _FOUND_MAX_CHARACTERS else f"{shown[:_FOUND_MAX_CHARACTERS]}…"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else f"U+{ord(char):04X}" for char in text)


_KEYWORDS = {"and", "or", "not", "in", "like", "has", "true", "false"}
