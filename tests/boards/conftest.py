"""What tests on boards share: a site, and applications for it."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from applications import Workshop
from rig import Rig

from pawl_tools import toolchain
from pawl_tools.demo.applications import blinky


@pytest.fixture
def play(tmp_path, bench):
    """Play a coroutine function `walk(rig)` with a site of its own."""

    async def scene(walk, options):
        async with Rig(tmp_path / "site", bench, **options) as rig:
            await walk(rig)

    return lambda walk, **options: asyncio.run(scene(walk, options))


@pytest.fixture(scope="session")
def images():
    """Two versions of an application of 100 KB."""
    programs = toolchain.find()
    return {version: blinky(version, programs) for version in (1, 2)}


@pytest.fixture
def workshop(tmp_path):
    """Where applications for this test are packed."""
    return Workshop(tmp_path / "workshop", toolchain.find())
