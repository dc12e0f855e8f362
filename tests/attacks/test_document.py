"""The threat model and this folder say the same: every id has a row there and a test here."""

import ast
import re
from pathlib import Path

from attack_table import NAMED

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "threat-model.md"
ROW = re.compile(r"^\| (T\d\d) \|.*\|([^|]+)\|$", re.MULTILINE)
TEST = re.compile(r"test_t(\d\d)_")


def documented():
    """Return {id: modules} of the document's table."""
    return {
        found[1]: set(re.findall(r"`(test_\w+)`", found[2])) for found in ROW.finditer(DOCUMENT.read_text())
    }


def found_here():
    """Return {id: modules} of the tests that open a row."""
    modules = {}
    for path in HERE.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.FunctionDef) and TEST.match(node.name)
            if named and "attack" in [one.arg for one in node.args.args]:
                modules.setdefault(f"T{named[1]}", set()).add(path.stem)
    return modules


def test_the_threat_model_names_what_is_tested():
    """Each id with the modules that test it; none in one place only."""
    assert documented() == found_here()
    assert set(documented()) == NAMED
