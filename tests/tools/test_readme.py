"""The README's commands work as they are written."""

import os
import re
import subprocess
from pathlib import Path

from pawl_server import filters
from pawl_tools import phase_text

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_by_hand(tmp_path):
    """The block of shell commands runs to its end in an empty folder."""
    script = re.search(r"```sh\n(.*?)```", README, re.DOTALL)[1]
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=dict(os.environ, PATH=path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "accepted     True" in ran.stdout
    assert (tmp_path / "bench-1" / "flash.bin").exists()


def test_make_targets_exist():
    """Each `make` target that the README names is one."""
    makefile = (ROOT / "Makefile").read_text()
    assert "demo" in re.findall(r"(?:`| {4})make (\w+)", README)
    for target in re.findall(r"(?:`| {4})make (\w+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_phases_and_filters_can_be_read():
    """What it shows of both is what the command and the server take."""
    phases = re.findall(r"--phase (\S+)", README)
    shown = re.findall(r"--filter '([^']+)'", README)
    assert len(phases) >= 3 and len(shown) >= 2
    for phase in phases:
        assert phase_text.parse(phase)
    for text in shown:
        assert filters.parse(text)
