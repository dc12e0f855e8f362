"""What every test run says at its end: seconds per folder, each skipped test with its reason, and what runs by hand only.

A test marked `by_hand` waits for minutes of real time: it runs where PAWL_BY_HAND is set, or when it is named.
"""

import os
from collections import Counter

import pytest

_seconds_by_folder: Counter[str] = Counter()
_left_out: list[str] = []


def _folder_of(nodeid: str) -> str:
    path = nodeid.split("::", maxsplit=1)[0].removeprefix("tests/")
    return path.split("/", maxsplit=1)[0] if "/" in path else "."


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the reason; pytest keeps a skip as (file, line, text)."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "by_hand: waits for minutes; PAWL_BY_HAND=1 runs it, or its own name")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("PAWL_BY_HAND"):
        return
    named = " ".join(config.args)
    slow = [item for item in items if item.get_closest_marker("by_hand") and item.name not in named]
    if slow:
        _left_out.extend(item.nodeid for item in slow)
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds_by_folder[_folder_of(report.nodeid)] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _seconds_by_folder:
        terminalreporter.section("seconds per folder of tests/")
        for folder, seconds in _seconds_by_folder.most_common():
            terminalreporter.line(f"{seconds:8.1f}  {folder}")
    if skipped := terminalreporter.stats.get("skipped"):
        terminalreporter.section(f"skipped: {len(skipped)}")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {_skip_reason(report)}")
    if _left_out:
        terminalreporter.section(f"by hand only (PAWL_BY_HAND=1): {len(_left_out)}")
        for nodeid in _left_out:
            terminalreporter.line(nodeid)
