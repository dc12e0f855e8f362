"""pytest plugin of tests on boards: `--board`, `--emulator`, `--port`, the fixture `bench`, logs kept of what failed.

A test that takes `bench` is a board test. Marked `@pytest.mark.emulators("qemu")` it runs there only. Renode may be
absent: the run's last lines then count what didn't run on it. A missing QEMU is an error.
"""

import re
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pawl_boards import drivers, renode
from pawl_boards.bench import Bench
from pawl_boards.serial_board import SerialBench

_IS_KEPT = pytest.StashKey[Path]()
_RENODE_TESTS = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose boards."""
    group = parser.getgroup("boards")
    group.addoption("--board", default="virt_rv32", help="kind of board, a folder of boards/")
    choices = [*drivers.EMULATORS, drivers.SERIAL]
    group.addoption("--emulator", default=drivers.QEMU, choices=choices, help="what runs it")
    group.addoption("--port", default=None, help="serial: the port of the board's console")
    group.addoption("--line-port", default=None, help="serial: the port of the board's line")
    group.addoption("--power-command", default=None, help="serial: program that is called with `on` or `off`")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; refuse a serial run without a port."""
    config.addinivalue_line("markers", "emulators(*names): a board test that runs on these only")
    if config.getoption("--emulator") == drivers.SERIAL and not config.getoption("--port"):
        raise pytest.UsageError("--emulator serial needs --port, for example --port /dev/ttyUSB0")


def _runs_on(item: pytest.Item, emulator: str) -> bool:
    marker = item.get_closest_marker("emulators")
    return marker is None or emulator in marker.args


def _is_board_test(item: pytest.Item) -> bool:
    """Return whether it takes the `bench` of this plugin, not another folder's fixture of that name, or has the marker."""
    if item.get_closest_marker("emulators") is not None:
        return True
    known = getattr(item, "_fixtureinfo", None)
    fixtures: Sequence[Any] = () if known is None else known.name2fixturedefs.get("bench", ())
    return bool(fixtures) and fixtures[-1].func.__module__ == __name__


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what doesn't run on this emulator."""
    emulator = config.getoption("--emulator")
    others = [item for item in items if _is_board_test(item) and not _runs_on(item, emulator)]
    if others:
        items[:] = [item for item in items if item not in others]
        config.hook.pytest_deselected(items=others)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Count the chosen tests that would run on Renode."""
    board_tests = [item for item in session.items if _is_board_test(item)]
    session.config.stash[_RENODE_TESTS] = sum(_runs_on(item, drivers.RENODE) for item in board_tests)


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench | SerialBench]:
    """Boards for this test, of the kind and on the emulator that the options name."""
    made = _make_bench(request.config, tmp_path / "boards")
    try:
        yield made
    finally:
        made.close()


def _make_bench(config: pytest.Config, folder: Path) -> Bench | SerialBench:
    emulator, kind = config.getoption("--emulator"), config.getoption("--board")
    if emulator == drivers.SERIAL:
        return SerialBench(kind, config.option, folder)
    if emulator == drivers.RENODE and renode.find() is None:
        pytest.skip(renode.ABSENT)
    return Bench(kind, drivers.EMULATORS[emulator], folder, drivers.PATIENCE[emulator])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the boards' logs of a test that failed, and name the folder in its report."""
    report = yield
    bench = getattr(item, "funcargs", {}).get("bench")
    if report.failed and isinstance(bench, (Bench, SerialBench)):
        folder = item.config.rootpath / "build" / "board-logs" / re.sub(r"[^\w.-]+", "-", item.nodeid)
        if _IS_KEPT not in item.stash:
            bench.keep(folder)
            item.stash[_IS_KEPT] = folder
        report.sections.append(("boards", f"consoles, lines and flash are kept in {folder}"))
    return report


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Count what didn't run for want of Renode, as the last lines."""
    count = config.stash.get(_RENODE_TESTS, 0)
    if count and config.getoption("--emulator") != drivers.SERIAL and renode.find() is None:
        terminalreporter.line(f"{count} board tests on Renode did not run: {renode.ABSENT}")
