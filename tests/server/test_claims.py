"""Devices that nobody enrolled: shown if the policy says so, claimed with the code on their label, believed in nothing."""

import asyncio

import pytest
from fleet_bench import NOW_S, FakeFleetDevice, make_fleet, open_store
from hypothesis import given, settings
from hypothesis import strategies as st
from release_factory import CLASS, VENDOR
from service_bench import connected, running, until
from service_bench import run as run_service

from pawl import codes
from pawl.ports.host import claim_code
from pawl.ports.host.claim_code import ClaimCodeError
from pawl_server.configuration import ConfigurationError, load
from pawl_server.domain.fleet import Device
from pawl_server.domain.registration import Candidate, Registration
from pawl_server.errors import InvalidError, UnknownError
from pawl_server.events import MessageRefused
from pawl_server.ingest import Ingest
from pawl_server.inventory import Inventory
from pawl_server.mqtt.inbox import Message
from pawl_server.rates import CANDIDATE_BURST
from pawl_server.store import ConflictError
from pawl_server.store.candidates import CANDIDATES_MAX, KEPT_S, QUIET_S

BENCH = FakeFleetDevice(name="bench-1")
OTHER = FakeFleetDevice(name="bench-2")
NONCE = b"n" * 16


def _code(device, of=None):
    return claim_code.write((of or device).name, device.keys.key.x, device.keys.key.y)


CODE = _code(BENCH)
KEY = (BENCH.keys.key.x, BENCH.keys.key.y)


class Harness:
    """A server's ingest and inventory over nobody; time passes when it is told to."""

    def __init__(self, folder, registration):
        self.fleet = make_fleet(folder)
        self.store = self.fleet.store
        self.now_s = NOW_S
        self.ingest = Ingest(
            self.store,
            self.fleet.desk,
            lambda: self.now_s,
            registration=registration,
            ticks=lambda: self.now_s,
        )
        self.inventory = Inventory(
            self.store, lambda: self.now_s, late_after_s=100, registration=registration
        )

    async def take(self, *messages):
        """Ingest one batch."""
        await self.ingest.take(list(messages))

    async def enroll(self, device):
        """Enroll a device as its file says."""
        async with self.store.writing() as transaction:
            await transaction.enroll(Device(enrolment=device.enrolment))

    async def rows(self):
        """Return what there is besides candidates: devices, offers, and refusals by place and reason."""
        async with self.store.reading() as transaction:
            devices = await transaction.inventory.page("", 2000, None)
            offers = await transaction.unsent()
            counts = await transaction.refusals()
        refused = {(one.device, one.where, one.reason): count for one, count in counts.items()}
        return [device.name for device in devices], [one.message.device for one in offers], refused


@pytest.fixture
def run(tmp_path):
    """Run a scenario with a harness."""

    def run_it(scenario, registration=Registration.CLAIM):
        async def main():
            harness = Harness(tmp_path, registration)
            async with open_store(harness.store):
                await scenario(harness, harness.inventory)

        asyncio.run(main())

    return run_it


def _hello(device, nonce=NONCE, **fields):
    return Message(topic=device.topic("hello"), payload=device.hello(nonce, **fields), retained=False)


def _report(device, number=1):
    payload = device.report(codes.EVENT_STARTED, number=number)
    return Message(topic=device.topic("report"), payload=payload, retained=False)


def test_a_code_is_read_as_people_type_it():
    """12 groups of 5; case, hyphens and spaces don't matter, nor do a 0 for O and a 1 for I."""
    assert [len(group) for group in CODE.split("-")] == [5] * 12
    mistaken = CODE.replace("O", "0").replace("I", "1")
    for text in (CODE, CODE.lower(), CODE.replace("-", ""), f" {CODE.replace('-', '  ')}\n", mistaken):
        assert claim_code.read("bench-1", text) == KEY


