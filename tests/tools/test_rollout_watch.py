"""What people see of a rollout while it goes on: bars, words, and bars on a real terminal."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from pawl_tools import rollout_text
from pawl_tools.rollout_watch import bar, watch

PROGRESS = (
    *("waiting", "open", "held", "succeeded", "failed", "displaced", "withdrawn"),
    *("recovering", "recovered", "unrecovered"),
)


def phase(title="group canary", *, began_at_s=1, passed_at_s=None, soak_s=0, starts_at_s=None, **devices):
    """Return a phase as the server tells it."""
    times = {
        "began_at_s": began_at_s,
        "passed_at_s": passed_at_s,
        "soak_s": soak_s,
        "starts_at_s": starts_at_s,
    }
    return {"title": title, **times, "devices": {one: devices.get(one, 0) for one in PROGRESS}}


def rollout(*phases, state="running", reason="", recovery=None):
    """Return a rollout as the server tells it."""
    return {"name": "spring", "state": state, "reason": reason, "recovery": recovery, "phases": list(phases)}


@pytest.mark.parametrize(
    ("devices", "cells"),
    [
        ({}, "░" * 30),
        ({"waiting": 7}, "░" * 30),
        ({"succeeded": 3}, "█" * 30),
        ({"succeeded": 1, "waiting": 1}, "█" * 15 + "░" * 15),
        ({"succeeded": 199, "waiting": 1}, "█" * 29 + "░"),
        ({"open": 1, "waiting": 999}, "▒" + "░" * 29),
        ({"succeeded": 1, "failed": 1, "open": 1}, "█" * 20 + "▒" * 10),
        ({"recovered": 1, "unrecovered": 1, "recovering": 1, "withdrawn": 1}, "█" * 15 + "▒" * 7 + "░" * 8),
    ],
)
def test_a_bar_shows_who_is_how_far(devices, cells):
    """Somebody is a cell at least; a bar that isn't whole never looks so."""
    assert bar(phase(**devices)).plain == cells


@pytest.mark.parametrize(
    ("phases", "says"),
    [
        (
            [phase(passed_at_s=100, soak_s=7200), phase(began_at_s=None)],
            "group canary soaks for 1 h 59 min more",
        ),
        ([phase(passed_at_s=100, soak_s=100), phase(began_at_s=None)], "group canary soaks for 40 s more"),
        (
            [phase(passed_at_s=100, soak_s=200000), phase(began_at_s=None)],
            "group canary soaks for 2 d 7 h more",
        ),
        ([phase("10 percent", began_at_s=None, starts_at_s=300)], "10 percent begins in 2 min 20 s"),
        (
            [phase(passed_at_s=100, soak_s=100), phase("all", began_at_s=None, starts_at_s=220)],
            "all begins in 1 min 00 s",
        ),
        ([phase(), phase(began_at_s=None, starts_at_s=300)], ""),
        ([phase(passed_at_s=100, soak_s=10), phase(began_at_s=None)], ""),
        ([phase(passed_at_s=100), phase()], ""),
    ],
)
def test_what_the_clock_has_to_do_with_it(phases, says):
    """The soak, or the start of the next phase; nothing where devices are waited for."""
    assert rollout_text.waiting_for(rollout(*phases), 160) == says
    assert rollout_text.waiting_for(rollout(*phases, state="paused"), 160) == ""


@pytest.mark.parametrize(
    ("told", "step"),
    [
        (rollout(state="awaiting-approval"), "`pawl rollout approve spring` or `reject`"),
        (
            rollout(phase(failed=1), state="paused"),
            "--progress failed` says which devices and why; `pawl rollout resume",
        ),
        (rollout(phase(), state="paused"), "`pawl rollout resume spring` overlooks"),
        (rollout(phase(), state="paused", recovery="x"), "`roll-back` brings everybody back"),
        (rollout(phase(recovered=1), state="rolled-back"), "mend the release"),
        (rollout(phase(unrecovered=1), state="rolled-back"), "--progress unrecovered`"),
        (rollout(phase(), state="cancelled"), "create another rollout"),
        (rollout(phase(failed=1), state="done"), "--progress failed`"),
    ],
)
def test_the_next_step_is_said(told, step):
    """Where a rollout doesn't go on by itself, or didn't end well."""
    assert step in rollout_text.next_step(told)


def test_a_rollout_that_goes_on_needs_nobody():
    """No next step while it runs, goes back, or is done."""
    for state in ("running", "rolling-back", "done"):
        assert rollout_text.next_step(rollout(phase(succeeded=1), state=state)) == ""


def test_watching_ends_where_it_rests(capsys):
    """Lines without a terminal, each once; True only when it is done."""
    changes = [
        rollout(phase(open=1)),
        rollout(phase(open=1)),
        rollout(phase(recovering=1), state="rolling-back"),
    ]
    ends = rollout(phase(recovered=1), state="rolled-back", reason="it crashed")
    assert not watch([*changes, ends, rollout()], as_json=False)
    said, told = capsys.readouterr()
    assert said.splitlines() == [
        "spring: running: group canary: 1 open",
        "spring: rolling-back: group canary: 1 recovering",
        "spring: rolled-back (it crashed): group canary: 1 recovered",
    ]
    assert told.startswith("spring: rolled-back (it crashed)\nnext: mend the release")
    assert watch([rollout(phase(succeeded=1), state="done")], as_json=True)
    assert json.loads(capsys.readouterr().out)["state"] == "done"


SHOW = """
import json, sys
from pawl_tools import rollout_watch
sys.exit(not rollout_watch.watch(json.loads(sys.argv[1]), as_json=False))
"""


def on_terminal(*changes):
    """Watch changes in a process whose output is a terminal; return its exit code and what stood there last."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", SHOW, json.dumps(changes)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # nobody has the other end any more
            break
        shown += chunk
    os.close(ours)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode().replace("\r\n", "\n"))
    return process.wait(), plain.split("\r")[-1]


def test_on_a_terminal_there_are_bars():
    """The last picture stays, below it the next step, and the state isn't said twice."""
    code, shown = on_terminal(
        rollout(phase(open=2)), rollout(phase(succeeded=1, failed=1), state="paused", reason="one failed")
    )
    assert code == 1
    picture = shown[shown.rindex("spring: paused") :].splitlines()
    assert picture[0] == "spring: paused (one failed)"
    assert picture[1].split() == ["group", "canary", "█" * 30, "1/2", "1", "succeeded,", "1", "failed"]
    assert picture[2].startswith("next: `pawl rollout devices spring --progress failed`")
    assert shown.count("spring: paused") == 1
