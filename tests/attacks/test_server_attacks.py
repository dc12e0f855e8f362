"""Forged and replayed messages, for the server and from it: T08, T26, T28, T29."""

from pathlib import Path

import factory
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_factory import KeyPair, make_release
from served import NAME, serving
from simulator import partition
from target import Target, flipped

from pawl import bundle, codes, cose, heard, messages, topics
from pawl.identity import partition_of
from pawl.ratchet import Release as Confirmed
from pawl_server.domain.fleet import AssignmentState, Enrolment
from pawl_server.inbound import RefusedError, read_address

ROOT = Path(__file__).resolve().parents[2]
TRAVERSALS = (
    "../../etc",
    "..",
    "bench-1/../x",
    "bench-1\x00",
    "bench-1\n",
    "Bench",
    "-bench",
    "",
    "a" * 64,
    "_server",
    "+",
    "#",
)


def report(key, device=NAME, **changes):
    """Return a report `installed` of a release that the thief names, signed by a key of his choice."""
    digest = changes.pop("digest", bytes(32))
    values = {
        "device": device,
        "boots": 1 << 40,
        "number": 1,
        "accepted": None,
        "ratchets": {codes.IMAGE_APP: Confirmed(9, digest, (9,), (bytes(32), 10))},
        "running": codes.RUNNING_B,
        "event": codes.EVENT_INSTALLED,
        "reason": codes.REASON_OK,
        "suit_report": None,
        **changes,
    }
    content = messages.write_report(messages.Report(**values))
    message = cose.to_be_signed(cose.protected_header(codes.ALG_ESP256), codes.AAD_REPORT, content)
    return cose.write_sign1(codes.ALG_ESP256, content, key(message), False)


def test_t29_a_forged_report_of_success(attack, tmp_path):
    """Under a stranger's key, another device's, the director's and the release key: no success."""
    row = attack("T29", "forged report of success, by every key but the device's")
    with serving(tmp_path) as (server, target):
        digest = target.assign(2)
        before = target.snapshot(), server.assignment()
        keys = server.fleet.keys
        for sign in (KeyPair().sign, keys.director.sign, keys.release.sign, keys.root.sign):
            server.take(topics.up(partition(), NAME, "report"), report(sign, digest=digest))
        row.refused(*{reason for _, _, reason in server.refusals()}, "unauthorised")
        assert server.refusals() == {(NAME, "report", "unauthorised"): 4}
        row.kept(before, (target.snapshot(), server.assignment()))


def test_t29_everything_that_was_ever_said_again(attack, tmp_path):
    """After a true update all messages of it are replayed, in order and in reverse: no report counts twice."""
    row = attack("T29", "every message of a true update replayed, twice")
    with serving(tmp_path) as (server, target):
        target.assign(2)
        target.run()
        target.run()
        settled = server.assignment()
        assert settled.state == AssignmentState.SUCCEEDED
        before = target.snapshot()
        heard = [(topic, payload) for topic, payload in target.broker.heard if topic.endswith("/report")]
        for topic, payload in heard + heard[::-1]:
            server.take(topic, payload)
        row.refused(*{reason for _, _, reason in server.refusals()}, "replayed")
        assert server.refusals()[(NAME, "report", "replayed")] == 2 * len(heard) > 4
        row.kept((before, settled), (target.snapshot(), server.assignment()), "yes (server: settled once)")


def test_t29_a_hello_that_claims_success(attack, tmp_path):
    """A hello is unsigned: whatever it says of the ratchet, the assignment is not settled by it."""
    row = attack("T29", "forged hello that claims the release is confirmed")
    with serving(tmp_path) as (server, target):
        digest = target.assign(2)
        target.broker.retained.clear()
        target.run(timeout_s=1)
        hello = heard.read_hello(next(payload for kind, payload in target.broker.up if kind == "hello"))
        lie = hello._replace(
            nonce=b"f" * 16,
            ratchets={codes.IMAGE_APP: Confirmed(2, digest, (2,), (bytes(32), 1))},
            boots=1 << 50,
        )
        before = target.snapshot()
        server.take(topics.up(partition(), NAME, "hello"), messages.write_hello(lie))
        row.failed(server.assignment().state, AssignmentState.OFFERED, "(no success)")
        row.kept(before, target.snapshot())


def test_t08_messages_of_one_device_in_anothers_name(attack, tmp_path):
    """A report of bench-1 on bench-2's topic, and on another partition: refused by name."""
    row = attack("T08", "one device's report on another's topic and partition")
    with serving(tmp_path) as (server, target):
        server.enroll("bench-2", factory.TestKey(900).key)
        server.enroll("bench-3", factory.STRANGER.key)
        target.run(timeout_s=1)
        true = next(payload for kind, payload in target.broker.up if kind == "report")
        before = server.assignment("bench-2")
        for name, where, reason in (
            ("bench-2", partition_of("bench-2"), "unauthorised"),
            ("bench-3", partition_of("bench-3"), "foreign"),
            (NAME, (partition() + 1) % 64, "partition"),
        ):
            server.take(topics.up(where, name, "report"), true)
            found = [one for _, _, one in server.refusals() if one == reason]
            row.refused(*found, reason)
        row.kept(before, server.assignment("bench-2"))


