"""What people ask about devices and say of them: filters, pages, tags, time zones, who needs attention."""

import asyncio
from dataclasses import replace

import pytest
from fleet_bench import NOW_S, FakeFleetDevice, confirmed, make_fleet, open_store

from pawl import codes
from pawl_server.domain.attention import Cause, Note
from pawl_server.domain.changes import Changes
from pawl_server.domain.fleet import Assignment, AssignmentState, Device, Flag, Release
from pawl_server.errors import InvalidError, UnknownError
from pawl_server.ingest import Ingest
from pawl_server.inventory import TAGS_MAX, Inventory
from pawl_server.mqtt.inbox import Message

LATE_AFTER_S = 100
DEVICES = [FakeFleetDevice(name=f"bench-{number}") for number in range(1, 5)]
BENCH = DEVICES[0]
_RELEASE = Release(
    digest=b"r" * 32, sequence=1, version="1.0", index_digest=bytes(32), size_bytes=1, imported_at_s=NOW_S
)
NAMES = [device.name for device in DEVICES]


class Harness:
    """An inventory of four devices, and an ingest."""

    def __init__(self, folder):
        fleet = make_fleet(folder)
        self.store = fleet.store
        self.inventory = Inventory(self.store, lambda: NOW_S, late_after_s=LATE_AFTER_S)
        self.ingest = Ingest(self.store, fleet.desk, lambda: NOW_S)

    async def change(self, name, **fields):
        """Write columns of a device."""
        async with self.store.writing() as transaction:
            changed = replace(await transaction.device(name), **fields)
            await transaction.write(Changes(devices={name: changed}), NOW_S)


@pytest.fixture
def run(tmp_path):
    """Run a scenario with a harness."""

    def run_it(scenario):
        async def main():
            harness = Harness(tmp_path)
            async with open_store(harness.store):
                async with harness.store.writing() as transaction:
                    for device in DEVICES:
                        await transaction.enroll(Device(enrolment=device.enrolment, enrolled_at_s=NOW_S - 7))
                await scenario(harness, harness.inventory)

        asyncio.run(main())

    return run_it


def _names(found):
    return [facts.device.name for facts in found]


def test_devices_are_found_by_filter_page_by_page_and_counted(run):
    """Tags are shown with them."""

    async def scenario(_, inventory):
        for name in NAMES[1:]:
            await inventory.set_tags(name, {"site": "b1", "floor": "2"})
        text = 'tag.site == "b1"'
        first = await inventory.devices("", 2, text)
        assert _names(first) == ["bench-2", "bench-3"]
        assert first[0].tags == {"floor": "2", "site": "b1"}
        assert _names(await inventory.devices("bench-3", 2, text)) == ["bench-4"]
        assert (await inventory.count(text), await inventory.count()) == (3, 4)
        assert _names(await inventory.devices("", 100)) == NAMES

    run(scenario)


def test_a_filter_that_is_none_is_refused_with_its_character(run):
    """In pages and in counts."""

    async def scenario(_, inventory):
        for asked in (inventory.devices("", 5, "site == 1"), inventory.count("site == 1")):
            with pytest.raises(InvalidError, match=r"(?m)^\^$") as refused:
                await asked
            assert refused.value.field == "filter"

    run(scenario)


def test_tags_are_set_one_by_one_and_deleted_by_none(run):
    """Others stay; deleting one that isn't there is nothing."""

    async def scenario(_, inventory):
        await inventory.set_tags("bench-1", {"site": "b1", "owner": "ann"})
        after = await inventory.set_tags("bench-1", {"site": "b2", "owner": None, "ghost": None})
        assert after == {"site": "b2"}
        assert (await inventory.device("bench-1")).tags == {"site": "b2"}
        assert (await inventory.device("bench-2")).tags == {}

    run(scenario)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", "x"),
        ("Site", "x"),
        ("1st", "x"),
        ("a b", "x"),
        ("a" * 33, "x"),
        ("a\n", "x"),
        ("site", ""),
        ("site", "x" * 129),
        ("site", "a\nb"),
        ("site", "\x1b[1m"),
    ],
)
def test_a_tag_that_can_not_be_is_refused(run, key, value):
    """By its field, and nothing is set."""

    async def scenario(_, inventory):
        with pytest.raises(InvalidError) as refused:
            await inventory.set_tags("bench-1", {"good": "x", key: value})
        assert refused.value.field == f"tags.{key}"
        assert (await inventory.device("bench-1")).tags == {}

    run(scenario)


