"""The agent's table: closed, and without a state that cannot find home."""

from pawl import agent, lifecycle


def test_every_follower_is_a_state():
    """The table leads nowhere outside of itself."""
    for state in lifecycle.TRANSITIONS:
        for event in lifecycle.TRANSITIONS[state]:
            assert lifecycle.TRANSITIONS[state][event] in lifecycle.TRANSITIONS


def test_every_state_reaches_idle():
    """From each state some events lead to IDLE."""
    home = {lifecycle.IDLE}
    for _ in lifecycle.TRANSITIONS:
        for state in lifecycle.TRANSITIONS:
            followers = lifecycle.TRANSITIONS[state]
            if any(followers[event] in home for event in followers):
                home.add(state)
    assert home == set(lifecycle.TRANSITIONS)


def test_nothing_is_confirmed_without_verify():
    """CONFIRM has one way in, from VERIFY."""
    ways = []
    for state in lifecycle.TRANSITIONS:
        followers = lifecycle.TRANSITIONS[state]
        ways += [(state, event) for event in followers if followers[event] == lifecycle.CONFIRM]
    ways.remove((lifecycle.CONFIRM, lifecycle.LINK_LOST))
    assert ways == [(lifecycle.VERIFY, lifecycle.HEALTHY)]


def test_a_missing_pair_raises():
    """An event that has no place in a state is a mistake of ours, not a silent nothing."""
    for state, event in (
        (lifecycle.IDLE, lifecycle.PENDING),
        (lifecycle.DOWNLOAD, lifecycle.CONFIRMED),
        (lifecycle.VERIFY, lifecycle.OFFERED),
    ):
        try:
            lifecycle.step(state, event)
        except ValueError:
            continue
        raise AssertionError((state, event))


def test_every_state_has_an_action():
    """The agent can act in whatever state the table leads to."""
    assert set(agent._ACTIONS) == set(lifecycle.TRANSITIONS)
