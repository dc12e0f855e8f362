"""Random filters, and random devices as rows of a real SQLite and as the facts that filters are about."""

from contextlib import contextmanager

from hypothesis import strategies as st
from sqlalchemy import create_engine, insert, select

from pawl_server.domain.identifiers import class_id, vendor_id
from pawl_server.domain.versions import version_key, version_text
from pawl_server.filters import matches
from pawl_server.filters.expressions import And, Comparison, Flag, Has, Like, Membership, Not, Operator, Or
from pawl_server.filters.fields import FIELDS, OPERATORS, Kind, field_of
from pawl_server.filters.values import SLOTS
from pawl_server.store import tables
from pawl_server.store.filters import compile_filter

NOW_S = 1_800_000_000
ANY_TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=6)
# Few, so that filters and devices meet; with all that quoting, patterns and collations could get wrong.
TEXTS = st.sampled_from(
    ["b1", "b2", "B1", "", "bench-1", 'a"b', "a\\b", "[b]1", "b*1", "%", "_", "é", "🦊", "' or 1=1 --"]
)
VENDOR_NAMES = ("example.com", "example.org")
VENDORS = tuple(map(vendor_id, VENDOR_NAMES))
CLASS_NAMES = ("esp32", "rp2")
CLASSES = tuple(class_id(vendor, name) for vendor in VENDORS for name in CLASS_NAMES)
VERSIONS = st.one_of(
    st.sampled_from(
        [(1,), (1, 4), (1, 4, 0), (1, 4, -1), (1, 4, -1, 1), (1, 3, 9), (2, 0), (0,), (-1,), (1, 256)]
    ),
    st.lists(st.integers(-3, 300), min_size=1, max_size=6).map(tuple),
)
SPANS_S = st.sampled_from([0, 1, 60, 3600, 86400, 3 * 86400])
TAGS = ("tag.site", "tag.line-2")


def numbers(limit):
    """Return small numbers and those at the limit."""
    return st.sampled_from([number for number in (0, 1, 2, 255, 256, limit - 1, limit) if number <= limit])


def values(name):
    """Return values of a field as filters have them."""
    field = field_of(name)
    return {
        Kind.TEXT: TEXTS,
        Kind.VENDOR: st.sampled_from([*VENDOR_NAMES, *VENDORS]),
        Kind.CLASS: st.sampled_from([*CLASS_NAMES, *CLASSES]),
        Kind.VERSION: VERSIONS,
        Kind.NUMBER: numbers(field.limit),
        Kind.SLOT: st.sampled_from(SLOTS),
        Kind.SPAN: SPANS_S,
    }[field.kind]


PATTERNS = st.one_of(
    TEXTS,
    ANY_TEXT,
    st.lists(st.sampled_from(["*", "?", "b", "1", "-", "[", "]", "^", "é"]), max_size=6).map("".join),
)


@st.composite
def conditions(draw):
    """Return one condition of any field, of each kind that the field takes."""
    name = draw(st.sampled_from([*FIELDS, *TAGS]))
    taken = OPERATORS[field_of(name).kind]
    if field_of(name).kind is Kind.FLAG:
        return draw(st.sampled_from([Flag(field=name), Flag(field=name, is_true=False), Has(field=name)]))
    match draw(st.sampled_from([*taken, "has"])):
        case "has":
            return Has(field=name)
        case "like":
            return Like(field=name, pattern=draw(PATTERNS))
        case "in" | "not in" as word:
            found = tuple(draw(st.lists(values(name), min_size=1, max_size=4)))
            return Membership(field=name, values=found, is_negated=word == "not in")
        case operator:
            return Comparison(field=name, operator=Operator(operator), value=draw(values(name)))


def _combined(operands):
    several = st.lists(operands, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        operands.map(lambda one: Not(operand=one)),
        several.map(lambda some: And(operands=some)),
        several.map(lambda some: Or(operands=some)),
    )


EXPRESSIONS = st.recursive(conditions(), _combined, max_leaves=8)


@st.composite
def facts(draw):
    """Return the values of one device's fields; what it may lack is None as often as not."""
    sequence = draw(st.one_of(st.none(), st.tuples(*[numbers(2**32 - 1)] * 2)))
    optional = {
        "version": VERSIONS,
        "agent": TEXTS,
        "slot": st.sampled_from(SLOTS),
        "boots": numbers(2**64 - 1),
        "silent_for": SPANS_S,
        "tag.site": TEXTS,
        "tag.line-2": TEXTS,
    }
    return {
        "id": draw(TEXTS),
        "vendor": draw(st.sampled_from([*VENDORS, bytes(16)])),
        "class": draw(st.sampled_from([*CLASSES, bytes(16)])),
        "epoch": sequence and sequence[0],
        "sequence": sequence and sequence[1],
        "partition": draw(numbers(63)),
        "timezone": draw(TEXTS),
        **{name: draw(st.booleans()) for name in ("late", "flagged", "quarantined")},
        **{name: draw(st.one_of(st.none(), kind)) for name, kind in optional.items()},
    }


FLEETS = st.lists(facts(), max_size=10, unique_by=lambda one: one["id"])


def device_row(one):
    """Return the row of a device with these facts."""
    is_ranked = one["epoch"] is not None
    return {
        "id": one["id"],
        "partition": one["partition"],
        "vendor": one["vendor"],
        "class_id": one["class"],
        "report_x": b"",
        "report_y": b"",
        "first_number": 0,
        "next_number": 0,
        "boots": one["boots"],
        "running": None if one["slot"] is None else SLOTS.index(one["slot"]),
        "ratchet_sequence": one["epoch"] << 32 | one["sequence"] if is_ranked else None,
        "last_seen_s": None if one["silent_for"] is None else NOW_S - one["silent_for"],
        "is_late": one["late"],
        "flagged_at_s": NOW_S if one["flagged"] else None,
        "timezone": one["timezone"],
        "confirmed_version_key": None if one["version"] is None else version_key(one["version"]),
        "confirmed_version": None if one["version"] is None else version_text(one["version"]),
        "failures": 3 if one["quarantined"] else 2,
        "agent": one["agent"],
    }


def tag_rows(one):
    """Return the rows of a device's tags."""
    return [
        {"device": one["id"], "key": tag[4:], "value": one[tag]} for tag in TAGS if one.get(tag) is not None
    ]


# One device that lacks its agent and most tags.
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


@contextmanager
def database():
    """Open a SQLite of one's own, in memory, with the tables."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        tables.metadata.create_all(connection)
        yield connection
    engine.dispose()


def fill(connection, fleet):
    """Put these devices in."""
    if fleet:
        connection.execute(insert(tables.devices), [device_row(one) for one in fleet])
    if tags := [row for one in fleet for row in tag_rows(one)]:
        connection.execute(insert(tables.device_tags), tags)


def selected(connection, expression):
    """Return the ids of the devices that the database finds."""
    condition = compile_filter(expression, VENDORS, NOW_S)
    return set(connection.scalars(select(tables.devices.c.id).where(condition)))


def meant(expression, fleet):
    """Return the ids of the devices that match, as the language says."""
    return {one["id"] for one in fleet if matches(expression, one)}
