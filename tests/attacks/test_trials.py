"""A new release that hangs, crashes, loses its network, or loses its power in the first boot: T35, T36.

Crash, hang, and a kill in the first trial, before a whole server and on MicroPython, are in tests/e2e/test_update.py.
"""

import factory
import pytest
from target import failed
from trials import TRIAL_DEADLINE_S, TRIALS, WATCHDOG_TIMEOUT_S, Steady, WatchedTarget
from unix_device import Bench, logged

from pawl import codes, health

BOOTS_UNWELL = 8


def crashing():
    """Load an application that raises."""
    raise ValueError("on purpose")


class Returning:
    """An application whose `main()` ends."""

    async def main(self):
        return


def sick():
    """Load an application whose own check says no."""
    health.require(lambda: False)
    return Steady()


def require_reverted(row, target, before, wanted):
    """Assert that the boot after the last trial runs what ran before, says why in a report, and keeps it in the log."""
    loader = target.run()
    row.refused(loader.faults[0].reason, codes.REASON_TRIALS)
    assert target.hello.running == codes.RUNNING_A
    assert (codes.EVENT_REVERTED, codes.REASON_TRIALS) in target.reports()
    assert (codes.EVENT_INSTALLED, codes.REASON_OK) not in target.reports()
    verdict = failed(wanted, TRIALS, codes.REASON_TRIALS)
    row.changed(before, target.snapshot(), "slot B: failed(trials), slot A runs", **verdict)


@pytest.mark.parametrize(
    ("load", "ends"),
    [(crashing, "reset"), (sick, "reset"), (Returning, "reset")],
    ids=["crashes", "its check says no", "returns"],
)
def test_t36_a_release_that_is_not_well(attack, load, ends):
    """With a network: each trial ends within the watchdog's time, and the fourth boot is the old release's."""
    row = attack("T36", f"new release that isn't well: {load.__name__.lower()}")
    target = WatchedTarget()
    before = target.snapshot()
    wanted = target.put_on_trial(load)
    for _ in range(TRIALS):
        target.run(timeout_s=3600)
    assert {ended for _, ended in target.runs_s} == {ends}
    assert all(seconds <= WATCHDOG_TIMEOUT_S for seconds, _ in target.runs_s)
    require_reverted(row, target, before, wanted)


def test_t36_a_release_that_is_not_well_and_has_no_network(attack):
    """Nobody asks for its health then: the watchdog ends each trial."""
    row = attack("T36", "new release that isn't well, with no network")
    target = WatchedTarget()
    before = target.snapshot()
    wanted = target.put_on_trial(sick)
    target.port.link_fault = codes.REASON_LINK_LOST
    for _ in range(TRIALS):
        target.run(timeout_s=3600)
    assert target.runs_s == [(WATCHDOG_TIMEOUT_S, "watchdog")] * TRIALS
    target.port.link_fault = None
    require_reverted(row, target, before, wanted)


@pytest.mark.parametrize("how", ["refused", "swallowed"])
def test_t36_a_release_that_loses_the_network(attack, how):
    """Whether connections are refused or never answered: each trial ends at its deadline, pauses between attempts included."""
    row = attack("T36", f"new release that loses the network: connections {how}")
    target = WatchedTarget()
    before = target.snapshot()
    wanted = target.put_on_trial(Steady)
    target.port.link_fault = codes.REASON_LINK_LOST if how == "refused" else None
    target.port.is_swallowing = how == "swallowed"
    for _ in range(TRIALS):
        target.run(timeout_s=3600)
    assert target.runs_s == [(TRIAL_DEADLINE_S, "reset")] * TRIALS
    target.port.link_fault = None
    target.port.is_swallowing = False
    require_reverted(row, target, before, wanted)


def test_t36_a_release_that_needs_a_moment_is_kept(attack):
    """What is well at last, within the watchdog's time, is confirmed: the health check reverts nothing by itself."""
    row = attack("T36", "new release whose check says yes after 15 s")
    target = WatchedTarget()

    def slow():
        health.require(lambda: target.port.loop.now_s > 15)
        return Steady()

    wanted = target.put_on_trial(slow)
    target.run()
    row.failed(target.runs_s, [(120, "power")], "confirmed at the first trial")
    row.kept(target.snapshot().slot_b, ("confirmed", wanted, 1, 0), "slot B runs, confirmed")


@pytest.mark.parametrize("load", [crashing, sick], ids=["crashes", "its check says no"])
def test_t36_a_confirmed_release_that_goes_bad(attack, load):
    """Eight boots that reach nobody, at most 30 s each; then the recovery agent, which takes the next release."""
    row = attack("T36", f"confirmed release that isn't well any more, with no network: {load.__name__}")
    target = WatchedTarget()
    before = target.snapshot()
    target.loads[codes.RUNNING_A] = load
    target.port.link_fault = codes.REASON_LINK_LOST
    for _ in range(BOOTS_UNWELL):
        target.run(timeout_s=3600)
    assert all(seconds <= WATCHDOG_TIMEOUT_S and ended != "power" for seconds, ended in target.runs_s)
    assert target.agent.running == codes.RUNNING_A
    target.port.link_fault = None
    target.publish(factory.release(sequence=2, version=(2,)))
    target.run()
    row.failed(target.agent.running, codes.RUNNING_RECOVERY, "the recovery agent's turn")
    target.run()
    after = target.snapshot()
    row.kept(
        (after.runs, after.slot_b[0], after.slot_a),
        ("B", "confirmed", before.slot_a),
        "slot B runs, confirmed",
    )


