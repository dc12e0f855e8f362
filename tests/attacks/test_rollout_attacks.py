"""A bad release to all, and devices that say nothing, on a server that runs: T44, T46."""

import pytest
from running_server import running

from pawl import codes
from pawl.index import b64u

DEVICES = 40
DAY_S = 86400
PACE_S = 10


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with running(tmp_path_factory.mktemp("rollouts")) as found:
        yield found


def percent(*sizes, **changes):
    """Return phases by percent, as the HTTP interface takes them."""
    return [{"kind": "percent", "size": size, **changes} for size in sizes]


def asked(clients, release):
    """Return the names of those who were ever offered a release."""
    return sorted(client.name for client in clients if client.installs(release))


def test_t44_a_bad_release_stops_at_its_canaries(attack, site):
    """Each canary goes back: nobody else of 40 is ever asked, whatever they say to the server afterwards."""
    row = attack("T44", f"bad release to {DEVICES} devices by 5, 25 and 100 percent: every canary fails")
    bad = site.release(2)
    fleet = site.join("field", DEVICES, {bad: codes.REASON_TRIALS})
    plan = {"phases": percent(5, 25, 100)}
    body = {"name": "spring", "release": b64u(bad), "groups": ["field"], **plan}
    planned = site.ask("POST", "/rollouts?dry_run=true", json=body)
    site.roll_out("spring", bad, ["field"], **plan)
    site.settle(fleet)
    shown = site.rollout("spring")
    row.failed((shown["state"], "trials" in shown["reason"]), ("paused", True), "paused: trials")
    site.together(client.hello() for client in fleet)
    site.settle(fleet, 7 * DAY_S)
    assert len(asked(fleet, bad)) == 2
    assert asked(fleet, bad) == planned["phases"][0]["devices"]
    row.kept(site.counts("spring")[1:], [{"waiting": 8}, {"waiting": 30}], "2 of 40 were asked")
    site.ask("POST", "/rollouts/spring/commands", json={"command": "cancel"})
