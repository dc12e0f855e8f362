"""Whoever owns the running server: its database, its files, its director's key; a real agent judges what comes of it: T30."""

import factory
from fleet_bench import FakeFleetDevice
from release_factory import KeyPair, make_release
from running_server import image_of
from served import NAME, ServedTarget

from pawl import codes, heard
from pawl.index import b64u

GROUP = "stolen"


class Bridge:
    """What a ServedTarget takes for its server: the one that runs, over the device's own connection."""

    def __init__(self, site, client):
        self.fleet = site.fleet
        self.site, self.client = site, client

    def take(self, topic, payload):
        """Publish a message of the device; return what was sent to it up to the answer of a hello."""
        seen = len(self.client.raw)
        kind = topic.split("/")[-1]
        self.site.do(self.client.publish(kind, payload))
        if kind == "hello":
            nonce = heard.read_hello(payload).nonce
            self.site.until(lambda: any(offer.nonce == nonce for offer in self.client.offers[seen:]))
        return self.client.raw[seen:]


class StolenServer:
    """The server that runs, in a thief's hand, and the device that he wants to talk into something."""

    def __init__(self, site):
        self.site = site
        device = FakeFleetDevice(name=NAME, keys=factory.STRANGER)
        site.enroll([device])
        site.ask("PUT", f"/groups/{GROUP}", json={"devices": [NAME]})
        site.bench.device(NAME)
        self.client = site.client(device)
        site.do(self.client.connect())
        self.target = ServedTarget(Bridge(site, self.client))

    def fetch(self):
        """Let the device find on its broker what the real one retains."""
        self.site.settle([])
        self.site.do(self.client.subscribe("pawl/r/+", "pawl/b/+/i", "pawl/b/+/+/+"))
        self.target.broker.retained = self.client.retained

    def install(self, name, release):
        """Roll out a release as operators do; return whether the device runs it confirmed."""
        self.site.roll_out(name, release, [GROUP])
        self.fetch()
        self.target.wanted = release
        is_installed = self.target.installs()
        self.target.run()
        self.site.until(lambda: self.site.rollout(name)["state"] in {"done", "paused"})
        return is_installed

    def edited(self, name, planned, wanted):
        """Plan a release that nobody approved, and let the rows say that another one is rolled out."""
        site = self.site
        site.ask("DELETE", f"/devices/{NAME}/attention", 204)  # three failures, and no rollout takes it
        site.roll_out(name, planned, [GROUP], needs_approval=True)
        site.sql(
            "UPDATE rollouts SET release = ?, plan = json_set(plan, '$.release', ?), state = 'running' WHERE name = ?",
            wanted,
            wanted.hex(),
            name,
        )
        self.fetch()


def test_t30_rows_of_rollouts_and_assignments_edited_in_the_database(attack, site):
    """The server itself offers and publishes what the thief wrote there: the device takes what is signed and newer."""
    row = attack(
        "T30", "running server, its database edited: older releases, a recovery that isn't for this device"
    )
    stolen = StolenServer(site)
    target = stolen.target
    releases = {number: site.release(number) for number in (404, 405, 406)}
    elsewhere = site.recovery(407, 1)
    assert stolen.install("true", releases[405])
    before = target.snapshot()
    assert before.ratchet[0] == 405
    for name, wanted, reason in (
        ("older", releases[404], codes.REASON_SEQUENCE_LOW),
        ("elsewhere", elsewhere, codes.REASON_RECOVERY_NOT_FOR_THIS),
    ):
        stolen.edited(name, releases[406], wanted)
        row.refused(target.refusal(), reason)
        row.unchanged(before, target.snapshot())
        site.command(name, "cancel")
    site.do(stolen.client.hello())  # the server has taken all that the device said before
    site.settle([])
    # Past the rollouts, which would take back what they were told to stop: what the device is assigned, its failures forgotten.
    site.sql("DELETE FROM rollout_members WHERE device = ?", NAME)
    site.sql("UPDATE devices SET assigned = ? WHERE id = ?", releases[404], NAME)
    site.sql(
        "UPDATE assignments SET state = 'assigned', attempt = 3, failures = 0, reason = zeroblob(8) WHERE device = ?",
        NAME,
    )
    row.refused(target.refusal(), codes.REASON_SEQUENCE_LOW)
    row.unchanged(before, target.snapshot())
    # What he does gain: any release that is signed, and newer.
    site.ask("DELETE", f"/devices/{NAME}/attention", 204)
    assert stolen.install("newer", releases[406])


def _swaps(site):
    """Yield (what the thief writes into a release's file, why it isn't published)."""

    class Strangers:
        root, release, recovery, director = KeyPair(), KeyPair(), KeyPair(), KeyPair()

    class Director:
        root, release, recovery, director = Strangers.root, site.fleet.keys.director, KeyPair(), KeyPair()

    version = {"sequence": 413, "version": (413,), "image": image_of(413)}
    yield make_release(Strangers, **version), "threshold"
    yield make_release(Director, **version), "threshold"
    yield make_release(site.fleet.keys, **(version | {"image": b"other" * 50})), "another release"
    yield make_release(site.fleet.keys, sequence=411, version=(411,), image=b"old" * 50), "another release"
    whole = make_release(site.fleet.keys, **version)
    yield whole[:-1] + bytes([whole[-1] ^ 1]), ""


def test_t30_release_files_swapped_on_the_servers_disk(attack, site):
    """The server judges a file each time it opens it, as devices do: nothing of it gets to the broker, nobody is asked."""
    row = attack("T30", "running server: the file of an imported release replaced on disk")
    release = site.release(413)
    [client] = site.join("disk", 1)
    [file] = site.server.settings.releases.glob(b64u(release) + "*")
    content = file.read_bytes()
    for number, (raw, why) in enumerate(_swaps(site)):
        name = f"disk-{number}"
        site.roll_out(name, release, ["disk"], needs_approval=True)
        file.write_bytes(raw)
        site.command(name, "approve")
        site.settle([client], 61)  # what was wrong lately isn't read again for a minute
        shown = site.rollout(name)
        assert shown["state"] == "paused"
        assert why in shown["reason"], shown["reason"]
        row.failed(shown["reason"].startswith("the release can't be published"), True, "can't be published")
        site.command(name, "cancel")
        file.write_bytes(content)
    site.do(client.subscribe(f"pawl/r/{b64u(release)}"))
    row.kept((client.retained, client.installs()), ({}, []), "yes (nothing published, no offer)")
