"""What the benchmarks count in bytes holds on every machine; what they time is never asserted."""

import pytest

from benchmarks import authorisation, download, run
from benchmarks.figures import Figure, table
from benchmarks.shares import spent_ms
from pawl_tools import toolchain


@pytest.fixture(scope="module")
def programs():
    return toolchain.find()


def test_what_authorises_an_update_stays_below_its_goals(programs):
    """At most 500 bytes with one signature, 600 with two of three, and less than python-tuf's in the same run."""
    for figure in authorisation.measure(programs):
        assert figure.value <= figure.goal, figure
        assert figure.ratio < 0.5, figure


def test_deflate_is_never_larger_than_plain(programs):
    """Of these images: a release has the deflate variant only where it is smaller."""
    assert all(figure.ratio <= 1 for figure in download.measure(programs))


def test_a_table_shows_ratio_and_goal():
    """Names left, numbers right; a goal says whether it was met."""
    figures = [
        Figure(name="size", value=493, unit="B", reference="other", reference_value=1000, goal=500),
        Figure(name="time", value=2.5, unit="ms", reference="other", reference_value=10),
    ]
    assert table(figures).splitlines()[1:] == [
        "size       493 B  other      1000 B  0.493  500 B: met",
        "time      2.5 ms  other       10 ms  0.250",
    ]
    assert figures[0].as_json()["ratio"] == 0.493


def test_times_are_added_up_over_the_restart_and_end_with_the_update():
    """What the device tells before the update, or of a later check-in, is not of it."""
    console = [
        "bench: spent flash 9000",
        "pawl: state DOWNLOAD",
        "pawl: state REBOOT",
        "bench: spent flash 1500",
        "pawl: boot 2 row 5 slot B",
        "pawl: state CLEANUP",
        "bench: spent flash 500",
        "bench: spent hash 250",
        "pawl: state IDLE",
        "pawl: state CLEANUP",
        "bench: spent flash 9000",
    ]
    assert spent_ms(console) == {"flash": 2, "hash": 0.25}


def test_an_unknown_benchmark_is_refused(monkeypatch, capsys):
    """One line that names it, and nothing is measured."""
    monkeypatch.setattr("sys.argv", ["run", "heat"])
    with pytest.raises(SystemExit):
        run.main()
    assert "no benchmark is called heat" in capsys.readouterr().err
