"""Bounds of filters: length, depth, conditions and time; whatever the text is, nothing but a FilterError is raised."""

import time

import pytest
from filter_fleet import (
    DEVICE,
    NOW_S,
    database,
    fill,
    selected,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from pawl_server.filters import FilterError, normal, parse
from pawl_server.filters.expressions import Flag, Membership
from pawl_server.filters.parsing import CONDITIONS_MAX, DEPTH_MAX, TEXT_MAX_CHARACTERS
from pawl_server.store import tables
from pawl_server.store.filters import compile_filter

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


DEEPEST = {
    "parentheses": "(" * DEPTH_MAX + "late" + ")" * DEPTH_MAX,
    "not": "not " * DEPTH_MAX + "late",
    "both": "not (late or " * (DEPTH_MAX // 2) + "flagged" + ")" * (DEPTH_MAX // 2),
    # The parentheses of its list are a level, its `not` is none.
    "not in": "(" * (DEPTH_MAX - 1) + 'id not in ("a")' + ")" * (DEPTH_MAX - 1),
}


@pytest.mark.parametrize("text", DEEPEST.values(), ids=DEEPEST.keys())
def test_the_deepest_filter_is_taken_and_one_deeper_is_not(empty, text):
    """32 levels of parentheses and `not` are taken, by the database too; one more around them is too much."""
    assert selected(empty, parse(text)) == set()
    with pytest.raises(FilterError, match="more than 32 deep"):
        parse(f"({text})")


@pytest.mark.parametrize(
    ("text", "position"), [("(" * 33 + "late" + ")" * 33, 32), ("not " * 33 + "late", 128)]
)
def test_the_level_that_is_too_much_is_pointed_at(text, position):
    """Counted from the outside."""
    with pytest.raises(FilterError, match="more than 32 deep") as caught:
        parse(text)
    assert caught.value.position == position


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
        *[
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
            "3",
            "true",
            "clas",
            "-1",
            "1.4",
            "$END",
        ],
        *('"1.4"', '"x', "\\", "\n", "\N{FOX FACE}"),
        # What JSON can bring, and nothing can print.
        *("\ud800", "\x00"),
    ]
)


def said_of(text):
    """Return what is said of a text: the filter it is, or the error."""
    try:
        return parse(text)
    except FilterError as error:
        return error


@given(
    st.one_of(
        st.text(), st.lists(WORDS, max_size=30).map(" ".join), st.lists(WORDS, max_size=30).map("".join)
    )
)
@settings(max_examples=1000, deadline=None)
def test_any_text_is_a_filter_or_an_error(text):
    """Nothing else comes out, and what is said of an error can be printed, in three lines."""
    said = said_of(text)
    if not isinstance(said, FilterError):
        assert parse(normal(said)) == said
        return
    lines = str(said).split("\n")
    assert len(lines) == 3 and lines[1].strip() == "^"
    assert 0 <= said.position <= len(text)
    assert str(said).encode()


@pytest.mark.parametrize("text", LONGEST, ids=lambda text: text[:12])
def test_the_worst_texts_take_no_time(text):
    """Nothing in lexer, parser or messages goes back over what it read."""
    parse("late")
    began_s = time.process_time()
    str(said_of(text[:TEXT_MAX_CHARACTERS]))
    assert time.process_time() - began_s < 1


def test_a_pattern_of_stars_takes_no_time(empty):
    """The database's globbing doesn't try every way to spread what the stars stand for."""
    with empty.begin_nested() as undone:
        fill(empty, [DEVICE | {"tag.site": "a" * 500}])
        began_s = time.process_time()
        assert selected(empty, parse('tag.site like "' + "*a" * 200 + '*b"')) == set()
        assert time.process_time() - began_s < 1
        undone.rollback()
