"""The demo's verdict: good only if everything went as it must."""

import pytest

from pawl_tools.demo import Attack, Result


def good():
    """Return a result with which the demo exits 0."""
    attacks = [Attack(name=name, expected=name, reason=name) for name in "abc"]
    return Result(booted="2", is_confirmed=True, is_unmoved=True, attacks=attacks)


def test_everything_must_be_as_it_must():
    """All facts together are good."""
    assert good().is_good


@pytest.mark.parametrize(
    "spoil",
    [
        lambda result: setattr(result, "booted", "1"),
        lambda result: setattr(result, "is_confirmed", False),
        lambda result: setattr(result, "is_unmoved", False),
        lambda result: result.attacks.pop(),
        lambda result: setattr(result.attacks[0], "reason", "trial-running"),
        lambda result: setattr(result.attacks[2], "reason", "not refused"),
    ],
)
def test_one_fact_amiss_is_a_failure(spoil):
    """Another version, no confirmation, a missing attack, another reason: exit code 1."""
    result = good()
    spoil(result)
    assert not result.is_good
