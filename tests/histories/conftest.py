"""The device's simulators, and virtual time, on the path of these tests."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
for folder in (TESTS / "histories", TESTS / "device", TESTS):
    sys.path.insert(0, str(folder))
