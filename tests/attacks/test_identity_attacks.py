"""Who claims to be a device, and isn't, or isn't alone, on a server that runs: T47."""

from contextlib import ExitStack

from fleet_bench import FakeFleetDevice
from fleet_of_clients import KEEPALIVE_S, TlsStream, ticks_ms, tls_context
from running_server import running
from test_broker_attacks import Link

from pawl import codes
from pawl.errors import TransportError
from pawl.identity import partition_of
from pawl.mqtt import Client as MqttClient
from pawl.names import reason_name
from pawl.ports.host import claim_code
from pawl_tools.pki import create_authority, issue


def code_of(device, name=None):
    return claim_code.write(name or device.name, device.keys.key.x, device.keys.key.y)


def refusal(site, certificate):
    """Return why a connection ended that shows this certificate, or None if it didn't."""

    async def connect():
        context = tls_context(site.bench.folder, certificate)
        try:
            stream = await TlsStream.open(site.bench.settings.device_port, context)
            await MqttClient(stream, "victim", KEEPALIVE_S, bytearray(100), None, ticks_ms).connect()
        except TransportError as error:
            return reason_name(error.code)
        stream.close()
        return None

    return site.do(connect())


def test_t47_certificates_that_are_none(attack, site):
    """No certificate, a stranger's, one of the server's authority: TLS ends before anything was said."""
    row = attack("T47", "running server: no certificate, a stranger's authority, the server's authority")
    [victim] = site.join("certified", 1)
    folder, stranger = site.bench.folder, create_authority("Pawl devices")
    issue(stranger, victim.name, days=1).write_pem(folder, "strangers")
    issue(site.bench.server_side, victim.name, days=1).write_pem(folder, "servers-side")
    before = len(victim.offers), site.refusals(victim.name)
    for certificate in (None, "strangers", "servers-side"):
        found = refusal(site, certificate)
        assert found in {"link-lost", "link-tls"}, found
    row.failed(refusal(site, victim.name), None, "TLS (by the broker)")
    row.kept(before, (len(victim.offers), site.refusals(victim.name)))


def test_t47_a_certificate_of_another_device(attack, site):
    """Whatever client id and topics a device asks for, it speaks and hears as the one in its certificate."""
    row = attack("T47", "running server: a device that connects in another one's name")
    victim, thief = site.join("named", 2)
    site.do(thief.close())
    before = site.ask("GET", f"/devices/{victim.name}")
    with Link(site.bench, thief.name, client_id=victim.name) as link:
        link.subscribe(victim.device.offer_topic)
        taken = link.publish(victim.device.topic("hello"), payload=victim.device.hello(b"t" * 16))
        row.failed(taken, False, "not authorised (by the broker)")
        assert site.ask("GET", f"/devices/{victim.name}") == before
        site.do(victim.hello())
        assert link.received() == []
    row.kept(victim.offers[-1].action, codes.OFFER_NONE, "yes (the victim's session stands)")


def test_t47_a_device_that_nobody_enrolled(attack, site, tmp_path):
    """With a good certificate: refused where devices are enrolled; shown, and nothing else, where they are claimed."""
    row = attack("T47", "running server: unknown id with a good certificate, under both policies")
    stranger = FakeFleetDevice(name="nobodys-1")
    with running(tmp_path) as strict:
        for server, fault in ((strict, "unknown-device"), (site, "unclaimed")):
            before = devices_of(server)
            server.bench.device(stranger.name)
            client = server.client(stranger)
            server.do(client.connect())
            server.do(client.publish("hello", stranger.hello(b"n" * 16)))
            server.do(client.publish("report", stranger.report(codes.EVENT_STARTED)))
            found = server.until(lambda server=server, fault=fault: counted(server, fault))
            row.refused(found, fault)
            assert devices_of(server) == before
            server.ask("GET", f"/devices/{stranger.name}", 404)
            server.ask("PUT", "/groups/strangers", 404, json={"devices": [stranger.name]})
            assert client.offers == []
        assert strict.ask("GET", "/candidates")["candidates"] == []
        claimed = {"device": stranger.name, "code": code_of(stranger)}
        assert "server.toml" in strict.ask("POST", "/claims", 404, json=claimed)["detail"]
    shown = [one["device"] for one in site.ask("GET", "/candidates")["candidates"]]
    row.kept(shown, [stranger.name], "no device, no offer; a candidate where claims are the policy")


def devices_of(server):
    return server.ask("GET", "/device-counts")["count"]


def counted(server, fault):
    """Return the fault if it was counted for a hello that has no device."""
    found = server.sql("SELECT reason FROM refusals WHERE device = '' AND \"where\" = 'hello'")
    return fault if (fault,) in found else None


