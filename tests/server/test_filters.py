"""Filters: what they mean in SQL and without it, and how they are written."""

import pytest
from filter_fleet import (
    ANY_TEXT,
    CLASSES,
    DEVICE,
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

from pawl_server.filters import matches, normal, parse
from pawl_server.filters.expressions import Comparison, Not, Operator
from pawl_server.filters.fields import FIELDS, Kind
from pawl_server.store import tables
from pawl_server.store.filters import compile_filter


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


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", {"", "[b]1", "b1", "b*1", "b?1", "B1", "éé"}),
        ("b?1", {"b*1", "b?1"}),
        ("b*", {"b1", "b*1", "b?1"}),
        ("[b]1", {"[b]1"}),
        ("[*", {"[b]1"}),
        ("[!a]?", set()),
        ("??", {"b1", "B1", "éé"}),
        ("", {""}),
        ("%", set()),
    ],
)
def test_what_a_pattern_means(empty, pattern, found):
    """Only * and ? stand for others; case counts, and a character is one, however it is stored."""
    fleet = [DEVICE | {"id": one} for one in ("", "[b]1", "b1", "b*1", "b?1", "B1", "éé")]
    with empty.begin_nested() as undone:
        fill(empty, fleet)
        expression = parse(f'id like "{pattern}"')
        assert selected(empty, expression) == meant(expression, fleet) == found
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


def test_a_query_about_tags_can_be_filtered_by_tags(empty):
    """A condition looks for tags by itself, whatever the query around it is about."""
    with empty.begin_nested() as undone:
        fill(empty, [DEVICE | {"tag.line-2": "x"}])
        query = select(tables.device_tags.c.key).join(tables.devices)
        for text in ('tag.site == "b1"', 'tag.site in ("b1")', "has tag.site", 'tag.site != "b2"'):
            found = empty.scalars(query.where(compile_filter(parse(text), VENDORS, NOW_S)))
            assert set(found) == {"site", "line-2"}, text
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
