"""Filters: what they mean in SQL and without it, how they are written, and what is said of a text that is none."""

import time

import pytest
from filter_fleet import (
    ANY_TEXT,
    CLASSES,
    EXPRESSIONS,
    FLEETS,
    NOW_S,
    VENDORS,
    database,
    fill,
    meant,
    selected,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, not_, select

from pawl_server.filters import FilterError, matches, normal, parse
from pawl_server.filters.expressions import Comparison, Flag, Membership, Not, Operator
from pawl_server.filters.fields import FIELDS, Kind
from pawl_server.filters.parsing import CONDITIONS_MAX, DEPTH_MAX, TEXT_MAX_CHARACTERS
from pawl_server.store import tables
from pawl_server.store.filters import compile_filter

DEVICE = {
    "id": "bench-1",
    "vendor": VENDORS[0],
    "class": CLASSES[0],
    "version": (1, 4, -1, 1),
    "epoch": 1,
    "sequence": 7,
    "agent": None,
    "slot": "A",
    "boots": 3,
    "partition": 5,
    "timezone": "Europe/Berlin",
    "silent_for": 7200,
    "late": False,
    "flagged": True,
    "quarantined": False,
    "tag.site": "b1",
}
LONGEST = [
    "(" * 2000,
    "not " * 500,
    "late and " * 222,
    '"' * 2000,
    '"' + "\\" * 1999,
    'id in ("' + '","' * 660 + '")',
    "a" * 2000,
    "partition in (" + "1," * 992 + "1)",
    "(late or " * 222,
    "sequence == " + "9" * 1988,
    "-" * 2000,
    "\n" * 2000,
    "\N{FOX FACE}" * 2000,
    'tag.a like "' + "*a" * 990 + '"',
]


@pytest.fixture(scope="module")
def empty():
    with database() as connection:
        yield connection


@given(fleet=FLEETS, expressions=st.lists(EXPRESSIONS, min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_the_database_finds_the_devices_that_are_meant(empty, fleet, expressions):
    """SQL over rows and the evaluator over facts agree about every device, and about which it doesn't find."""
    with empty.begin_nested() as undone:
        fill(empty, fleet)
        for expression in expressions:
            assert selected(empty, expression) == meant(expression, fleet), normal(expression)
            inverse = select(tables.devices.c.id).where(not_(compile_filter(expression, VENDORS, NOW_S)))
            assert set(empty.scalars(inverse)) == meant(Not(operand=expression), fleet), normal(expression)
        undone.rollback()


@given(EXPRESSIONS)
@settings(deadline=None)
def test_a_filter_is_read_as_it_is_written(expression):
    """The text that is stored means what was stored."""
    assert parse(normal(expression)) == expression


@given(ANY_TEXT)
def test_any_text_can_be_quoted(text):
    """Quotes and backslashes in a value end nothing."""
    expression = Comparison(field="tag.x", operator=Operator.EQUAL, value=text)
    assert parse(normal(expression)) == expression


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (
            'class=="esp32"and tag.site in("b1","b2")and version<"1.4"',
            'class == "esp32" and tag.site in ("b1", "b2") and version < "1.4"',
        ),
        ("((late))", "late"),
        ("late == true", "late"),
        ("late != true", "late == false"),
        ("late != false", "late"),
        ('silent_for > "72h"', 'silent_for > "3d"'),
        ('silent_for > "90s"', 'silent_for > "90s"'),
        ('version == "1.4.-1.2"', 'version == "1.4-rc.2"'),
        ('version == "1.4.0"', 'version == "1.4.0"'),
        ("boots == 007", "boots == 7"),
        ('class == "{01234567-89AB-cdef-0123-456789abcdef}"', 'class == "0123456789abcdef0123456789abcdef"'),
        ("late\n\tor\r\nflagged", "late or flagged"),
        ("(late and flagged) or quarantined", "late and flagged or quarantined"),
        ("late and (flagged or quarantined)", "late and (flagged or quarantined)"),
        ("not (late or flagged)", "not (late or flagged)"),
        ('not (id == "a")', 'not id == "a"'),
        ("late and (flagged and quarantined)", "late and (flagged and quarantined)"),
    ],
)
def test_what_is_stored(text, written):
    """One way to write each filter, which is read as the same one."""
    assert normal(parse(text)) == written
    assert parse(written) == parse(text)


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ('class == "esp32" and vendor == "example.com"', True),
        ('class == "rp2"', False),
        ('version < "1.4"', True),
        ('version < "1.4.0"', True),
        ('version > "1.4-beta"', True),
        ('version == "1.4-rc.1.0"', True),
        ("epoch == 1 and sequence == 7", True),
        ('id like "bench-?"', True),
        ('id like "BENCH-?"', False),
        ('id like "bench"', False),
        ('slot == "A" and boots >= 3 and partition in (4, 5)', True),
        ('silent_for > "1h" and silent_for <= "2h"', True),
        ("flagged and not late and not quarantined", True),
        ("has tag.site and not has tag.floor and has late", True),
        ('tag.site != "b2"', True),
        # Of what a device lacks, nothing is true but that it isn't so.
        ('tag.floor == "1"', False),
        ('tag.floor != "1"', False),
        ('tag.floor not in ("1")', False),
        ('not tag.floor == "1"', True),
        ('not tag.floor != "1"', True),
        ('agent like "*"', False),
        ('not agent like "*"', True),
        # `and` binds more than `or`, `not` more than both.
        ("late and late or flagged", True),
        ("not late and flagged", True),
        ("not (late and flagged)", True),
    ],
)
def test_what_a_filter_means(empty, text, is_so):
    """One device, with and without a database."""
    assert matches(parse(text), DEVICE) is is_so
    with empty.begin_nested() as undone:
        fill(empty, [DEVICE])
        assert bool(selected(empty, parse(text))) is is_so
        undone.rollback()


