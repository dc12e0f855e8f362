"""`pawl server run` as a process, its devices real MQTT clients: a rollout through SIGKILL, a clean stop, clear faults."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "server"))

from release_factory import make_anchor
from server_site import PAWL, WAIT_S, MqttDevice, Site, enroll, free_ports, until

from pawl import codes, topics
from pawl_server import configuration, program
from pawl_server.settings import ApiSettings
from pawl_server.store import Store
from pawl_tools import pki


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A running server that the tests of this file share."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.run(*site.init_arguments)
    site.start()
    yield site
    site.stop()


def test_a_rollout_through_kills_of_the_server(site):
    """SIGKILL before the first group is done and again before the second: in order, everybody once, no report lost."""
    devices = {name: MqttDevice(site, name) for name in ("kill-1", "kill-2", "kill-3")}
    enroll(site, devices.values())
    digest = site.ask("release", "import", site.release(sequence=3))["digest"]
    site.run("group", "set", "canary", "kill-1")
    site.run("group", "set", "production", "kill-2", "kill-3")
    for device in devices.values():
        device.hello()
    groups = ("--group", "canary", "--group", "production")
    site.ask("rollout", "create", "--release", digest[:10], *groups, "--name", "kills")
    devices["kill-1"].wait_for(codes.OFFER_INSTALL)
    site.kill()
    # The broker lives on without its server, and keeps the report.
    devices["kill-1"].install()
    site.start()
    devices["kill-2"].install()
    site.kill()
    site.start()
    devices["kill-3"].install()
    watched = site.run("rollout", "watch", "kills", "--json").splitlines()
    assert json.loads(watched[-1])["state"] == "done"
    shown = site.ask("rollout", "devices", "kills")
    assert [(one["device"], one["progress"]) for one in shown] == [(name, "succeeded") for name in devices]
    assert [device.installs for device in devices.values()] == [1, 1, 1]
    assert all(one.attempt in {None, 1} for device in devices.values() for one in device.offered)
    for device in devices.values():
        device.close()


def test_a_broker_that_lost_everything_gets_it_again(site):
    """Killed and emptied: the program starts it again, and what devices are asked to install is there."""
    device = MqttDevice(site, "lost-1")
    enroll(site, [device])
    imported = site.ask("release", "import", site.release(sequence=4, version=(4,)))
    site.run("group", "set", "lost", "lost-1")
    site.ask("rollout", "create", "--release", imported["digest"], "--group", "lost", "--name", "lost")
    device.hello()
    offer = device.wait_for(codes.OFFER_INSTALL)
    pid = site.broker_pid()
    (site.server / "broker" / "mosquitto.db").unlink(missing_ok=True)
    os.kill(pid, signal.SIGKILL)
    until(lambda: site.broker_pid() != pid)
    assert device.fetch(topics.release(offer.digest))
    site.run("rollout", "cancel", "lost")
    device.wait_for(codes.OFFER_NONE)
    assert "cancelled by an operator" in site.run("rollout", "watch", "lost", code=1)
    device.close()


def test_commands_say_what_was_refused_and_why(site):
    """One line with cause and next step; 1 refused, 2 unusable."""
    path = site.release(sequence=5, version=(5,))
    path.write_bytes(path.read_bytes()[:-1])
    for arguments, code, says in (
        (("release", "import", path), 1, "run `pawl verify`"),
        (("release", "import", site.folder / "none"), 2, "No such file"),
        (("device", "show", "gh/../ost"), 2, "is no name"),
        (("device", "show", ""), 2, "is no name"),
        (("device", "show", "gh%2Fost"), 1, "device: "),
        (("device", "show", "ghost"), 1, "no device ghost is enrolled"),
        (("device", "enroll", path), 2, "is no enrolment"),
        (("group", "set", "x", "ghost"), 1, "no device ghost"),
        (("rollout", "create", "--release", "AAAAAAAA", "--group", "x"), 1, "no release AAAAAAAA"),
        (("rollout", "watch", "none"), 1, "no rollout none"),
        (("rollout", "pause", "kills"), 1, "kills is done"),
        (("server", "run", site.server), 2, "a server runs in"),
        (("server", "token", "new", "operator", "--folder", site.server), 1, "choose another name"),
        ((*site.init_arguments,), 2, "exists"),
    ):
        said = site.run(*arguments, code=code)
        assert says in said and "\n" not in said, said


def test_a_token_opens_the_interface_and_nothing_else_does(site, monkeypatch):
    """From the environment; a wrong one, a readable file, or no server: unusable, and said so."""
    token = site.run("server", "token", "new", "ci", "--folder", site.server).strip()
    monkeypatch.setenv("PAWL_SERVER", f"http://127.0.0.1:{site.api_port}/")
    monkeypatch.setenv("PAWL_TOKEN", token)
    assert site.ask("release", "list")
    monkeypatch.setenv("PAWL_TOKEN", token[:-1])
    assert "no valid token" in site.run("release", "list", code=2)
    monkeypatch.delenv("PAWL_TOKEN")
    assert "belong together" in site.run("release", "list", code=2)
    monkeypatch.setenv("PAWL_TOKEN", token)
    monkeypatch.setenv("PAWL_SERVER", f"http://127.0.0.1:{free_ports(1)[0]}")
    assert "does `pawl server run` run there?" in site.run("release", "list", code=2)
    monkeypatch.setenv("PAWL_SERVER", "ftp://x")
    assert "is no address" in site.run("release", "list", code=2)
    monkeypatch.delenv("PAWL_SERVER")
    monkeypatch.delenv("PAWL_TOKEN")
    (site.server / "operator.toml").chmod(0o644)
    assert "chmod 600" in site.run("release", "list", code=2)
    (site.server / "operator.toml").chmod(0o600)


def test_anchors_are_imported_by_command_and_published_for_devices(site):
    """The next version of the chain, in order; refused with the reason; a walking device finds it."""
    arguments = {"ca": [site.ca.certificate_der()], "server_names": ("localhost",)}
    path = site.folder / "trust-2.cbor"
    path.write_bytes(make_anchor(site.keys, version=3, **arguments))
    assert "anchor-version" in site.run("server", "anchors", "add", path, code=1)
    path.write_bytes(make_anchor(site.keys, version=2, **arguments))
    assert site.run("server", "anchors", "add", path).startswith("trust anchor 2 is in force")
    assert [one["version"] for one in site.ask("server", "anchors", "list")] == [1, 2]
    assert len(site.run("server", "anchors", "list").splitlines()) == 3
    device = MqttDevice(site, "walk-1")
    enroll(site, [device])
    assert device.fetch(topics.anchor(2))
    device.hello()
    assert device.wait_for(codes.OFFER_NONE).anchor[0] == 2
    shown = site.run("device", "show", "walk-1")
    assert "claims (unsigned) anchor" in shown and "version 1" in shown
    device.close()


def test_a_database_of_an_older_server_is_refused_in_one_line(site, tmp_path):
    """Before anything is written to it."""
    (tmp_path / "data").mkdir()
    for name in ("server.toml", "trust.cbor", "tls"):
        (tmp_path / name).symlink_to(site.server / name)
    with closing(sqlite3.connect(tmp_path / "data" / "pawl.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE devices (id TEXT)")
    said = site.run("server", "token", "new", "late", "--folder", tmp_path, code=2)
    assert "tables of version 1" in said and "\n" not in said


def test_lists_are_tables_for_people(site):
    """Names of columns, then a line each."""
    assert site.run("device", "list").splitlines()[0].split()[:3] == ["device", "slot", "version"]
    assert site.run("release", "list").splitlines()[0].split()[:2] == ["digest", "version"]
    assert any(line.startswith("canary") for line in site.run("group", "list").splitlines())
    assert any("kills" in line and "3/3" in line for line in site.run("rollout", "list").splitlines())
    assert "group production: 2 succeeded" in site.run("rollout", "show", "kills")
    assert site.run("rollout", "devices", "kills").splitlines()[0].split()[:3] == [
        "device",
        "phase",
        "progress",
    ]
    assert "partition" in site.run("device", "show", "kill-1")


def test_it_stops_cleanly_and_takes_its_broker_along(site):
    """At both signals, with exit code 0; the second start goes on with the same data, unless a port is taken."""
    for number in (signal.SIGINT, signal.SIGTERM):
        pid = site.broker_pid()
        said, code = site.stop(number)
        assert said.endswith("stopping\n") and code == 0
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        site.start()
    site.stop()
    for port, says in (
        (site.api_port, "for the API"),
        (site.device_port, "is another broker running there?"),
    ):
        with socket.create_server(("127.0.0.1", port)):
            said = site.run_program("server", "run", site.server, code=2)
            assert said.startswith("pawl: ") and says in said and str(port) in said and said.count("\n") == 1


def test_a_worker_beside_the_server_takes_a_share_and_goes_on_alone(site):
    """One process of a name; the server killed, it answers devices; the server back, it is heard."""
    site.stop()
    site.start()
    worker = subprocess.Popen(
        [PAWL, "server", "worker", "--name", "w2", site.server],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert worker.stdout.readline().startswith("worker w2: takes its share of ")
        for name, says in (
            ("w2", "worker of this name runs in"),
            ("main", "another name"),
            ("W", "a worker's name is"),
        ):
            assert says in site.run("server", "worker", "--name", name, site.server, code=2)
        device = MqttDevice(site, "worker-1")
        enroll(site, [device])
        site.kill()
        device.hello()
        device.wait_for(codes.OFFER_NONE)
        device.close()
        site.start()
        worker.send_signal(signal.SIGTERM)
        said, _ = worker.communicate(timeout=WAIT_S)
        assert (said, worker.returncode) == ("stopping\n", 0)
    finally:
        site.stop()
        worker.kill()
        worker.communicate()


async def is_unsent(site):
    """Return whether something waits for the broker."""
    store = Store(configuration.load(site.server).server.database)
    await store.open()
    async with store.reading() as transaction:
        found = await transaction.unsent()
    await store.close()
    return bool(found)


def test_a_server_whose_database_was_taken_over_ends(site):
    """By a process that the lock of the folder doesn't stop, on another machine say: one line, and no offer after it."""
    site.start()
    device = MqttDevice(site, "fence-1")
    enroll(site, [device])
    device.hello()
    device.wait_for(codes.OFFER_NONE)

    async def take_over():
        store = Store(configuration.load(site.server).server.database)
        await store.open()
        await store.take_fence()
        await store.close()

    # An offer that isn't noted as sent when the fence falls would come again.
    deadline = time.monotonic() + WAIT_S
    while asyncio.run(is_unsent(site)):
        assert time.monotonic() < deadline, "an offer that the broker never takes"
    asyncio.run(take_over())
    offers = len(device.offered)
    device.hello()
    said, _ = site.process.communicate(timeout=WAIT_S)
    assert site.process.returncode == 2
    assert "pawl: another server process has taken over this database" in said
    assert len(device.offered) == offers
    device.close()


