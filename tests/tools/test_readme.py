"""The README's commands work as they are written."""

import os
import re
import subprocess
from pathlib import Path

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