def test_t47_claim_codes_that_are_wrong(attack, site):
    """A typo, another device's code, a code before the hello: refused by name; the right one binds the key in it."""
    honest, other = FakeFleetDevice(name="label-1"), FakeFleetDevice(name="label-2")
    right = code_of(honest)
    typo = ("B" if right[7] != "B" else "C").join((right[:7], right[8:]))
    wrong = (typo, code_of(other), right[:-1], "A" * 60)
    row = attack("T47", f"running server: wrong claim codes ({len(wrong)}), and a thief with the right name")
    before = devices_of(site)
    early = site.ask("POST", "/claims", 404, json={"device": honest.name, "code": right})
    assert "switch it on" in early["detail"]
    site.bench.device(honest.name)
    client = site.client(honest)
    site.do(client.connect())
    site.do(client.publish("hello", honest.hello(b"c" * 16)))
    site.until(lambda: honest.name in [one["device"] for one in site.ask("GET", "/candidates")["candidates"]])
    for code in wrong:
        found = site.ask("POST", "/claims", 422, json={"device": honest.name, "code": code})
        row.failed(found["field"], "code", "invalid, by field")
    assert devices_of(site) == before
    site.ask("POST", "/claims", 201, json={"device": honest.name, "code": right})
    # Whoever has its certificate and not its report key is no more than a path.
    thief = FakeFleetDevice(name=honest.name)
    site.do(client.publish("report", thief.report(codes.EVENT_INSTALLED, digest=bytes(32))))
    site.until(lambda: site.refusals(honest.name))
    row.refused(*[reason for _, reason in site.refusals(honest.name)], "unauthorised")
    row.kept(site.do(client.hello()).action, codes.OFFER_NONE, "enrolled with the key of its code")


def test_t47_two_of_the_same_flash(attack, site):
    """A copy with all keys: flagged by what is signed, for people; each of the two is offered and may install."""
    row = attack("T47", "running server: a copy of a device, both alternate")
    release = site.release(302)
    [first] = site.join("twins", 1)
    copy = site.client(first.device)
    site.do(copy.connect())  # the broker keeps one session a name: the first one is out
    site.do(copy.hello())
    site.do(first.close())
    assert site.ask("GET", f"/devices/{first.name}")["flagged"] is None
    site.do(first.connect())
    accepted = site.do(first.hello(first.nonce))
    site.do(first.report(codes.EVENT_CHECKED, accepted=(accepted.nonce, accepted.number)))
    site.settle([first])
    shown = site.ask("GET", f"/devices/{first.name}")
    row.failed(shown["flagged"]["reason"], "two-sessions", "flagged: two-sessions")
    site.ask("DELETE", f"/devices/{first.name}/attention", 204)
    # The copy counts for itself: the number that the first one used comes again, for something else.
    site.do(copy.close())
    site.do(copy.connect())
    site.do(copy.report(codes.EVENT_NOTICED))
    site.until(lambda: site.ask("GET", f"/devices/{first.name}")["flagged"])
    flagged = site.ask("GET", f"/devices/{first.name}")["flagged"]["reason"]
    row.failed(flagged, "report-number-forked", "flagged: report-number-forked")
    assert site.refusals(first.name) == {("report", "replayed"): 1}
    site.roll_out("twins", release, ["twins"])
    site.do(copy.hello())
    site.settle([])
    site.until(lambda: copy.installs(release))
    site.do(first.connect())
    first.answers[release] = codes.REASON_OK
    site.do(first.hello())
    site.settle([first])
    assert first.confirmed == release
    assert site.rollout("twins")["state"] == "done"
    site.do(copy.connect())
    copy.boots, copy.number, copy.confirmed = 3, 0, release
    site.do(copy.report(codes.EVENT_INSTALLED, release))
    offer = site.do(copy.hello())
    assert site.refusals(first.name) == {("report", "replayed"): 1}
    row.kept((offer.action, devices_of(site) > 0), (codes.OFFER_NONE, True), "both offered, both heard")


def sessions(site):
    """Return the client ids that the server has at the broker."""
    text = (site.bench.settings.folder / "mosquitto.log").read_text()
    return sorted(
        {word for line in text.splitlines() if " as _" in line for word in line.split() if word[0] == "_"}
    )


def test_t47_a_certificate_in_the_servers_client_id(attack, tmp_path):
    """None is made; whoever has one signed all the same ends a session and hears nothing, and the server takes it back.

    What he subscribed it to outlives him: the server hears every message there, and takes its own topics only.
    """
    row = attack("T47", "running server: fleet certificates named like the server's sessions")
    with running(tmp_path) as site:
        devices = site.join("heard", 2)
        ours = f"_ingest-{partition_of(devices[0].name) // 8}"
        names = [name for name in sessions(site) if name == ours or not name.startswith("_ingest")]
        with ExitStack() as stack:
            thieves = [stack.enter_context(stolen_session(site, name)) for name in names]
            for thief in thieves:
                thief.subscribe("#")
                for topic in (devices[0].device.topic("hello"), devices[0].device.offer_topic, "pawl/r/x"):
                    assert not thief.publish(topic, retain=True), topic
            told = [topic for thief in thieves for topic in thief.received() if topic.startswith("pawl/d/")]
            row.failed(told, [], "no right (by the broker)")  # releases and anchors every device may read
            site.until(lambda: not any(thief.ended.empty() for thief in thieves))
        assert ours in names
        assert len(names) == 2
        before = site.sql("SELECT * FROM refusals")
        offers = [site.do(one.hello()).action for one in devices]
        site.together(one.report(codes.EVENT_STARTED) for one in devices)
        site.settle(devices)
        found = offers, [len(site.ask("GET", f"/devices/{one.name}")["reports"]) for one in devices]
        row.kept(found, ([codes.OFFER_NONE] * 2, [1, 1]), "server is back; what was queued there is lost")
        # In that session what is its own comes twice, and may be refused as replayed; nobody else's comes there at all.
        assert (before, site.refusals(devices[1].name)) == ([], {})
        assert set(site.refusals(devices[0].name)) <= {("report", "replayed")}


def stolen_session(site, name):
    """Connect with a certificate of the fleet's authority in this name."""
    file = f"thief-{name}"
    issue(site.bench.fleet, name, days=1).write_pem(site.bench.folder, file)
    return Link(site.bench, file, client_id="x")