def test_t36_an_agent_that_stands_still(attack):
    """A confirmed device whose connection never comes, nor fails: after two hours the watchdog isn't fed any more."""
    row = attack("T36", "agent that waits for ever for a connection")
    target = WatchedTarget()
    before = target.snapshot()
    target.port.is_swallowing = True
    target.run(timeout_s=86400)
    ((seconds, ended),) = target.runs_s
    row.failed(ended, "watchdog", "the agent stands still")
    assert 7200 <= seconds <= 7200 + 2 * WATCHDOG_TIMEOUT_S
    row.unchanged(before, target.snapshot())


@pytest.mark.parametrize("cuts", range(1, TRIALS))
@pytest.mark.parametrize("after_s", [0, 0.5])
def test_t35_power_cuts_in_the_first_boots_of_a_trial(attack, cuts, after_s):
    """Up to N-1 of them: a good update isn't reverted by a power that goes before it could be confirmed."""
    row = attack("T35", f"first-boot power cut: {cuts} of {TRIALS} trials")
    target = WatchedTarget()
    wanted = target.put_on_trial(Steady)
    for _ in range(cuts):
        target.run(timeout_s=after_s)
    assert target.runs_s == [(0, "power")] * cuts
    assert target.snapshot().slot_b == ("trial", wanted, cuts, 0)
    target.run()
    row.failed(target.reports()[-1], (codes.EVENT_INSTALLED, codes.REASON_OK), "kept")
    after = target.snapshot()
    row.kept((after.runs, after.slot_b), ("B", ("confirmed", wanted, cuts + 1, 0)), "slot B runs, confirmed")


def test_t35_a_power_cut_in_every_trial(attack):
    """N of them can't be told from a release that hangs: the old one runs again, and the next attempt is asked by number."""
    row = attack("T35", f"first-boot power cut: in all {TRIALS} trials")
    target = WatchedTarget()
    before = target.snapshot()
    wanted = target.put_on_trial(Steady)
    for _ in range(TRIALS):
        target.run(timeout_s=0.5)
    require_reverted(row, target, before, wanted)


HANGS = {
    "busy loop": "async def main():\n    while True:\n        pass\n",
    "check says no": """
import asyncio
from pawl import health
health.require(lambda: False)
async def main():
    while True:
        await asyncio.sleep(0.1)
""",
    "check never returns": """
import asyncio
from pawl import health
def endless():
    while True:
        pass
health.require(endless)
async def main():
    while True:
        await asyncio.sleep(0.1)
""",
    "asyncio.run of its own": """
import asyncio
async def app():
    while True:
        await asyncio.sleep(0.1)
asyncio.run(app())
""",
}
STEADY = "import asyncio\nasync def main():\n    while True:\n        await asyncio.sleep(0.1)\n"


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("board"))


def is_back(lines):
    """Whether the old release was booted, and its agent began: the log is written by then."""
    return any("row 7 slot A" in line for line in lines) and lines[-1].endswith("state IDLE")


@pytest.mark.parametrize("hang", HANGS)
def test_t36_a_hang_on_micropython(attack, board, hang):
    """The real process under the launcher's watchdog, with no network: three trials, and the reason in the log."""
    row = attack("T36", f"new release that hangs, on MicroPython: {hang}")
    name = hang.replace(" ", "-").replace(".", "-")
    device = board.provision(name, board.application(STEADY), trial=board.application(HANGS[hang]))
    lines = board.power(device, is_back, watchdog_timeout_s=1.5)
    boots = [line.split(" ", 3)[3] for line in lines if line.startswith("pawl: boot")]
    assert boots == ["row 5 slot B"] * TRIALS + ["row 7 slot A"]
    row.failed(logged(device.folder)[0], codes.REASON_TRIALS, "trials")
    row.kept(device.starts, TRIALS + 1, "slot A runs")


def test_t36_a_healthy_application_is_fed_on_micropython(attack, board):
    """The control: with no network, and three times the watchdog's time, its first trial still runs."""
    row = attack("T36", "new release that is well, on MicroPython, with no network yet")
    device = board.provision("control", board.application(STEADY), trial=board.application(STEADY))
    attempts = 3  # with the pauses between them more than the watchdog's time
    lines = board.power(
        device, lambda lines: sum("link" in line for line in lines) > attempts, watchdog_timeout_s=1.5
    )
    row.failed(device.starts, 1, "nothing")
    row.kept([line for line in lines if "boot" in line], ["pawl: boot 1 row 5 slot B"], "slot B on trial")
