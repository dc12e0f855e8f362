"""The recorder of attacks, and the table at the end of the run."""

import gc
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "device"))
sys.path.insert(0, str(Path(__file__).parents[1] / "server"))
sys.path.append(str(Path(__file__).parents[1] / "tools"))

from attack_table import NAMED, Row, lines
from broker_bench import make_bench
from running_server import running

from pawl_server.domain.registration import Registration

HERE = Path(__file__).parent
ROWS = pytest.StashKey()
PASSED = pytest.StashKey()
CUT = pytest.StashKey()


@pytest.fixture(scope="module", autouse=True)
def cheap_collections():
    """Keep what was there before out of garbage collection: the agent collects after each job."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def attack(request):
    """Return a function that opens a Row; a test that passes without completing it fails."""
    rows = request.config.stash.setdefault(ROWS, [])
    opened = []

    def open_row(identifier, words):
        assert request.node.name.startswith(f"test_{identifier.lower()}_"), "the test is named by its row"
        row = Row(id=identifier, attack=words, node=request.node.nodeid)
        opened.append(row)
        rows.append(row)
        return row

    yield open_row
    if request.node.stash.get(PASSED, False):
        assert opened, "the test recorded no attack"
        assert all(row.is_complete for row in opened), "a row lacks what refused it, or the state left behind"


@pytest.fixture
def bench(tmp_path):
    """Certificates and settings of a real broker; nothing runs yet."""
    return make_bench(tmp_path)


@pytest.fixture(scope="session")
def shared_site(tmp_path_factory):
    """Run a server that shows who waits for a claim."""
    with running(tmp_path_factory.mktemp("site"), registration=Registration.CLAIM) as found:
        yield found


@pytest.fixture
def site(shared_site):
    """Return a server that runs; each test has devices, releases and rollouts of its own."""
    yield shared_site
    shared_site.disconnect()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call":
        item.stash[PASSED] = report.passed
        for row in item.config.stash.get(ROWS, []):
            if row.node == item.nodeid and not report.passed:
                row.is_failed = True
    return report


def pytest_deselected(items):
    if items:
        items[0].config.stash[CUT] = True


def _is_whole_run(config):
    """Whether nothing of this folder was left out by arguments."""
    places = [Path(argument.split("::")[0]).resolve() for argument in config.args]
    is_whole = any(place == HERE or place in HERE.parents for place in places)
    return (
        is_whole
        and not config.stash.get(CUT, False)
        and not any("::" in argument for argument in config.args)
    )


def _untested(config):
    """Return the named rows of which no test passed."""
    rows = config.stash.get(ROWS, [])
    return sorted(NAMED - {row.id for row in rows if not row.is_failed})


def pytest_sessionfinish(session, exitstatus):
    if exitstatus == 0 and _is_whole_run(session.config) and _untested(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    terminalreporter.section("attacks")
    for line in lines([row for row in rows if not row.is_failed]):
        terminalreporter.line(line)
    if _is_whole_run(config) and (missing := _untested(config)):
        terminalreporter.section("ATTACKS WITHOUT A TEST THAT PASSED")
        terminalreporter.line(", ".join(missing))
