"""What is said of a text that is no filter: where it ends to be one, and what would be right."""

import pytest

from pawl_server.filters import FilterError, parse

ERRORS = {
    "unknown field": """
clas == "esp32"
^
expected a field, `has`, `not` or `(`; unknown field `clas`, did you mean `class`?""",
    "field of another name": """
late or last_seen < "3d"
        ^
expected a field, `has`, `not` or `(`; unknown field `last_seen`, did you mean `silent_for`?""",
    "capital letters in a tag's key": """
not tag.Site == "b1"
    ^
expected a field, `has`, `not` or `(`; a tag's key is a letter a to z and at most 31 of a to z, 0 to 9, `_`, `-`""",
    "a name without quotes": """
class == esp32
         ^
expected a class name or UUID, such as "esp32"; a text stands in quotes: "esp32\"""",
    "a version without quotes": """
version < 1.4
          ^
a number has digits only: a version, a time and a name stand in quotes""",
    "a number for a version": """
version in ("1.4", 3)
                   ^
`version` is compared with a version, such as "1.4" or "1.4-rc.1\"""",
    "no version": """
version < "1.x"
          ^
'1.x' is not a version: write numbers with dots, such as 1.4.0 or 1.4-rc.1""",
    "no time": """
silent_for > "3w"
             ^
`silent_for` is compared with a time, such as "90s", "15m", "36h" or "3d\"""",
    "no slot": """
slot == "C"
        ^
`slot` is compared with "A", "B" or "recovery\"""",
    "a number beyond": """
partition == 64
             ^
`partition` is compared with a number from 0 to 63""",
    "a negative number": """
boots > -1
        ^
`boots` is compared with a number from 0 to 18446744073709551615""",
    "a number for a flag": """
late == 1
        ^
`late` is compared with true or false""",
    "an operator that the field doesn't take": """
tag.site < "b2"
         ^
`tag.site` can't be asked with `<`, only with `==`, `!=`, `in`, `not in` and `like`""",
    "a list for a time": """
silent_for not in ("3d")
           ^
`silent_for` can't be asked with `not in`, only with `<`, `<=`, `>` and `>=`""",
    "a pattern for a version": """
version like "1.*"
        ^
`version` can't be asked with `like`, only with `==`, `!=`, `<`, `<=`, `>`, `>=`, `in` and `not in`""",
    "no operator": """
version and late
        ^
expected `==`, `!=`, `<`, `<=`, `>`, `>=`, `in` or `not in`; found `and`""",
    "one equals sign": """
id = "a"
   ^
`=` is no operator, `==` is""",
    "single quotes": """
id == 'a'
      ^
a text stands in `"`, such as "b1\"""",
    "an open text": r"""
id == "a\"
      ^
this text has no closing `"`""",
    "an escape that there is not": r"""
id == "ab\n"
         ^
in a text, `\` stands before `"` or another `\` only""",
    "an open parenthesis": """
late or (flagged
                ^
expected `==`, `!=`, `and`, `or` or `)`; the filter ends here""",
    "a parenthesis too many": """
late) or flagged
    ^
expected `==`, `!=`, `and`, `or` or the end; found `)`""",
    "an empty list": """
tag.site in ()
             ^
expected a text, such as "bench-1"; found `)`""",
    "a list without commas": """
tag.site in ("a" "b")
                 ^
expected `,` or `)`; found `"b"`""",
    "a keyword in capitals": """
late AND flagged
     ^
expected `==`, `!=`, `and`, `or` or the end; `AND` is written `and`""",
    "two conditions without a word between": """
late flagged
     ^
expected `==`, `!=`, `and`, `or` or the end; found `flagged`""",
    "not of another operator": """
id not like "a"
       ^
expected `in`; found `like`""",
    "the end": """
late and
        ^
expected a field, `has`, `not` or `(`; the filter ends here""",
    "beyond the basic plane": """
id == "🦊🦊" or x.y
                ^
expected a field, `has`, `not` or `(`; unknown field `x.y`, there are `id`, `vendor`, `class`, `version`, `sequence`, \
`epoch`, `agent`, `slot`, `boots`, `partition`, `timezone`, `silent_for`, `late`, `flagged`, `quarantined` and `tag.<key>`""",
    "signs that combine": """
id == "e\N{COMBINING ACUTE ACCENT}" $
          ^
no filter has `$` outside of quotes""",
}


@pytest.mark.parametrize("said", ERRORS.values(), ids=ERRORS.keys())
def test_an_error_points_at_the_character(said):
    """The filter, a caret under the first character that can't be, what would be right."""
    text = said.splitlines()[1]
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert str(caught.value) == said.removeprefix("\n")


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ('id == "🦊🦊" or x', 14),
        ("late and\n\nfoo", 10),
        ("", 0),
        ("  \n ", 0),
        ("late or   ", 7),
        ('id == "\x00"', 7),
        ('id == "\ud800"', 7),
        ("late\N{NO-BREAK SPACE}and late", 4),
    ],
)
def test_positions_count_characters(text, position):
    """From 0, whatever the characters are, and over newlines."""
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert caught.value.position == position
    assert caught.value.text == text


def test_newlines_are_shown_as_the_spaces_that_they_are():
    """One line, so that the caret is right."""
    with pytest.raises(FilterError) as caught:
        parse("late and\n\nfoo == 1")
    assert str(caught.value).splitlines()[:2] == ["late and  foo == 1", "          ^"]


def test_a_long_filter_is_shown_around_the_character():
    """The caret stays on the screen, and stands under the character."""
    with pytest.raises(FilterError) as caught:
        parse("late or " * 30 + "foo" + " or late" * 30)
    shown, caret, _message = str(caught.value).splitlines()
    assert shown[0] == shown[-1] == "…"
    assert len(shown) < 110
    assert shown[caret.index("^") :].startswith("foo or late")
