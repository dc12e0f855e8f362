"""The explorer finds planted bugs: each patch in `planted/` puts one into a copy of the device code, and says what must be reported.

A patch begins with a head of four lines or five: `Bug`, `Shipped` (by whom), `Explore` (scenario:flash ..., as in seeds; where
a defect follows, the device lives with it and isn't cut), `Reported` (a regular expression), and `Samples` where chance
decides (so many of one tear, and no others).
"""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATCHES = sorted((HERE / "planted").glob("*.patch"))
AT_ONCE = 2
PLACES_MAX = 4  # of a control
TIMEOUT_S = 120


def head(patch):
    """Return the head of a patch, {field: text}."""
    lines = patch.read_text().split("\n\n", 1)[0].splitlines()
    return dict(line.split(": ", 1) for line in lines)


def asked(patch):
    """Return what of a patch's head the exploration is told: samples, of which tear, places."""
    fields = head(patch)
    samples, tear = fields.get("Samples", "1 of all").split(" of ")
    return samples, tear, *fields["Explore"].split()


def controls():
    """Return what the explorations of the code that ships are told: every place that a patch names, a few at a time."""
    places = {}
    for patch in PATCHES:
        samples, tear, *named = asked(patch)
        places.setdefault((samples, tear), set()).update(named)
    return [
        (*chance, *sorted(named)[at : at + PLACES_MAX])
        for chance, named in places.items()
        for at in range(0, len(named), PLACES_MAX)
    ]


def copy_code(folder):
    """Copy the device code; return the folder that holds the copy of `device`."""
    shutil.copytree(
        ROOT / "device" / "pawl", folder / "device" / "pawl", ignore=shutil.ignore_patterns("__pycache__")
    )
    return folder


def plant(patch, folder):
    """Copy the device code and apply a patch to it; fails where it doesn't apply or changes nothing."""
    copy_code(folder)
    before = texts(folder)
    ran = subprocess.run(
        ["git", "apply", patch],
        cwd=folder,
        env=dict(os.environ, GIT_CEILING_DIRECTORIES=str(folder.parent)),
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode or texts(folder) == before:
        pytest.fail(
            f"{patch.name} doesn't apply to device/pawl any more: make it again by hand, with the same bug\n{ran.stderr}"
        )
    return folder


def texts(folder):
    """Return the text of every module."""
    return {path: path.read_text() for path in sorted(folder.rglob("*.py"))}


def explore(folder, *arguments):
    """Explore the copy in a folder; return the one line that says what came of it."""
    device = str(folder / "device")
    ran = subprocess.run(
        [sys.executable, HERE / "explore_planted.py", device, *arguments],
        env=dict(os.environ, PYTHONPATH=device, PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.strip()


class Explorations:
    """All explorations that this run of pytest asks for, two at a time, beside the test that waits for its own."""

    def __init__(self, pool, folders):
        self._pool = pool
        self._folders = folders
        self._futures = {}

    def start(self, wanted):
        """Let a patch, or the arguments of a control, be explored as soon as its turn comes."""
        self._futures[wanted] = self._pool.submit(self._run, wanted)

    def _run(self, wanted):
        folder = self._folders.mktemp("planted")
        if isinstance(wanted, tuple):
            return explore(copy_code(folder), *wanted)
        return explore(plant(wanted, folder), *asked(wanted))

    def result(self, wanted):
        """Wait for the line that says what came of it."""
        return self._futures[wanted].result()


@pytest.fixture(scope="module")
def explorations(request, tmp_path_factory):
    with ThreadPoolExecutor(AT_ONCE) as pool:
        started = Explorations(pool, tmp_path_factory)
        for item in request.session.items:
            if item.path == Path(__file__) and hasattr(item, "callspec"):
                started.start(next(iter(item.callspec.params.values())))
        yield started


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_planted_bug_is_reported_for_what_it_is(explorations, patch):
    """The first failure that the explorer reports is the one that the patch's head foretells."""
    line = explorations.result(patch)
    sys.stdout.write(f"{line}\n")
    seed, _, says = line.partition(" ")
    assert seed != "clean", f"{patch.name}: not found in {says} states: {head(patch)['Bug']}"
    assert re.search(head(patch)["Reported"], says), f"{patch.name}: found as something else: {line}"


@pytest.mark.parametrize("control", controls(), ids=" ".join)
def test_nothing_is_reported_of_the_code_that_ships(explorations, control):
    """The same exploration, of a copy without a bug, reports nothing: so what is reported above is the bug."""
    line = explorations.result(control)
    assert re.fullmatch(r"clean [1-9]\d*", line), line


def test_a_patch_that_no_longer_applies_is_told(tmp_path):
    """A patch of code that isn't there any more fails by its name, and says what to do."""
    patch = tmp_path / "00-old.patch"
    patch.write_text(PATCHES[0].read_text().replace("\n-", "\n-gone "))
    with pytest.raises(pytest.fail.Exception, match=r"00-old\.patch doesn't apply .* make it again"):
        plant(patch, tmp_path / "copy")


def test_the_explored_code_is_the_copy(tmp_path):
    """An exploration that would run other code than the copy is no exploration."""
    (tmp_path / "device").mkdir()
    with pytest.raises(AssertionError, match="not the copy"):
        explore(tmp_path, "1", "all", "first-boot:unix")