def test_the_longest_tags_fit_and_one_more_does_not(run):
    """64 of them."""

    async def scenario(_, inventory):
        tags = {f"{'k' * 29}-{number:02}": "v" * 128 for number in range(TAGS_MAX)}
        assert len(await inventory.set_tags("bench-1", tags)) == 64
        with pytest.raises(InvalidError, match="at most 64 tags"):
            await inventory.set_tags("bench-1", {"more": "x"})
        assert (await inventory.set_tags("bench-1", {"more": "x", min(tags): None}))["more"] == "x"

    run(scenario)


def test_a_time_zone_is_a_known_one(run):
    """Maintenance windows go by it."""

    async def scenario(_, inventory):
        assert (await inventory.device("bench-1")).device.timezone == "UTC"
        await inventory.set_timezone("bench-1", "Europe/Berlin")
        for zone in ("Mars/Olympus", "../../etc/passwd", "", "x" * 9999):
            with pytest.raises(InvalidError, match="IANA") as refused:
                await inventory.set_timezone("bench-1", zone)
            assert refused.value.field == "timezone"
        assert (await inventory.device("bench-1")).device.timezone == "Europe/Berlin"

    run(scenario)


def test_what_is_asked_of_a_device_that_nobody_enrolled_is_refused(run):
    """By its name."""

    async def scenario(_, inventory):
        for asked in (
            inventory.device("ghost"),
            inventory.set_tags("ghost", {"a": "b"}),
            inventory.set_timezone("ghost", "UTC"),
            inventory.clear_attention("ghost"),
            inventory.history("ghost", None, 10),
        ):
            with pytest.raises(UnknownError, match="no device ghost is enrolled"):
                await asked

    run(scenario)


def test_who_needs_attention_is_listed_with_since_and_why(run):
    """A device may be there for several causes, and is listed once."""

    async def scenario(harness, inventory):
        await harness.change("bench-1", failures=1, attention_at_s=50, attention_reason="trials")
        await harness.change("bench-2", failures=3, attention_at_s=60, attention_reason="app-crashed")
        await harness.change("bench-3", flag=Flag(at_s=70, reason="two-sessions"), is_late=True, fresh_at_s=9)
        listed = await inventory.attention("", 100)
        assert {facts.device.name: facts.notes for facts in listed} == {
            "bench-1": (Note(cause=Cause.FAILED, since_s=50, reason="trials"),),
            "bench-2": (
                Note(cause=Cause.FAILED, since_s=60, reason="app-crashed"),
                Note(cause=Cause.QUARANTINED, since_s=60, reason="3 failures in a row"),
            ),
            "bench-3": (
                Note(cause=Cause.FLAGGED, since_s=70, reason="two-sessions"),
                Note(cause=Cause.LATE, since_s=9 + LATE_AFTER_S, reason="no proof that it follows offers"),
            ),
        }
        assert _names(await inventory.attention("bench-1", 1)) == ["bench-2"]
        for name in ("bench-1", "bench-2", "bench-3"):
            await inventory.clear_attention(name)
        (left,) = await inventory.attention("", 100)
        assert [note.cause for note in left.notes] == [Cause.LATE]

    run(scenario)