def test_files_of_a_server_are_private(site):
    """Settings, keys, token, database: for their owner alone, and no secret where it needn't be."""
    settings = configuration.load(site.server)
    for path in (
        site.server / "server.toml",
        site.server / "operator.toml",
        settings.server.database,
        settings.server.tls_key,
        settings.broker.device_tls.key,
    ):
        assert path.stat().st_mode & 0o077 == 0, path
    assert not list(site.server.rglob("director"))
    token = (site.server / "operator.toml").read_text().split('"')[3]
    assert token.encode() not in settings.server.database.read_bytes()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("port = ", "port = 0 #"), "port"),
        (('address = "127.0.0.1"', 'address = "0.0.0.0"'), "api.certificate and api.key"),
        (('data = "data"', 'data = "data"\nretries = 3'), "retries is no setting"),
        (('data = "data"', 'data = "data"\noffers_per_s = 0'), "offers_per_s must be above 0, not 0"),
        (('data = "data"', 'data = "data"\nlease_term_s = 1'), "lease_term_s must be 3 at least"),
        (('trust = "trust.cbor"', ""), "trust must be a text"),
        (('trust = "trust.cbor"', 'trust = "none.cbor"'), "none.cbor"),
        (("[api]", "[api"), "line"),
    ],
)
def test_settings_that_can_not_be_are_named(site, change, says, tmp_path):
    """In one line, before anything is started."""
    text = (site.server / "server.toml").read_text()
    assert change[0] in text
    (tmp_path / "server.toml").write_text(text.replace(*change, 1))
    for name in ("trust.cbor", "tls"):
        (tmp_path / name).symlink_to(site.server / name)
    said = site.run("server", "run", tmp_path, code=2)
    assert says in said and "\n" not in said, said


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--director", "{folder}/ca/ca.key", "director"),
        ("--device-ca", "{folder}/other", "doesn't name the authority"),
        ("--host", "updates.example", "is no address"),
        ("--api-port", "8883", "must be different"),
        ("--trust", "{folder}/director", "not a valid trust anchor"),
    ],
)
def test_a_server_that_no_device_would_follow_is_not_made(tmp_path, option, value, says):
    """Wrong director, wrong authority, unusable addresses: nothing is written."""
    site = Site(tmp_path)
    (tmp_path / "other").mkdir()
    pki.create_authority("other").write_pem(tmp_path / "other", "ca")
    arguments = [str(one) for one in site.init_arguments]
    options = dict(zip(arguments[3::2], arguments[4::2], strict=True))
    options |= {"--device-port": "8883", option: value.format(folder=tmp_path)}
    said = site.run(*arguments[:3], *(one for pair in options.items() for one in pair), code=2)
    assert says in said and "\n" not in said
    assert not any(path.name.startswith((".server", "server")) for path in tmp_path.iterdir())


def test_the_interface_answers_without_waiting_for_acknowledgements():
    """On a connection that is kept, an answer in two pieces would else take 40 ms."""

    async def scenario():
        accepted = asyncio.get_running_loop().create_future()
        with program.listening_at(ApiSettings(address="127.0.0.1", port=free_ports(1)[0])) as listening:
            async with await asyncio.start_server(lambda *pair: accepted.set_result(pair), sock=listening):
                _, client = await asyncio.open_connection(*listening.getsockname())
                _, writer = await accepted
                option = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                for one in (client, writer):
                    one.close()
        return option

    assert asyncio.run(scenario()) == 1
