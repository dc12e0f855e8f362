"""What is offered to simulated devices, made once."""

import pytest

from pawl_tools import sim_supply


@pytest.fixture(scope="session")
def supply():
    """Releases, anchors and a director, with test keys."""
    return sim_supply.make()