def test_every_cause_is_found_and_noted_alike(run):
    """What the list finds, its notes explain, and the other way round."""

    async def scenario(harness, inventory):
        for fields in (
            {"attention_at_s": 1, "attention_reason": "trials"},
            {"failures": 3},
            {"flag": Flag(at_s=1, reason="x")},
            {"is_late": True},
            {"failures": 2},
        ):
            await inventory.clear_attention("bench-1")
            await harness.change("bench-1", is_late=False)
            await harness.change("bench-1", **fields)
            found = await inventory.attention("", 100)
            assert _names(found) == (["bench-1"] if (await inventory.device("bench-1")).notes else [])
        assert found == []

    run(scenario)


def test_the_history_of_a_device_is_paged_from_the_newest_entry(run):
    """Each state with its release and its reason; of this device alone."""

    async def scenario(harness, inventory):
        for state, reason in (("assigned", 0), ("offered", 0), ("failed", codes.REASON_TRIALS)):
            for name in ("bench-1", "bench-2"):
                changes = Changes()
                one = Assignment(device=name, release=b"r" * 32, state=AssignmentState(state), reason=reason)
                changes.keep_assignment(one)
                async with harness.store.writing() as transaction:
                    await transaction.add_release(_RELEASE)
                    await transaction.write(changes, NOW_S)
        newest, before = await inventory.history("bench-1", None, 2)
        assert (newest.state, newest.reason, before.state) == ("failed", "trials", "offered")
        (first,) = await inventory.history("bench-1", before.id, 2)
        assert (first.device, first.state, first.release) == ("bench-1", "assigned", b"r" * 32)

    run(scenario)


def _report(number, version, digest=b"d" * 32):
    ratchet = confirmed(digest if version else None)._replace(version=version)
    payload = BENCH.report(codes.EVENT_STARTED, number=number, ratchets={codes.IMAGE_APP: ratchet})
    return Message(topic=BENCH.topic("report"), payload=payload, retained=False)


def test_the_confirmed_version_is_what_the_newest_signed_report_says(run):
    """Filters compare it as devices do; an older report changes nothing, nor does a hello."""

    async def scenario(harness, inventory):
        async def version():
            return (await inventory.device("bench-1")).device.confirmed_version

        await harness.ingest.take([_report(1, None)])
        assert await version() is None
        await harness.ingest.take([_report(3, (1, 10, 0))])
        assert await version() == "1.10.0"
        assert _names(await inventory.devices("", 9, 'version > "1.9" and version == "1.10"')) == ["bench-1"]
        await harness.ingest.take([_report(2, (9, 9))])
        ratchets = {codes.IMAGE_APP: confirmed(b"e" * 32)._replace(version=(7,))}
        hello = Message(
            topic=BENCH.topic("hello"), payload=BENCH.hello(b"n" * 16, ratchets=ratchets), retained=False
        )
        await harness.ingest.take([hello])
        assert await version() == "1.10.0"
        await harness.ingest.take([_report(4, (2, -1, 3))])
        assert await version() == "2-rc.3"
        assert await inventory.count('version < "2"') == 1

    run(scenario)


@pytest.mark.parametrize("version", [(2**64 - 1,) * 6, (-(2**64),) * 6, (0,), (-1,)])
def test_every_version_of_the_wire_is_kept(run, version):
    """Whatever a device may sign stops no batch."""

    async def scenario(harness, inventory):
        await harness.ingest.take([_report(1, version)])
        assert (await inventory.device("bench-1")).device.confirmed_version is not None

    run(scenario)


@pytest.mark.parametrize(
    ("text", "kept"), [("pawl 1.2.3", "pawl 1.2.3"), ("", None), ("x" * 65, None), ("a\x1b[2J", None)]
)
def test_the_agent_is_kept_if_it_can_be_shown(run, text, kept):
    """A hello says what it likes: what a terminal would obey isn't taken."""

    async def scenario(harness, inventory):
        payload = BENCH.hello(b"n" * 16, agent=(text, 1))
        await harness.ingest.take([Message(topic=BENCH.topic("hello"), payload=payload, retained=False)])
        facts = await inventory.device("bench-1")
        assert (facts.device.agent, facts.device.nonce) == (kept, b"n" * 16)

    run(scenario)
