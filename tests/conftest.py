"""What every test run says at its end: seconds per folder, and each skipped test with its reason."""

from collections import Counter

import pytest

_seconds_by_folder: Counter[str] = Counter()


def _folder_of(nodeid: str) -> str:
    path = nodeid.split("::", maxsplit=1)[0].removeprefix("tests/")
    return path.split("/", maxsplit=1)[0] if "/" in path else "."


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the reason; pytest keeps a skip as (file, line, text)."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


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
