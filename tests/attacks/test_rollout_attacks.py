"""A bad release for everybody, and plans that should not be, on a server that runs: T44."""

from pawl import codes
from pawl.index import b64u

DEVICES = 40
DAY_S = 86400


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
    site.command("spring", "cancel")


def test_t44_half_of_the_canaries_fail_and_the_other_half_is_brought_back(attack, site):
    """The threshold is met by half of the phase; who had confirmed gets the recovery, production nothing at all."""
    row = attack("T44", f"bad release to {DEVICES} devices: half of the canaries confirm it, half go back")
    bad = site.release(12)
    recovery = site.recovery(13, 12)
    fleet = site.join("plant", DEVICES, {recovery: codes.REASON_OK})
    for number, client in enumerate(fleet):
        client.answers[bad] = codes.REASON_TRIALS if number % 2 else codes.REASON_OK
    canaries = [client.name for client in fleet[:4]]
    site.ask("PUT", "/groups/plant-canary", json={"devices": canaries})
    phases = [{"kind": "group", "group": "plant-canary", "failure_count": 2}, *percent(50, 100)]
    site.roll_out("summer", bad, ["plant"], phases=phases, recovery=recovery)
    site.settle(fleet)
    row.failed(site.rollout("summer")["state"], "rolled-back", "rolled-back: trials")
    site.together(client.hello() for client in fleet)
    site.settle(fleet, 7 * DAY_S)
    assert asked(fleet, bad) == sorted(canaries)
    assert asked(fleet, recovery) == [fleet[0].name, fleet[2].name]
    assert [client.confirmed for client in fleet] == [recovery, None, recovery, None] + [None] * 36
    assert site.counts("summer") == [{"failed": 2, "recovered": 2}, {"withdrawn": 18}, {"withdrawn": 18}]
    row.kept([client.installs() for client in fleet[4:]], [[]] * 36, "production never saw it")


def test_t44_a_bad_release_to_everybody_at_once(attack, site):
    """Without phases at all, so many see it as may be open at a time, and those that took a failed one's place."""
    row = attack("T44", f"bad release to {DEVICES} devices in one phase, 4 at a time")
    bad = site.release(22)
    fleet = site.join("street", DEVICES, {bad: codes.REASON_TRIALS})
    site.roll_out("autumn", bad, ["street"], phases=percent(100, concurrency=4, failure_count=2))
    site.settle(fleet)
    site.together(client.hello() for client in fleet)
    site.settle(fleet, 7 * DAY_S)
    row.failed(site.rollout("autumn")["state"], "paused", "paused: trials")
    [counts] = site.counts("autumn")
    assert (
        2 <= counts["failed"] <= len(asked(fleet, bad)) <= 4 + 1
    )  # the stop overtakes offers that weren't sent
    row.kept(counts["waiting"] >= DEVICES - 5, True, "at most 5 of 40 were asked")
    site.command("autumn", "cancel")


def _mistakes(site):
    """Yield (what is changed in a plan, the status, the field that is named)."""
    recovery, elsewhere = site.recovery(33, 32), site.recovery(34, 31)
    group = {"kind": "group", "group": "yard"}
    yield {"phases": percent(5, 100, failure_count=None)}, 422, "phases.0.failure_count"
    yield {"phases": percent(5, 100, failure_count=0)}, 422, "phases.0.failure_count"
    yield {"phases": percent(5, 100, failure_percent=101)}, 422, "phases.0.failure_percent"
    yield {"phases": percent(5, 100, success_percent=0)}, 422, "phases.0.success_percent"
    yield {"phases": percent(100, 100)}, 422, "phases.1.size"
    yield {"phases": percent(50, 25)}, 422, "phases.1.size"
    yield {"phases": percent(0, 100)}, 422, "phases.0.size"
    yield {"phases": percent(101)}, 422, "phases.0.size"
    yield {"phases": [*percent(50), group]}, 422, "phases.1.kind"
    yield {"phases": []}, 422, "phases"
    yield {"groups": []}, 422, "phases"
    yield {"groups": ["nobody-has-this"]}, 404, ""
    yield {"silence_s": 0}, 422, "silence_s"
    yield {"tries_max": 1000}, 422, "tries_max"
    yield {"failure_count": 40}, 422, "failure_count"
    yield {"release": b64u(recovery)}, 422, "release"
    yield {"recovery": b64u(elsewhere)}, 422, "recovery"
    yield {"recovery": b64u(site.release(35))}, 422, "recovery"


def test_t44_plans_that_would_not_stop(attack, site):
    """Each is refused by the field that is wrong, before anybody was asked."""
    release = site.release(32)
    yard = site.join("yard", 2)
    mistakes = list(_mistakes(site))
    row = attack("T44", f"rollout plans without an end, or with the wrong one ({len(mistakes)})")
    before = site.ask("GET", "/rollouts?limit=1000")
    for change, status, field in mistakes:
        body = {"name": "winter", "release": b64u(release), "groups": ["yard"], **change}
        found = site.ask("POST", "/rollouts", status, json=body)
        assert found.get("field", "") == field, (change, found)
    row.failed(site.ask("GET", "/rollouts/winter", 404)["status"], 404, "invalid, by field")
    site.settle(yard)
    found = site.ask("GET", "/rollouts?limit=1000"), [client.installs() for client in yard]
    row.kept(found, (before, [[], []]), "yes (no rollout, no offer)")