def test_a_class_name_is_one_of_the_devices_own_vendor(empty):
    """The same name is another class with another vendor; a class that is written as a UUID is itself."""
    odd = DEVICE | {"id": "odd", "vendor": VENDORS[1]}
    with empty.begin_nested() as undone:
        fill(empty, [DEVICE, odd])
        assert selected(empty, parse('class == "esp32"')) == {"bench-1"}
        assert selected(empty, parse('class != "esp32"')) == {"odd"}
        assert selected(empty, parse(f'class == "{CLASSES[0].hex()}"')) == {"bench-1", "odd"}
        undone.rollback()


def test_without_known_vendors_no_class_name_matches(empty):
    """A fleet without devices can be filtered, too."""
    condition = compile_filter(parse('class in ("esp32", "rp2") or not class == "rp2"'), [], NOW_S)
    assert empty.scalar(select(func.count()).select_from(tables.devices).where(condition)) == 0


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


def nested(depth):
    """Return a filter with as many levels of `not` and parentheses, and other operands on each."""
    return "not (late or " * (depth // 2) + "flagged" + ")" * (depth // 2)


def test_the_deepest_filter_is_taken_and_one_deeper_is_not(empty):
    """32 levels of parentheses and `not`, in SQL too; the caret is under the one that is too much."""
    for text in (nested(DEPTH_MAX), "(" * DEPTH_MAX + "late" + ")" * DEPTH_MAX, "not " * DEPTH_MAX + "late"):
        assert selected(empty, parse(text)) == set()
        with pytest.raises(FilterError, match="more than 32 deep") as caught:
            parse(f"(not late) and ({text})" if text.startswith("(") else f"not {text}")
        assert text[-1] in ")e" and caught.value.position > 0
    with pytest.raises(FilterError, match="more than 32 deep") as caught:
        parse("(" * 33 + "late" + ")" * 33)
    assert caught.value.position == DEPTH_MAX


def test_depth_is_not_length():
    """Levels that ended don't count: side by side there may be as many as fit."""
    text = " and ".join(["not (not late)"] * 99)
    assert len(parse(text).operands) == 99


def test_as_many_conditions_as_may_be(empty):
    """100 are taken, by the database too; the 101st is pointed at."""
    text = " and ".join(["late"] * CONDITIONS_MAX)
    assert selected(empty, parse(text)) == set()
    with pytest.raises(FilterError, match="at most 100 conditions") as caught:
        parse(text + " or flagged")
    assert caught.value.position == len(text) + 4


def test_the_longest_list_and_the_longest_text(empty):
    """Length bounds lists; a filter that fits only without its spaces isn't taken, since it couldn't be stored."""
    longest = "partition in (" + ", ".join(["1"] * 661) + ")"
    assert len(longest) <= TEXT_MAX_CHARACTERS
    assert selected(empty, parse(longest)) == set()
    with pytest.raises(FilterError, match="at most 2000 can be stored"):
        parse("partition in (" + "1," * 900 + "1)")
    with pytest.raises(FilterError, match="at most 2000 characters, this one has 2001") as caught:
        parse("late" + " " * 1997)
    assert caught.value.position == TEXT_MAX_CHARACTERS
    assert parse("late" + " " * 1996) == Flag(field="late")


def test_the_most_class_names_that_fit(empty):
    """Each with every known vendor."""
    names = [chr(0x4E00 + number) for number in range(390)]
    expression = Membership(field="class", values=tuple(names))
    assert parse(normal(expression)) == expression
    vendors = [number.to_bytes(16) for number in range(40)]
    condition = compile_filter(expression, vendors, NOW_S)
    assert empty.scalar(select(func.count()).select_from(tables.devices).where(condition)) == 0


WORDS = st.sampled_from(
    [
        "and",
        "or",
        "not",
        "in",
        "like",
        "has",
        "(",
        ")",
        ",",
        "==",
        "<",
        "late",
        "version",
        "tag.a",
        "class",
        '"1.4"',
    ]
    + ["3", "true", '"x', "\\", "clas", "\n", "-1", "🦊", "\ud800", "\x00", "1.4", "$END"]
)


@given(
    st.one_of(
        st.text(), st.lists(WORDS, max_size=30).map(" ".join), st.lists(WORDS, max_size=30).map("".join)
    )
)
@settings(max_examples=1000, deadline=None)
def test_any_text_is_a_filter_or_an_error(text):
    """Nothing else comes out, and what is said of an error can be printed, in three lines."""
    try:
        expression = parse(text)
    except FilterError as error:
        lines = str(error).split("\n")
        assert len(lines) == 3 and lines[1].strip() == "^"
        assert 0 <= error.position <= len(text)
        assert str(error).encode()
    else:
        assert parse(normal(expression)) == expression


@pytest.mark.parametrize("text", LONGEST, ids=lambda text: text[:12])
def test_the_worst_texts_take_no_time(text):
    """Nothing in lexer, parser or messages goes back over what it read."""
    parse("late")
    began_s = time.process_time()
    try:
        parse(text[:TEXT_MAX_CHARACTERS])
    except FilterError as error:
        str(error)
    assert time.process_time() - began_s < 1


def test_a_pattern_of_stars_takes_no_time(empty):
    """The database's globbing doesn't try every way to spread what the stars stand for."""
    with empty.begin_nested() as undone:
        fill(empty, [DEVICE | {"tag.site": "a" * 500}])
        began_s = time.process_time()
        assert selected(empty, parse('tag.site like "' + "*a" * 200 + '*b"')) == set()
        assert time.process_time() - began_s < 1
        undone.rollback()


def test_every_field_is_in_the_database(empty):
    """No field is known to the grammar alone."""
    examples = {
        Kind.NUMBER: "== 1",
        Kind.SPAN: '> "1s"',
        Kind.VERSION: '== "1"',
        Kind.SLOT: '== "A"',
        Kind.FLAG: "",
    }
    for name, field in FIELDS.items():
        for text in (name + " " + examples.get(field.kind, '== "x"'), f"has {name}"):
            assert selected(empty, parse(text)) == set()