def test_t26_device_ids_that_are_paths(attack, tmp_path):
    """An id is a-z, 0-9 and -, wherever it comes from: topics, enrolment, offers."""
    row = attack("T26", f"path traversal in device ids ({len(TRAVERSALS)})")
    key = factory.STRANGER.key
    for name in TRAVERSALS:
        with pytest.raises(RefusedError):
            read_address(f"pawl/d/7/{name}/up/hello")
        with pytest.raises(ValueError, match="no device id"):
            Enrolment(device=name, vendor=bytes(16), class_id=bytes(16), report_x=key.x, report_y=key.y)
    with serving(tmp_path) as (server, _):
        server.take("pawl/d/7/../up/hello", b"x")
        row.refused(*{reason for _, _, reason in server.refusals()}, "unknown-device")
        row.kept(
            sorted(path.name for path in tmp_path.iterdir() if "sqlite" not in path.name),
            ["anchor", "director.pem", "releases"],
        )


@settings(deadline=None, max_examples=50)
@given(digest=st.binary(min_size=0, max_size=64))
def names_of_releases(repository, digest):
    """Whatever the digest, its file is in the folder."""
    path = repository._path(digest)
    assert path.parent == repository._folder
    assert path.name.strip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
    assert ".." not in path.name


def test_t26_release_file_names(attack, tmp_path):
    """A release's file is named by its digest alone: no byte of a bundle chooses a path."""
    row = attack("T26", "zip-slip: names of release files in the repository")
    with serving(tmp_path) as (server, target):
        target.assign(2)
        before = sorted(path.name for path in (tmp_path / "releases").iterdir())
        good = bundle.suit.Envelope(make_release(server.fleet.keys, sequence=3))
        members = {key: bytes(good.payloads[key]) for key in good.payloads}
        for name in ("../../evil", "/tmp/evil", "..\\evil"):
            raw = bundle.envelope_of(good.authentication, good.manifest, {**members, name: b"x"})
            row.refused(import_reason(server, raw), codes.REASON_UNSIGNED_BYTES)
        names_of_releases(server.fleet.repository)
        row.kept(before, sorted(path.name for path in (tmp_path / "releases").iterdir()), "yes (the folder)")


def import_reason(server, raw):
    """Return why the repository refuses a bundle."""
    try:
        server.fleet.repository.add(raw)
    except bundle.ManifestError as error:
        return error.code
    return codes.REASON_OK


def test_t28_a_compromised_broker_in_front_of_the_device(attack):
    """It owns every topic: swaps, truncates, invents offers, releases, blocks; nothing installs."""
    row = attack("T28", "broker compromise: invented offers, swapped and spoiled releases")
    for lie, reason in LIES.items():
        target = Target()
        before = target.snapshot()
        other = target.publish(factory.release(sequence=3, version=(3,), image=b"other" * 900))
        digest = target.publish(factory.release(sequence=2, version=(2,)))
        LIE[lie](target, digest, other)
        row.refused(target.refusal(), reason)
        after = target.snapshot()
        row.moved_only(before, after, {"slot_b"}, "yes, or slot B begun")
        assert after.slot_b[0] == "empty", lie


def _unsigned_offer(target, digest, other):
    class Nobody:
        def sign(self, content, aad, is_detached):
            return cose.write_sign1(codes.ALG_ESP256, content, bytes(64), is_detached)

    target.changes = {"signer": Nobody()}


def _replaced(target, digest, other):
    target.broker.retained[topics.release(digest)] = target.broker.retained[topics.release(other)]


def _spoiled_block(target, digest, other):
    target.spoil(target.topics_of(digest)[2][0], flipped(0))


def _emptied(target, digest, other):
    target.broker.retained[topics.release(digest)] = b""


LIE = {
    "offer": _unsigned_offer,
    "another release": _replaced,
    "spoiled block": _spoiled_block,
    "empty release": _emptied,
}
LIES = {
    "offer": codes.REASON_OFFER_SIGNATURE,
    "another release": codes.REASON_MANIFEST_DIGEST,
    "spoiled block": codes.REASON_BLOCK_DIGEST,
    "empty release": codes.REASON_MALFORMED,
}


def test_t28_a_retained_hello_and_unknown_topics(attack, tmp_path):
    """What a broker makes up for the server: retained hellos, other spellings, unknown devices; counted by name."""
    row = attack("T28", "broker compromise: messages made up for the server")
    with serving(tmp_path) as (server, target):
        target.run(timeout_s=1)
        topic, hello = next(one for one in target.broker.heard if one[0].endswith("/hello"))
        before = target.snapshot()
        for name, payload, retained, reason in (
            (topic, hello, True, "retained"),
            (topic.replace(NAME, "nobody"), hello, False, "partition"),
            (topics.up(partition_of("nobody"), "nobody", "hello"), hello, False, "unknown-device"),
            (topic + "/x", hello, False, "topic"),
            (topic.replace("hello", "root"), hello, False, "unknown-kind"),
            (topic, bytes(3000), False, "too-large"),
            (topic, b"\x81" * 100, False, "malformed"),
        ):
            assert server.take(name, payload, retained=retained) == []
            row.refused(*[one for _, _, one in server.refusals() if one == reason], reason)
        row.kept(before, target.snapshot())