@pytest.mark.parametrize(
    ("device", "code", "says"),
    [
        ("bench-2", CODE, "mistyped, or of another device than bench-2"),
        ("bench-1", "", "60 letters and digits, not 0"),
        ("bench-1", CODE[:-1], "60 letters and digits, not 59"),
        ("bench-1", CODE + "A", "60 letters and digits, not 61"),
        ("bench-1", "8" + CODE[1:], "the letters A to Z and the digits 2 to 7"),
        ("bench-1", "=" * 60, "the letters A to Z and the digits 2 to 7"),
        ("bench-1", "\u0660" * 60, "60 letters and digits"),
        ("bench-1", "B" + CODE[1:], "of version 9, and 1 is known"),
        ("bench-1", "A" * 60, "of version 0"),
    ],
)
def test_a_text_that_is_no_code_of_the_device_is_refused(device, code, says):
    """With what is wrong."""
    with pytest.raises(ClaimCodeError, match=says):
        claim_code.read(device, code)


def test_a_code_whose_key_is_no_point_is_refused():
    """A right check value over a wrong key."""
    with pytest.raises(ClaimCodeError, match="no P-256 key"):
        claim_code.read("bench-1", claim_code.write("bench-1", bytes([255]) * 32, bytes(32)))


@settings(deadline=None, max_examples=300)
@given(
    at=st.integers(0, 59), sign=st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), other=st.integers(0, 59)
)
def test_no_typo_is_read(at, sign, other):
    """One sign changed, or two exchanged: never another key, never the same."""
    text = CODE.replace("-", "")
    changed = text[:at] + sign + text[at + 1 :]
    swapped = list(text)
    swapped[at], swapped[other] = swapped[other], swapped[at]
    for typo in {changed, "".join(swapped)} - {text}:
        with pytest.raises(ClaimCodeError):
            claim_code.read("bench-1", typo)


def test_a_stranger_is_refused_and_not_shown_where_devices_are_pre_registered(run):
    """The default; a claim says which setting there is."""

    async def scenario(harness, inventory):
        await harness.take(_hello(BENCH), _report(BENCH))
        assert await inventory.candidates("", 10) == []
        refused = {("", "hello", "unknown-device"): 1, ("", "report", "unknown-device"): 1}
        assert await harness.rows() == ([], [], refused)
        with pytest.raises(UnknownError, match='set registration = "claim"'):
            await inventory.claim("bench-1", CODE)

    run(scenario, Registration.PRE_REGISTERED)


def test_a_candidate_is_shown_and_offered_nothing(run):
    """Its hello is refused and counted, its reports are, too."""

    async def scenario(harness, inventory):
        await harness.take(_hello(BENCH), _report(BENCH))
        harness.now_s += 60
        await harness.take(_hello(BENCH), _hello(OTHER))
        first, second = await inventory.candidates("", 10)
        assert first == Candidate(
            device="bench-1", vendor=VENDOR, class_id=CLASS, first_seen_s=NOW_S, last_seen_s=NOW_S + 60
        )
        assert (second.device, second.first_seen_s) == ("bench-2", NOW_S + 60)
        assert await inventory.candidates("bench-1", 10) == [second]
        refused = {("", "hello", "unclaimed"): 3, ("", "report", "unknown-device"): 1}
        assert await harness.rows() == ([], [], refused)

    run(scenario)


def test_a_claimed_device_is_answered_by_its_next_hello(run):
    """With vendor and class of its hello and the key of its code; it is no candidate any more."""

    async def scenario(harness, inventory):
        await harness.take(_hello(BENCH))
        assert await inventory.claim("bench-1", CODE.lower()) == BENCH.enrolment
        assert await inventory.claim("bench-1", CODE) == BENCH.enrolment
        assert await inventory.candidates("", 10) == []
        assert (await inventory.device("bench-1")).device.enrolled_at_s == NOW_S
        await harness.take(_hello(BENCH), _report(BENCH))
        devices, offers, refused = await harness.rows()
        assert (devices, offers, refused) == (["bench-1"], ["bench-1"], {("", "hello", "unclaimed"): 1})

    run(scenario)


