"""Phases as people write them: what each text means, that writing and reading agree, and where a wrong one is pointed at."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pawl_server.api.plans import PhaseBody
from pawl_server.domain.plan import DAY_MINUTES, SOAK_MAX_S, Phase, PhaseKind, Window
from pawl_tools import phase_text
from pawl_tools.pointed import PointedError

PERCENTS = st.integers(1, 100)
DEVICES = st.integers(1, 1_000_000_000)
WINDOWS = st.builds(
    Window,
    days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    start_minute=st.integers(0, DAY_MINUTES - 1),
    duration_minutes=st.integers(1, DAY_MINUTES),
)
FAILURES = st.one_of(
    st.tuples(DEVICES, st.none()), st.tuples(st.none(), PERCENTS), st.tuples(DEVICES, PERCENTS)
)


@st.composite
def phases(draw):
    kind = draw(st.sampled_from(PhaseKind))
    count, percent = draw(FAILURES)
    return Phase(
        kind=kind,
        group=draw(st.from_regex(r"[a-z][a-z0-9.-]{0,62}", fullmatch=True)) if kind == "group" else "",
        size=draw({"group": st.just(0), "percent": PERCENTS, "count": DEVICES}[kind]),
        success_percent=draw(PERCENTS),
        failure_count=count,
        failure_percent=percent,
        soak_s=draw(st.integers(0, SOAK_MAX_S)),
        concurrency=draw(st.none() | DEVICES),
        starts_at_s=draw(st.none() | st.integers(0, 253_402_300_799)),
        windows=tuple(draw(st.lists(WINDOWS, max_size=3))),
    )


@given(phases())
def test_what_is_written_is_read_as_the_same(phase):
    """Every phase has a text, and that text means this phase."""
    assert phase_text.parse(phase_text.write(phase)) == phase


@given(phases())
def test_the_server_reads_the_same_phase(phase):
    """What is sent is taken by the interface's own reader, and gives the phase again."""
    sent = json.dumps(phase_text.body(phase))
    assert PhaseBody.model_validate_json(sent).phase() == phase


@given(st.text(max_size=60) | st.text(alphabet="10%:soakwinde=,2hm-/+.fri", max_size=40))
def test_any_text_is_a_phase_or_refused_at_a_place_in_it(text):
    """Nothing else comes of a text; what is read can be written."""
    try:
        phase = phase_text.parse(text)
    except PointedError as error:
        phase, place = None, error.position
    assert 0 <= place <= len(text) if phase is None else phase_text.parse(phase_text.write(phase)) == phase


def test_every_option_means_what_it_says():
    """A text with all of them, as the help shows it."""
    assert phase_text.parse(
        "10%:soak=2h,success=95,failures=3,failures-percent=5,at-a-time=100,"
        "from=2026-12-01T22:00Z,window=mon-fri/22:00-04:00+sat/00:00-00:00"
    ) == Phase(
        kind=PhaseKind.PERCENT,
        size=10,
        success_percent=95,
        failure_count=3,
        failure_percent=5,
        soak_s=7200,
        concurrency=100,
        starts_at_s=1_796_162_400,
        windows=(
            Window(days=(0, 1, 2, 3, 4), start_minute=1320, duration_minutes=360),
            Window(days=(5,), start_minute=0, duration_minutes=1440),
        ),
    )


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("canary", Phase(kind=PhaseKind.GROUP, group="canary")),
        ("50", Phase(kind=PhaseKind.COUNT, size=50)),
        ("100%", Phase(kind=PhaseKind.PERCENT, size=100)),
        ("5:soak=1d", Phase(kind=PhaseKind.COUNT, size=5, soak_s=86400)),
        (
            "a:failures-percent=5",
            Phase(kind=PhaseKind.GROUP, group="a", failure_count=None, failure_percent=5),
        ),
        (
            "a:window=sat-mon.wed/23:30-00:15",
            Phase(
                kind=PhaseKind.GROUP,
                group="a",
                windows=(Window(days=(0, 2, 5, 6), start_minute=1410, duration_minutes=45),),
            ),
        ),
        (
            "a:window=22:00-04:00",
            Phase(
                kind=PhaseKind.GROUP,
                group="a",
                windows=(Window(days=tuple(range(7)), start_minute=1320, duration_minutes=360),),
            ),
        ),
        ("a:from=2026-12-01T22:00+01:00", Phase(kind=PhaseKind.GROUP, group="a", starts_at_s=1_796_158_800)),
    ],
)
def test_short_texts_mean_what_they_say(text, phase):
    """What isn't said is as a phase is by itself."""
    assert phase_text.parse(text) == phase


@pytest.mark.parametrize(
    ("text", "marked", "expected"),
    [
        ("", "", "a group's name"),
        ("Canary", "Canary", "a group's name"),
        ("0%", "0%", "a number from 1 to 100"),
        ("101%", "101%", "a number from 1 to 100"),
        ("0", "0", "a number from 1 to 1000000000"),
        ("10 %", "10 %", "a number from 1 to 100"),
        ("10%:", "", "an option: soak=, success="),
        ("10%:soak", "soak", "an option"),
        ("10%:soak=2h,sucess=95", "sucess=95", "an option"),
        ("10%:soak=2h,soak=3h", "soak=3h", "soak was said before"),
        ("10%:soak=2", "2", "a duration such as 90s, 30m, 2h or 1d"),
        ("10%:soak=2w", "2w", "a duration"),
        ("10%:soak=366d", "366d", "at most 365d"),
        ("10%:success=0", "0", "a number from 1 to 100"),
        ("10%:from=2026-12-01T22:00", "2026-12-01T22:00", "a time with its zone"),
        ("10%:from=monday", "monday", "a time with its zone"),
        ("10%:window=mon-fri", "mon-fri", "a window such as mon-fri/22:00-04:00"),
        ("10%:window=mon", "mon", "a window such as mon-fri/22:00-04:00"),
        ("10%:window=mo/22:00-04:00", "mo/22:00-04:00", "a day: mon, tue"),
        ("10%:window=mon-fry/22:00-04:00", "fry/22:00-04:00", "a day"),
        ("10%:window=mon/22:00-25:00", "25:00", "a time of day"),
        ("10%:window=mon/22:00-04:00+", "", "a window"),
    ],
)
def test_a_wrong_part_is_pointed_at(text, marked, expected):
    """The caret stands under the part, and the message says what is expected there."""
    with pytest.raises(PointedError) as caught:
        phase_text.parse(text)
    message, shown, caret = str(caught.value).split("\n")
    assert expected in message
    assert shown == f"  {text}"
    assert caret.endswith("^")
    assert text[len(caret) - 3 :].startswith(marked) and text.index(marked, len(caret) - 3) == len(caret) - 3


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("30m", 1800), ("24h", 86400), ("2d", 172800)]
)
def test_durations(text, seconds):
    """In seconds; written again in the largest unit that says it whole."""
    assert phase_text.parse_duration(text) == seconds
    assert phase_text.parse_duration(phase_text.write_duration(seconds)) == seconds
