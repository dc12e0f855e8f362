"""Runs each device test twice: pytest on CPython, and one more item per test that ran inside MicroPython.

One MicroPython process runs a whole module, two at a time, beside the tests on CPython. A test whose line is
missing from its output was not reached: it fails.
"""

import ast
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
MICROPYTHON = ROOT / "build" / "micropython" / "micropython"
RUNNER = HERE / "run_on_micropython.py"
HEAP = "4m"
TIMEOUT_S = 120

sys.path.insert(0, str(HERE))


class MicroPythonError(Exception):
    """What MicroPython printed about a test that did not pass."""


class MicroPythonModule(pytest.File):
    """A test module as MicroPython sees it."""

    def collect(self):
        tree = ast.parse(self.path.read_text())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield MicroPythonItem.from_parent(self, name=f"{node.name}[micropython]", test=node.name)

    def start(self, pool):
        """Let the module run as soon as its turn comes."""
        self._future = pool.submit(self._run)

    def results(self):
        """Return {test: lines of output, the verdict first}; waits for the module's end."""
        return self._future.result()

    def _run(self):
        environment = dict(os.environ, MICROPYPATH=f"{ROOT / 'device'}:{HERE}:.frozen")
        command = [MICROPYTHON, "-X", f"heapsize={HEAP}", RUNNER, self.path.stem]
        ran = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        blocks = ran.stdout.split("TEST ")[1:]
        found = {block.split("\n", 1)[0]: block.split("\n", 1)[1] for block in blocks}
        self.rest = f"exit code {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return found


class MicroPythonItem(pytest.Item):
    """The verdict of one test inside MicroPython."""

    def __init__(self, *, test, **rest):
        super().__init__(**rest)
        self.test = test

    def runtest(self):
        output = self.parent.results().get(self.test)
        if output is None:
            raise MicroPythonError(f"not reached: {self.parent.rest}")
        for line in output.splitlines():
            verdict, _, rest = line.partition(" ")
            if verdict == "PASS":
                return
            if verdict == "SKIP":
                pytest.skip(rest)
            if verdict == "FAIL":
                break
        raise MicroPythonError(output if "FAIL" in output else f"{output}\n{self.parent.rest}")

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, MicroPythonError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, None, self.name


def pytest_collect_file(file_path, parent):
    """Collect every device test module a second time, for MicroPython."""
    if file_path.parent == HERE and file_path.match("test_*.py"):
        return MicroPythonModule.from_parent(parent, path=file_path)
    return None


def pytest_collection_finish(session):
    """Start MicroPython on the modules of which something was selected, in the order they are asked for."""
    if session.config.option.collectonly:
        return
    modules = dict.fromkeys(item.parent for item in session.items if isinstance(item, MicroPythonItem))
    pool = ThreadPoolExecutor(max_workers=2)  # they wait more than they compute
    for module in modules:
        module.start(pool)
    pool.shutdown(wait=False)
