"""A slice of the exploration that `pawl sim explore --all` does in hours, and the explorer's own rules."""

import json
import subprocess
import sys

import pytest

from pawl import codes
from pawl_sim import parallel
from pawl_sim.explorer import Explorer
from pawl_sim.geometry import GEOMETRIES
from pawl_sim.replay import replay
from pawl_sim.scenarios import SCENARIOS, Scenario
from pawl_sim.seeds import Cut, Seed, parse
from pawl_sim.shrink import fault_of, shrink

TIMEOUT_S = 400


def pawl(*arguments):
    """Run the command; return (exit code, stdout, stderr)."""
    command = [sys.executable, "-c", "from pawl_tools.cli import main; main()", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return ran.returncode, ran.stdout, ran.stderr


def test_no_cut_of_the_slice_breaks_a_rule(capsys):
    """Every scenario, every flash, every tear; of second cuts a part."""
    code, out, err = pawl("sim", "explore", "--json")
    found = json.loads(out)
    with capsys.disabled():
        sys.stdout.write(f"\n{found['cut_points']} cut points, {found['seconds']} s\n")
    assert found["failures"] == [], err
    assert code == 0
    assert (found["scenarios"], found["geometries"]) == (len(SCENARIOS), len(GEOMETRIES))
    assert found["single_cuts"] > 5000
    assert found["double_cuts"] > 3000
    names = {"nothing", "byte", "bytes", "half", "end", "bits", "halfbits", "tail", "all", "flicker"}
    assert set(found["tears"]) == names


def test_the_slice_gives_every_flash_its_turn():
    """And every scenario."""
    plan = parallel.slice_of(parallel.jobs(SCENARIOS, GEOMETRIES, depth=1, share=1.0), 4)
    assert {job.scenario for job in plan} == set(SCENARIOS)
    assert {job.geometry for job in plan} == set(GEOMETRIES)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_ends_as_it_says_without_a_cut(supply, name):
    """On the flash with most rules; what it begins with is what it says: no slot, a rotten one, a full journal."""
    (stretch,) = replay(supply, Seed(name, "ecc-16"))
    assert stretch.fault is None
    assert stretch.moments


def test_the_same_seed_gives_the_same_flash(supply):
    """Bit by bit, also where bits are random and reads flicker."""
    seed = parse("quarantine:mixed:9-flicker:3-bits")
    first = [stretch.moments for stretch in replay(supply, seed)]
    again = [stretch.moments for stretch in replay(supply, seed)]
    assert first == again
    assert len(first) == 3


def test_a_seed_is_its_text():
    """There and back; what is no seed says what is wrong with it."""
    seed = Seed("update", "unix", (Cut(9, "half"), Cut(3, "bits")))
    assert str(seed) == "update:unix:9-half:3-bits"
    assert parse(str(seed)) == seed
    for text, says in (
        ("upgrade:unix", "no scenario"),
        ("update:nand", "no flash"),
        ("update:unix:half", "no defect"),
        ("update:unix:9-", "no cut"),
    ):
        with pytest.raises(ValueError, match=says):
            parse(text)


def impossible(name):
    """Return an update that is to end on what nobody offers."""
    return Scenario(name=name, says="", begins=SCENARIOS["update"].begins, ends_on="other")


def test_every_broken_rule_is_a_failure(supply):
    """Each trace is told with its seed, and a replay of that seed ends in the same words."""
    explorer = Explorer(supply, impossible("update"), GEOMETRIES["unix"])
    tally = explorer.explore(depth=1)
    assert tally.failures[0].seed == explorer.seed
    assert "doesn't end on other" in tally.failures[0].says


def test_a_trace_is_shrunk_to_fewer_cuts_on_a_plainer_flash(supply, monkeypatch):
    """The shortest that ends in the same words; what breaks no rule can't be shrunk."""
    monkeypatch.setitem(SCENARIOS, "impossible", impossible("impossible"))
    seed = Seed("impossible", "ecc-16", (Cut(3, "bits"), Cut(2, "half")))
    found = shrink(supply, seed)
    assert found.geometry == "unix"
    assert len(found.cuts) < 2
    assert fault_of(supply, found) == fault_of(supply, seed)
    with pytest.raises(ValueError, match="breaks no rule"):
        shrink(supply, parse("update:unix:3-half"))


def test_a_revert_keeps_its_reason(supply):
    """What the end of a scenario is judged by: the reason is looked up in the log."""
    explorer = Explorer(supply, SCENARIOS["revert"], GEOMETRIES["unix"])
    explorer.live(explorer.seed, explorer.begin, explorer.memory)
    told = [entry.code for entry in explorer.rig.storage().log().entries()]
    assert codes.REASON_TRIALS in told


def test_replay_tells_boots_and_operations():
    """And its exit code says whether a rule was broken; a seed that is none is unusable."""
    code, out, _ = pawl("sim", "replay", "update:unix:9-half")
    assert code == 0
    assert "power on: update:unix:9-half" in out
    assert "boot by row 5: slot B" in out
    assert "page_b + 224: program 32 bytes" in out
    assert out.count("at rest, and all that must hold does") == 2
    assert pawl("sim", "replay", "update:nand")[0] == 2
    code, _, err = pawl("sim", "replay", "update:unix:99-half")
    assert code == 2
    assert "there is no operation 99" in err
