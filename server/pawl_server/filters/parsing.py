"""From a text to an expression, within bounds; of any other text a FilterError says where and why.

Time is bounded by the length of the text: lexer and parser look at each character and token once. No list of values can
have more than 1000 of them within that length.
"""

from collections.abc import Iterator
from functools import cache
from itertools import chain

from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from pawl_server.filters import complaints
from pawl_server.filters.building import Builder, Mistake
from pawl_server.filters.errors import FilterError
from pawl_server.filters.expressions import Expression
from pawl_server.filters.fields import Kind, find_field
from pawl_server.filters.grammar import make_lark
from pawl_server.filters.writing import normal

TEXT_MAX_CHARACTERS = 2000
DEPTH_MAX = 32
CONDITIONS_MAX = 100
_FIELDS = ("FIELD", "FLAG")
# One to one, so that positions hold.
_SPACES = str.maketrans(dict.fromkeys("\t\n\r\v\f", " "))


def parse(text: str) -> Expression:
    """Return what a text says; FilterError if it is no filter, or beyond the bounds."""
    if len(text) > TEXT_MAX_CHARACTERS:
        message = f"a filter has at most {TEXT_MAX_CHARACTERS} characters, this one has {len(text)}"
        raise FilterError(text, TEXT_MAX_CHARACTERS, message)
    try:
        expression = _parse(text.translate(_SPACES))
    except Mistake as mistake:
        raise FilterError(text, mistake.position, mistake.message) from None
    if (size := len(normal(expression))) > TEXT_MAX_CHARACTERS:
        message = f"with all its spaces this filter has {size} characters, at most {TEXT_MAX_CHARACTERS} can be stored"
        raise FilterError(text, len(text), message)
    return expression


def _parse(text: str) -> Expression:
    steps = _grammar().parse_interactive()
    bounds = _Bounds()
    end = Token(complaints.END, "", len(text.rstrip()))
    for token in chain(_tokens(text), [end]):
        before = steps.copy(deepcopy_values=False)  # type: ignore[no-untyped-call]  # lark's hints end here
        try:
            found = steps.feed_token(token)
        except UnexpectedToken:
            raise complaints.of_token(token, before.accepts(), bounds.field) from None
        bounds.take(token)
    expression: Expression = found
    return expression


@cache
def _grammar() -> Lark:
    return make_lark(Builder())


def _tokens(text: str) -> Iterator[Token]:
    """Yield the tokens, fields looked up."""
    try:
        for token in _grammar().lex(text):
            yield _known(token) if token.type == "FIELD" else token
    except UnexpectedCharacters as error:
        raise complaints.of_character(text, error.pos_in_stream or 0) from None


def _known(token: Token) -> Token:
    field = find_field(str(token))
    if field is None:
        return token.update(type=complaints.UNKNOWN)
    return token.update(type="FLAG") if field.kind is Kind.FLAG else token


class _Bounds:
    """How deep parentheses and `not` are nested, and how many conditions there are, the newest about `field`; Mistake beyond the bounds."""

    def __init__(self) -> None:
        self.field: Token | None = None
        self._last = ""
        self._conditions = 0
        # Of each parenthesis that is open, how many `not` stand before what comes.
        self._nots = [0]

    def take(self, token: Token) -> None:
        """Count a token that stands where it may."""
        if token.type == "LPAR":
            self._nots.append(0)
        elif token.type == "RPAR":
            self._nots.pop()
        elif token.type == "NOT" and self._last not in _FIELDS:
            self._nots[-1] += 1
        elif token.type in {"AND", "OR"}:
            self._nots[-1] = 0
        elif token.type in _FIELDS:
            self._conditions += 1
            self.field = token
        self._last = token.type
        self._check(token.start_pos or 0)

    def _check(self, position: int) -> None:
        if sum(self._nots) + len(self._nots) - 1 > DEPTH_MAX:
            raise Mistake(position, f"parentheses and `not` are nested more than {DEPTH_MAX} deep here")
        if self._conditions > CONDITIONS_MAX:
            raise Mistake(position, f"a filter has at most {CONDITIONS_MAX} conditions, this is one more")
