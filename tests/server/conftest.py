"""A broker of their own for the tests that talk to one."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from broker_bench import Bench, make_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Certificates and settings; nothing runs yet."""
    return make_bench(tmp_path)