def test_t47_whoever_took_the_name_of_a_device_can_not_report_for_it(run):
    """The code carries the key: reports that another key signed are refused after the claim as before."""

    async def scenario(harness, inventory):
        thief = FakeFleetDevice(name="bench-1")
        await harness.take(_hello(thief))
        await inventory.claim("bench-1", CODE)
        await harness.take(_report(thief), _report(BENCH))
        _, _, refused = await harness.rows()
        assert refused == {("", "hello", "unclaimed"): 1, ("bench-1", "report", "unauthorised"): 1}

    run(scenario)


def test_a_claim_that_does_not_fit_changes_nothing(run):
    """A code of another device, a device that said no hello, one that is enrolled with another key."""

    async def scenario(harness, inventory):
        await harness.take(_hello(BENCH))
        with pytest.raises(InvalidError, match="another device than bench-1") as refused:
            await inventory.claim("bench-1", _code(OTHER))
        assert refused.value.field == "code"
        with pytest.raises(UnknownError, match="no candidate bench-2: switch it on"):
            await inventory.claim("bench-2", _code(OTHER))
        await harness.enroll(OTHER)
        with pytest.raises(ConflictError, match="bench-2 is enrolled with another report key"):
            await inventory.claim("bench-2", _code(BENCH, of=OTHER))
        devices, _, _ = await harness.rows()
        assert devices == ["bench-2"]
        assert [one.device for one in await inventory.candidates("", 10)] == ["bench-1"]

    run(scenario)


def test_a_candidate_that_is_enrolled_by_file_is_no_candidate(run):
    """Either way leads there."""

    async def scenario(harness, inventory):
        await harness.take(_hello(BENCH))
        await harness.enroll(BENCH)
        assert await inventory.candidates("", 10) == []

    run(scenario)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Message(topic=BENCH.topic("hello"), payload=b"", retained=False), ("", "hello", "malformed")),
        (
            Message(topic=BENCH.topic("hello"), payload=bytes(2049), retained=False),
            ("", "hello", "too-large"),
        ),
        (
            Message(topic=BENCH.topic("hello"), payload=BENCH.hello(NONCE), retained=True),
            ("", "hello", "unknown-device"),
        ),
        (Message(topic=BENCH.topic("log"), payload=b"\x80", retained=False), ("", "log", "unknown-device")),
    ],
    ids=["malformed", "too-large", "retained", "log"],
)
def test_nothing_but_a_good_hello_makes_a_candidate(run, message, reason):
    """The rest is refused by name."""

    async def scenario(harness, inventory):
        await harness.take(message)
        assert await inventory.candidates("", 10) == []
        assert await harness.rows() == ([], [], {reason: 1})

    run(scenario)


def _strangers(count, prefix="ghost"):
    hello = BENCH.hello(NONCE)
    ghosts = [FakeFleetDevice(name=f"{prefix}-{number:05}", keys=BENCH.keys) for number in range(count)]
    return [Message(topic=ghost.topic("hello"), payload=hello, retained=False) for ghost in ghosts]


def test_a_flood_of_strangers_fills_the_list_and_nothing_else(run):
    """So many in a time, so many in all; an enrolled device is answered in the same batch, and can still report."""

    async def scenario(harness, inventory):
        await harness.enroll(OTHER)
        flood = _strangers(CANDIDATE_BURST + 100)
        await harness.take(*flood, _hello(OTHER), _report(OTHER))
        assert len(await inventory.candidates("", 9999)) == CANDIDATE_BURST
        devices, offers, refused = await harness.rows()
        assert (devices, offers) == (["bench-2"], ["bench-2"])
        assert refused == {("", "hello", "unclaimed"): CANDIDATE_BURST, ("", "hello", "rate"): 100}
        flood = _strangers(CANDIDATES_MAX + 300, "other")
        for start in range(0, len(flood), CANDIDATE_BURST):
            harness.now_s += 10
            await harness.take(*flood[start : start + CANDIDATE_BURST])
        assert len(await inventory.candidates("", 9999)) == CANDIDATES_MAX
        await harness.take(_hello(OTHER, b"m" * 16), _report(OTHER, 2))
        devices, offers, refused = await harness.rows()
        assert (devices, offers) == (["bench-2"], ["bench-2"])
        assert {device for device, _, _ in refused} == {""}

    run(scenario)


