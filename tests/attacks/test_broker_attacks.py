"""An enrolled device that turns on the broker and on others, through the real mosquitto: T08, T28."""

import dataclasses
import queue
import ssl
import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from typer.testing import CliRunner

from pawl.identity import partition_of
from pawl_server import ingest_slices
from pawl_server.domain.fleet import DEVICE_ID
from pawl_server.mqtt.broker_config import DEVICE_ACL
from pawl_tools.cli import app
from pawl_tools.errors import ToolError
from pawl_tools.pki import issue
from pawl_tools.provision import DevicePlan

WAIT_S = 10
SESSION_S = 600  # every client asks to be remembered
QUIET_S = 0.25
VICTIM = f"pawl/d/{partition_of('victim')}/victim"
THIEF = f"pawl/d/{partition_of('thief')}/thief"


class Link:
    """An MQTT 5 connection of somebody with a certificate, who may ask for anything."""

    def __init__(self, bench, name, *, client_id=None, side="device", will=None):
        self.got = queue.Queue()
        self.ended = queue.Queue()
        self.answers = queue.Queue()
        self.client_id = client_id or name
        context = ssl.create_default_context(cafile=str(bench.folder / f"{side}-ca.pem"))
        context.load_cert_chain(bench.folder / f"{name}.crt", bench.folder / f"{name}.key")
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        self.client.tls_set_context(context)
        self.client.on_message = lambda _c, _u, message: self.got.put(message.topic)
        self.client.on_disconnect = lambda *arguments: self.ended.put(arguments[3])
        self.client.on_connect = lambda *arguments: self.answers.put(arguments[3])
        self.client.on_subscribe = lambda *arguments: self.answers.put(arguments[3][0])
        self.client.on_publish = lambda *arguments: self.answers.put(arguments[3])
        if will:
            self.client.will_set(will, b"will", 1, retain=True)
        session = Properties(PacketTypes.CONNECT)
        session.SessionExpiryInterval = SESSION_S
        self.client.connect(
            "127.0.0.1", getattr(bench.settings, f"{side}_port"), clean_start=False, properties=session
        )
        self.client.loop_start()
        self.connected = self.answers.get(timeout=WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()

    def subscribe(self, topic):
        """Return the answer."""
        self.client.subscribe(topic, 1)
        return self.answers.get(timeout=WAIT_S)

    def publish(self, topic, *, retain=False, payload=b"x"):
        """Return whether it was taken."""
        self.client.publish(topic, payload, 1, retain)
        return not self.answers.get(timeout=WAIT_S).is_failure

    def die(self):
        """End without a goodbye, so that the will is published."""
        self.client.socket().close()
        self.client.loop_stop()

    def received(self):
        """Return what came, after everything had time to come."""
        time.sleep(QUIET_S)
        found = []
        while not self.got.empty():
            found.append(self.got.get())
        return sorted(found)


def device(bench, name, **rest):
    """Connect with a new certificate of the fleet."""
    bench.device(name)
    return Link(bench, name, **rest)


def server(bench, client_id=None, **rest):
    """Connect as the fleet server does: its certificate, its listener, and the client id of its settings."""
    return Link(
        bench,
        "_server",
        client_id=client_id or ingest_slices.client_id(0),
        side="server",
        **rest,
    )


UP = "pawl/d/+/+/up/#"


def test_t28_a_device_that_takes_the_servers_session(attack, bench):
    """A device named as like the server's client id as a device can be doesn't end the server's session."""
    row = attack("T28", "session takeover: a device named like the server's client id")
    with bench.broker(), server(bench) as ingest:
        ingest.subscribe(UP)
        with device(bench, ingest.client_id.lstrip("_")) as thief:
            row.failed(ingest.ended.empty(), True, "(another session)")
            thief.subscribe("#")
            with device(bench, "victim") as victim:
                assert victim.publish(f"{VICTIM}/up/hello")
            row.kept(ingest.received(), [f"{VICTIM}/up/hello"], "yes (server hears, thief doesn't)")
            assert thief.received() == []


def test_t28_the_servers_client_id_can_be_no_devices(attack, bench):
    """A server told to use a name that a device could have says so before it connects."""
    row = attack("T28", "session takeover: a server configured with a device's name")
    settings = bench.link_settings()
    for client_id in ("ingest", "a", "bench-1"):
        with pytest.raises(ValueError, match="could be a device's"):
            dataclasses.replace(settings, client_id=client_id)
        assert DEVICE_ID.fullmatch(client_id)
    row.failed(DEVICE_ID.fullmatch(settings.client_id), None, "refused at start")
    row.pure()


def test_t28_a_device_that_takes_anothers_session(attack, bench):
    """Whatever client id a device claims, it is the one in its certificate."""
    row = attack("T28", "session takeover: another device's client id claimed")
    with bench.broker(), server(bench) as ingest, device(bench, "victim") as victim:
        ingest.subscribe(UP)
        victim.subscribe(f"{VICTIM}/offer")
        with device(bench, "thief", client_id="victim") as thief:
            assert ingest.publish(f"{VICTIM}/offer")
            row.failed(victim.ended.empty(), True, "(the certificate is the id)")
            assert thief.received() == []
        row.kept(victim.received(), [f"{VICTIM}/offer"], "yes (victim's session stands)")


FORBIDDEN = [
    f"{VICTIM}/up/hello",
    f"{VICTIM}/up/report",
    f"{VICTIM}/offer",
    f"{THIEF}/offer",
    f"{THIEF}/up/hello/more",
    f"{THIEF}/up/other",
    "pawl/r/x",
    "pawl/b/x/i",
    "pawl/b/x/0/0",
    "pawl/k/2",
    "pawl/d/7",
    "other",
    "$SYS/broker/x",
    f"/{THIEF}/up/hello",
    f"pawl/d/7/thief/../{VICTIM[9:]}/up/hello",
    "pawl/d/7/thief/victim/up/hello",
]


def test_t28_a_device_that_publishes_for_others(attack, bench):
    """Offers, releases, blocks, anchors, others' hellos and reports, retained or not: nobody gets one."""
    row = attack("T28", f"forged publications by an enrolled device ({len(FORBIDDEN)})")
    with bench.broker(), server(bench) as ingest:
        for topic in ("#", "$SYS/broker/x"):
            ingest.subscribe(topic)
        with device(bench, "victim") as victim, device(bench, "thief") as thief:
            victim.subscribe("#")
            for topic in FORBIDDEN:
                for retain in (False, True):
                    assert not thief.publish(topic, retain=retain), topic
            row.failed(ingest.received() + victim.received(), [], "not authorised")
        with server(bench, "_later") as later:
            later.subscribe("pawl/#")
            row.kept(later.received(), [], "yes (nothing retained)")


def test_t28_retained_messages_under_made_up_partitions(attack, bench):
    """An access list can't tell retained messages from others: what bounds them is that the partitions are listed."""
    row = attack("T28", "flood: retained messages of a device under partitions that nobody has")
    names = ("64", "65", "07", "7 ", "-1", "x", "", "255", "1e1", "a" * 200)
    with bench.broker(), server(bench) as ingest:
        ingest.subscribe("#")
        with device(bench, "thief") as thief:
            for name in names:
                for kind in ("hello", "report", "log"):
                    assert not thief.publish(f"pawl/d/{name}/thief/up/{kind}", retain=True), name
            for kind in ("hello", "report", "log"):
                for number in (0, 63, partition_of("thief")):
                    assert thief.publish(f"pawl/d/{number}/thief/up/{kind}", retain=True), kind
        row.failed(
            {topic.split("/")[2] for topic in ingest.received()},
            {"0", "63", str(partition_of("thief"))},
            "not authorised",
        )
        row.kept(DEVICE_ACL.count("pattern write"), 3 * 64, "at most 192 retained messages a device")


@pytest.mark.parametrize("name", ["_server", "_ingest", "_ingest-0", "_worker-main", "_"])
def test_t28_a_fleet_certificate_in_the_servers_name(attack, bench, tmp_path, name):
    """Provisioning makes none. If the fleet's authority signs one all the same, its listener has no rights for it."""
    row = attack("T28", f"a device's certificate named {name}")
    made = tmp_path / "made"
    provision = ["provision", made, "--trust=x", "--release=x", "--ca=x", "--broker=h:1", "--device", name]
    with pytest.raises(ToolError, match="no device id"):
        CliRunner().invoke(app, [str(word) for word in provision], catch_exceptions=False)
    with pytest.raises(ToolError, match="no device id"):
        DevicePlan(device=name, vendor=bytes(16), device_class=bytes(16), host="h", port=1)
    row.failed(made.exists(), False, "no device id")
    issue(bench.fleet, name, days=1).write_pem(bench.folder, "odd")
    with bench.broker(), device(bench, "victim") as victim, server(bench, "_other") as ingest:
        ingest.subscribe("#")
        victim.subscribe(f"{VICTIM}/offer")
        with Link(bench, "odd", client_id="x") as thief:
            thief.subscribe("#")
            for topic in (f"{VICTIM}/up/hello", f"{VICTIM}/offer", "pawl/r/x", "pawl/k/2", "$SYS/x"):
                assert not thief.publish(topic, retain=True), topic
            assert ingest.publish(f"{VICTIM}/offer")
            row.failed(thief.received(), [], "not authorised")
        row.kept(victim.received(), [f"{VICTIM}/offer"], "yes (no message, no right)")


def test_t28_wills_on_topics_of_others(attack, bench):
    """A will is a publication: on another's topic it is never made."""
    row = attack("T28", "a will on another's topics, then death")
    with bench.broker(), server(bench) as ingest:
        ingest.subscribe("#")
        for number, topic in enumerate((f"{VICTIM}/offer", "pawl/r/x", "pawl/k/2", f"{VICTIM}/up/hello")):
            thief = device(bench, f"thief-{number}", will=topic)
            thief.die()
        row.failed(ingest.received(), [], "not authorised")
        with server(bench, "_later") as later:
            later.subscribe("pawl/#")
            row.kept(later.received(), [], "yes (nothing retained)")


LISTENING = [
    "#",
    "+/#",
    "pawl/#",
    "pawl/d/#",
    "pawl/d/+/+/offer",
    UP,
    "$SYS/#",
    f"{VICTIM}/offer",
    f"{VICTIM}/up/hello",
]


def test_t28_wildcard_and_shared_subscriptions(attack, bench):
    """Whatever is subscribed to, nothing of another's comes, and the server loses none of its messages to a share."""
    row = attack("T28", "wildcard and shared subscriptions, $SYS")
    with bench.broker(), server(bench) as ingest, device(bench, "victim") as victim:
        ingest.subscribe(UP)
        bench.device("thief")
        for share in ("", "$share/ingest/", "$share/_ingest/"):
            with Link(bench, "thief") as thief:
                for topic in LISTENING:
                    if not (share and topic.startswith("$")):
                        thief.subscribe(share + topic)
                for _ in range(4):
                    assert victim.publish(f"{VICTIM}/up/hello")
                    assert ingest.publish(f"{VICTIM}/offer")
                row.failed(thief.received(), [], "nothing delivered")
                row.kept(ingest.received(), [f"{VICTIM}/up/hello"] * 4, "yes (server hears all)")


ODD_NAMES = ("+", "#", "victim/up", "+/victim", "_server", "victim/offer", "a+b")


def test_t26_certificate_names_that_are_patterns(attack, bench):
    """If the fleet's authority were to sign a name that is a topic filter, that name is still no pattern."""
    row = attack("T26", f"certificate names that are topic filters, or the server's ({len(ODD_NAMES)})")
    with bench.broker(), server(bench) as ingest, device(bench, "victim") as victim:
        ingest.subscribe("#")
        victim.subscribe(f"{VICTIM}/offer")
        for number, name in enumerate(ODD_NAMES):
            issue(bench.fleet, name, days=1).write_pem(bench.folder, f"odd-{number}")
            overreach(bench, ingest, f"odd-{number}")
        row.failed(set(ingest.received()) <= {f"{VICTIM}/offer"}, True, "not authorised")
        row.kept(set(victim.received()) <= {f"{VICTIM}/offer"}, True, "yes (no message, no session)")


def overreach(bench, ingest, certificate):
    """Connect with a certificate, if the broker lets it in, and try to speak for others and to hear them."""
    try:
        thief = Link(bench, certificate, client_id="x")
    except (OSError, queue.Empty):
        return
    with thief:
        if thief.connected.is_failure:
            return
        thief.subscribe("#")
        for topic in (f"{VICTIM}/up/hello", f"{VICTIM}/offer", "pawl/r/x", "pawl/k/2"):
            assert not thief.publish(topic), topic
        assert ingest.publish(f"{VICTIM}/offer")
        assert thief.received() == []
