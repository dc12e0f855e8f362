"""Versions: what people write, and keys that sort as devices compare."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pawl.policy import compare_versions
from pawl_server.domain.versions import VersionError, parse_version, version_key, version_text

NUMBERS = st.one_of(
    st.integers(-4, 4),
    st.integers(-(2**64), 2**64 - 1),
    st.sampled_from([255, 256, -255, -256, 65535, 65536]),
)
VERSIONS = st.lists(NUMBERS, min_size=1, max_size=6).map(tuple)


@given(one=VERSIONS, other=VERSIONS)
@example(one=(1, 4), other=(1, 4, 0))
@example(one=(1, 4), other=(1, 4, -1))
@example(one=(1, 4, -1, 1), other=(1, 4, -1))
def test_keys_sort_as_devices_compare(one, other):
    """The order of keys is the device's own order of versions, for any two of them."""
    keys = version_key(one), version_key(other)
    assert (keys[0] > keys[1]) - (keys[0] < keys[1]) == compare_versions(one, other)


@given(base=VERSIONS, places=st.lists(st.tuples(st.integers(0, 5), st.integers(-2, 2)), max_size=2))
def test_keys_of_neighbours_sort_as_devices_compare(base, places):
    """Versions that differ in a place or two, by little: what random ones rarely are."""
    other = [*base, *[0] * (6 - len(base))]
    for place, by in places:
        other[place] = max(-(2**64), min(2**64 - 1, other[place] + by))
    keys = version_key(base), version_key(other)
    assert (keys[0] > keys[1]) - (keys[0] < keys[1]) == compare_versions(base, tuple(other))


@given(VERSIONS)
def test_a_version_is_read_as_it_is_written(version):
    """Whatever a device can report is written so that it is read again, number by number."""
    assert parse_version(version_text(version)) == version
    assert version_key(version_text(version)) == version_key(version)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1", (1,)),
        ("1.4", (1, 4)),
        ("1.4.0", (1, 4, 0)),
        ("1.4-rc.1", (1, 4, -1, 1)),
        ("1.2-beta", (1, 2, -2)),
        ("1.2.0-alpha.3", (1, 2, 0, -3, 3)),
        ("1.4.-1.1", (1, 4, -1, 1)),
    ],
)
def test_what_people_write(text, version):
    """Numbers with dots; the words stand for the negative numbers that SUIT gives them."""
    assert parse_version(text) == version


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "1.",
        ".1",
        "1..2",
        "1.x",
        "v1",
        "1.4-rc1",
        "1.4-pre.1",
        "1 .2",
        "1_0",
        "+1",
        "rc.1",
        "1.2.3.4.5.6.7",
    ],
)
def test_what_is_no_version(text):
    """Anything else is refused, with the text and an example."""
    with pytest.raises(VersionError, match="is not a version"):
        parse_version(text)


def test_a_number_that_no_device_can_report_is_refused():
    """CBOR's integers end at 64 bits."""
    assert parse_version(f"1.{2**64 - 1}") == (1, 2**64 - 1)
    with pytest.raises(VersionError, match="64 bits"):
        parse_version(f"1.{2**64}")


def test_digits_of_other_scripts_are_refused():
    """One version has one way to be typed."""
    with pytest.raises(VersionError, match="is not a version"):
        parse_version("1.\N{ARABIC-INDIC DIGIT FOUR}")
