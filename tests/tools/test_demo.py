"""The demo's verdict: good only if everything went as it must."""

import pytest

from pawl_tools.demo.result import ATTACKS, DEVICES, Attack, Result
from pawl_tools.demo.screen import PlainScreen, summary_lines

EVERYONE = [device for group in DEVICES.values() for device in group]


def good():
    """Return a result with which the demo exits 0."""
    attacks = [
        Attack(name=f"attack {number}", device="shop-1", expected="unauthorised", outcome="unauthorised")
        for number in range(ATTACKS)
    ]
    return Result(succeeded=list(EVERYONE), unmoved=list(EVERYONE), is_ordered=True, attacks=attacks)


def test_everything_must_be_as_it_must():
    """All facts together are good."""
    assert good().is_good
    assert any("all as it must be" in line for line in summary_lines(good()))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda result: result.succeeded.pop(),
        lambda result: result.succeeded.append("shop-1"),
        lambda result: result.unmoved.pop(),
        lambda result: setattr(result, "is_ordered", False),
        lambda result: result.attacks.pop(),
        lambda result: setattr(result.attacks[0], "outcome", "trial-running"),
        lambda result: setattr(result.attacks[2], "outcome", "nothing came"),
    ],
)
def test_one_fact_amiss_is_a_failure(spoil):
    """A device missing or twice, groups out of order, an attack missing or otherwise: exit code 1, and it says so."""
    result = good()
    spoil(result)
    assert not result.is_good
    assert any("NOT as it must be" in line for line in summary_lines(result))


def test_an_attack_that_ended_otherwise_is_marked():
    """The table says what it must have been."""
    result = good()
    result.attacks[3].outcome = "sequence-low"
    lines = [line for line in summary_lines(result) if "MUST BE" in line]
    assert len(lines) == 1
    assert "refused: sequence-low (44)   MUST BE unauthorised" in lines[0]


def test_plain_screen_says_each_step_once(capsys):
    """Without a terminal a step is one line, however often it is told."""
    screen = PlainScreen()
    for block in (0, 8, 16):
        screen.device("shop-1", f"downloads block {block} of 25")
    screen.device("shop-1", "restarts")
    screen.device("shop-1", "")
    assert len(capsys.readouterr().out.splitlines()) == 2
