"""The device's simulators, and virtual time, on the path of these tests."""

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
for folder in (TESTS / "histories", TESTS / "device", TESTS):
    sys.path.insert(0, str(folder))


@pytest.fixture
def office():
    """The signers of a device that was provisioned and checked in."""
    from life import Life  # noqa: PLC0415  # on the path only now
    from office import Office  # noqa: PLC0415

    made = Office(Life())
    made.life.live(60)
    return made