def test_after_a_flood_a_device_finds_room(run):
    """Who is silent gives way, the longest silent first; who said hello lately doesn't."""

    async def scenario(harness, inventory):
        for start in range(0, CANDIDATES_MAX, CANDIDATE_BURST):
            await harness.take(*_strangers(CANDIDATES_MAX)[start : start + CANDIDATE_BURST])
            harness.now_s += 10
        harness.now_s += QUIET_S - 60
        await harness.take(_hello(BENCH))
        assert "bench-1" not in [one.device for one in await inventory.candidates("", 9999)]
        harness.now_s += 60
        await harness.take(_hello(BENCH))
        listed = [one.device for one in await inventory.candidates("", 9999)]
        assert "bench-1" in listed and len(listed) == CANDIDATES_MAX
        assert "ghost-00000" not in listed and "ghost-00001" in listed

    run(scenario)


def test_candidates_that_never_come_again_are_forgotten(run):
    """After a week, as the next one comes."""

    async def scenario(harness, inventory):
        await harness.take(_hello(BENCH))
        harness.now_s += KEPT_S + 1
        await harness.take(_hello(OTHER))
        assert [one.device for one in await inventory.candidates("", 10)] == ["bench-2"]

    run(scenario)


_SERVER_TOML = """
data = "data"
director_key = "director.pem"
trust = "trust.cbor"
{setting}
[broker]
host = "localhost"
port = 8884
authority = "ca.crt"
certificate = "server.crt"
key = "server.key"
[api]
address = "127.0.0.1"
port = 8080
"""


@pytest.mark.parametrize(
    ("setting", "registration"),
    [
        ("", Registration.PRE_REGISTERED),
        ('registration = "pre-registered"', Registration.PRE_REGISTERED),
        ('registration = "claim"', Registration.CLAIM),
    ],
)
def test_the_policy_is_a_setting(tmp_path, setting, registration):
    """Enrolment first, unless it says otherwise."""
    (tmp_path / "server.toml").write_text(_SERVER_TOML.format(setting=setting))
    assert load(tmp_path).server.registration is registration


@pytest.mark.parametrize("setting", ['registration = "open"', "registration = true", 'registration = ""'])
def test_a_policy_that_there_is_not_is_refused(tmp_path, setting):
    """There is none that lets anybody in."""
    (tmp_path / "server.toml").write_text(_SERVER_TOML.format(setting=setting))
    with pytest.raises(ConfigurationError, match="registration must be"):
        load(tmp_path)


def test_a_device_is_claimed_over_a_real_broker(bench, tmp_path):
    """Hello, candidate, code, hello again, offer; before that, no offer comes."""
    fleet = make_fleet(tmp_path)

    async def scenario():
        policy = {"registration": Registration.CLAIM}
        async with running(bench, fleet, **policy) as server, connected(bench, "bench-2") as link:
            events = server.events()
            link.subscribe(OTHER.offer_topic)
            await link.publish(OTHER.topic("hello"), OTHER.hello(NONCE))
            refused = (await until(events, MessageRefused))[-1]
            assert refused == MessageRefused(device="", where="hello", reason="unclaimed")
            assert [one.device for one in await server.inventory.candidates("", 10)] == ["bench-2"]
            await server.inventory.claim("bench-2", _code(OTHER))
            await link.publish(OTHER.topic("hello"), OTHER.hello(NONCE))
            topic, payload = await link.next()
            assert (topic, fleet.opened_offer(payload).number) == (OTHER.offer_topic, 0)

    with bench.broker():
        run_service(scenario)
