"""A broker of their own for the tests that talk to one."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "server")]

from broker_bench import Bench, make_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Certificates and settings; nothing runs yet."""
    return make_bench(tmp_path)
