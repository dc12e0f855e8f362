"""The grammar of filters: LALR(1), so without ambiguity and without going back.

A field is one terminal for the lexer; `parsing.py` looks it up and gives the parser a FLAG for one that is true or
false, which alone may stand by itself, and a name that is no field as one that nothing expects.
"""

from typing import Any, Final

from lark import Lark, Transformer

_GRAMMAR: Final = r"""
?start: disjunction
?disjunction: conjunction
    | conjunction ("or" conjunction)+ -> either
?conjunction: negation
    | negation ("and" negation)+ -> both
?negation: condition
    | "not" negation -> negated
?condition: "(" disjunction ")"
    | name OPERATOR literal -> comparison
    | name IN values -> membership
    | name NOT IN values -> exclusion
    | name LIKE STRING -> like
    | "has" name -> has
    | FLAG -> flag
?name: FIELD | FLAG
?literal: STRING | NUMBER | TRUE | FALSE
values: "(" literal ("," literal)* ")"

AND: "and"
OR: "or"
NOT: "not"
HAS: "has"
IN: "in"
LIKE: "like"
TRUE: "true"
FALSE: "false"
OPERATOR: /==|!=|<=|>=|<|>/
STRING: /"([^"\\]|\\.)*"/
NUMBER: /-?[0-9]+(?![\w.])/
FIELD: /[^\W\d][\w.-]*/
%declare FLAG
%ignore / +/
"""


def make_lark(builder: Transformer[Any, Any]) -> Lark:
    """Return lexer and parser, which calls the builder as it goes: no tree is made, nothing recurses."""
    return Lark(_GRAMMAR, parser="lalr", lexer="basic", transformer=builder)
