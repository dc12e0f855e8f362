"""Bytes that a parser might choke on, and devices they are not for: T07, T13, T24, T26."""

import random

import factory
import pytest
from simulator import partition
from target import Target
from test_payloads import publish_envelope

from pawl import bundle, cbor, codes, topics

A = b"\x11" * 16


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [(codes.PARAMETER_VENDOR, codes.REASON_VENDOR), (codes.PARAMETER_CLASS, codes.REASON_CLASS)],
    ids=["vendor", "class"],
)
def test_t07_a_release_for_other_devices(attack, parameter, reason):
    """Signed by our own release key for another vendor or class: refused before anything but it is fetched."""
    row = attack("T07", f"wrong device: another {'vendor' if parameter == 1 else 'class'}")
    target = Target()
    before = target.snapshot()
    values = factory.manifest_values(2, (2,))
    values[codes.MANIFEST_COMMON][codes.COMMON_SHARED_SEQUENCE][1][parameter] = b"\x99" * 16
    publish_envelope(target, values)
    row.refused(target.refusal(), reason)
    assert len(target.broker.fetched) == 1
    row.unchanged(before, target.snapshot())


@pytest.mark.parametrize("missing", ["conditions", "vendor condition", "identifiers"])
def test_t07_a_release_that_does_not_say_for_whom(attack, missing):
    """Without both conditions and both identifiers a manifest is for nobody."""
    row = attack("T07", f"wrong device: without {missing}")
    target = Target()
    before = target.snapshot()
    values = factory.manifest_values(2, (2,))
    shared = values[codes.MANIFEST_COMMON][codes.COMMON_SHARED_SEQUENCE]
    if missing == "conditions":
        del shared[2:]
    elif missing == "vendor condition":
        del shared[2:4]
    else:
        del shared[1][codes.PARAMETER_VENDOR], shared[1][codes.PARAMETER_CLASS]
    publish_envelope(target, values)
    row.refused(target.refusal(), codes.REASON_VENDOR if missing == "identifiers" else codes.REASON_COMMAND)
    row.unchanged(before, target.snapshot())


@pytest.mark.parametrize(
    "components",
    [
        [[b"data"]],
        [[b"firmware"]],
        [[b"running"]],
        [[b"app", b"\x01"]],
        [[b"app"], [b"app"]],
        [[b"bootloader"]],
        [[]],
        [],
    ],
    ids=repr,
)
def test_t13_a_component_that_is_not_the_slot(attack, components):
    """The place that an image is written to is the authenticated component, and what this device has."""
    row = attack("T13", f"location confusion: components {components!r}"[:62])
    target = Target()
    before = target.snapshot()
    values = factory.manifest_values(2, (2,))
    values[codes.MANIFEST_COMMON][codes.COMMON_COMPONENTS] = components
    publish_envelope(target, values)
    target.run()
    assert not target.is_reset
    (reason,) = target.agent.refusals
    assert reason in REASONS_OF_SHAPE
    row.refused(reason, reason)
    row.unchanged(before, target.snapshot())


REASONS_OF_SHAPE = (
    codes.REASON_COMPONENT,
    codes.REASON_COMMAND,
    codes.REASON_MALFORMED,
    codes.REASON_PARAMETER,
    codes.REASON_UNAUTHORISED,
    codes.REASON_MANIFEST_ELEMENT,
)


@pytest.mark.parametrize(
    ("sequence", "commands", "reason"),
    [
        (codes.MANIFEST_INSTALL, [22, 2], codes.REASON_COMMAND),  # copy
        (codes.MANIFEST_INSTALL, [31, 2], codes.REASON_COMMAND),  # swap
        (codes.MANIFEST_INSTALL, [18, 2], codes.REASON_COMMAND),  # write
        (codes.MANIFEST_INSTALL, [33, 2], codes.REASON_COMMAND),  # unlink
        (codes.MANIFEST_INSTALL, [23, 2], codes.REASON_COMMAND),  # invoke before the check
        (codes.MANIFEST_INVOKE, [21, 2], codes.REASON_COMMAND),  # fetch at boot
        (codes.MANIFEST_VALIDATE, [-1, 2], codes.REASON_COMMAND),  # a private command
    ],
)
def test_t13_commands_out_of_their_place(attack, sequence, commands, reason):
    """Each sequence holds the commands of the profile and no others; all are read before one runs."""
    row = attack("T13", f"format confusion: command {commands[0]} in sequence {sequence}")
    target = Target()
    before = target.snapshot()
    values = factory.manifest_values(2, (2,))
    values[sequence] = values[sequence] + commands
    publish_envelope(target, values)
    row.refused(target.refusal(), reason)
    row.unchanged(before, target.snapshot())


def test_t13_an_index_in_place_of_a_manifest(attack):
    """Every kind of signed or bound bytes in the place of every other."""
    row = attack("T13", "format confusion: offer, index, anchor and block as release")
    for kind in ("offer", "index", "anchor", "block"):
        target = Target()
        before = target.snapshot()
        digest = target.publish(factory.release(sequence=2, version=(2,)))
        release, listing, blocks = target.topics_of(digest)
        target.nonce = bytes(16)
        retained = target.broker.retained
        retained[release] = {
            "offer": target.offer(),
            "index": retained[listing],
            "anchor": target.board.anchor_file,
            "block": retained[blocks[0]][:4000],
        }[kind]
        row.refused(target.refusal(), codes.REASON_MALFORMED)
        row.unchanged(before, target.snapshot())


ABUSES = {
    "nested 2000 deep": b"\x81" * 2000 + b"\x00",
    "array of 2^32": b"\x9a\xff\xff\xff\xff",
    "map of 2^64 - 1": b"\xbb" + b"\xff" * 8,
    "text of 2^64 - 1": b"\x7b" + b"\xff" * 8,
    "indefinite map": b"\xbf\xff",
    "indefinite bytes": b"\x5f\x41\x00\xff",
    "tag chain": b"\xc1" * 200 + b"\x00",
    "float": b"\xf9\x7e\x00",
    "undefined": b"\xf7",
    "nothing": b"",
    "break alone": b"\xff",
}
BEFORE_SIGNATURE = ("release", "index", "offer")


def abuse(target, place, raw):
    """Put raw bytes where the broker's choice reaches: before any signature was checked."""
    digest = target.publish(factory.release(sequence=2, version=(2,)))
    release, listing, _ = target.topics_of(digest)
    if place == "offer":

        async def shout(hello):
            await target.broker.deliver(topics.offer(partition(), "bench-1"), raw)

        target.broker.on_hello = shout
    else:
        target.broker.retained[release if place == "release" else listing] = raw


@pytest.mark.parametrize("place", BEFORE_SIGNATURE)
def test_t24_parser_abuse_by_the_broker(attack, place):
    """Deep nesting, huge lengths, indefinite items and the rest: an error with a name, and the agent goes on."""
    row = attack("T24", f"parser abuse in place of the {place} ({len(ABUSES)})")
    for raw in ABUSES.values():
        wrapped = raw if place != "release" else cbor.head(cbor.TAG, 107) + raw
        target = Target()
        before = target.snapshot()
        abuse(target, place, wrapped)
        target.run()
        assert not target.is_reset and target.agent.state == "IDLE"
        (reason,) = target.agent.refusals
        row.refused(reason, reason)
        assert target.snapshot().differences(before) <= {"slot_b"}
        assert target.snapshot().slot_b[0] == "empty"
    row.state = "yes, or slot B begun" if place == "index" else "yes"


SIGNED_ABUSES = {
    "duplicate keys": (lambda raw: b"\xa8" + raw[1:3] + raw[1:], codes.REASON_MALFORMED),
    "keys out of order": (lambda raw: raw[:1] + raw[3:5] + raw[1:3] + raw[5:], codes.REASON_MALFORMED),
    "trailing byte": (lambda raw: raw + b"\x00", codes.REASON_TRAILING_BYTES),
    "cut short": (lambda raw: raw[:-1], codes.REASON_MALFORMED),
    "indefinite map": (lambda raw: b"\xbf" + raw[1:] + b"\xff", codes.REASON_MALFORMED),
    "long head": (
        lambda raw: b"\xb8" + raw[:1].replace(raw[:1], bytes((raw[0] & 31,))) + raw[1:],
        codes.REASON_MALFORMED,
    ),
    "nested 100 deep": (lambda raw: b"\x81" * 100 + raw, codes.REASON_MALFORMED),
}


@pytest.mark.parametrize("name", SIGNED_ABUSES)
def test_t24_parser_abuse_under_a_good_signature(attack, name):
    """Even what the release key signed has one encoding: the rest is refused before anything is fetched."""
    spoil, reason = SIGNED_ABUSES[name]
    row = attack("T24", f"parser abuse under a good signature: {name}")
    target = Target()
    before = target.snapshot()
    manifest = spoil(factory.manifest_bytes(factory.manifest_values(2, (2,))))
    raw = bundle.envelope_of(factory.authentication(manifest), manifest)
    target.wanted = bundle.suit.Envelope(raw).digest
    target.broker.retained[topics.release(target.wanted)] = raw
    row.refused(target.refusal(), reason)
    assert len(target.broker.fetched) == 1
    row.unchanged(before, target.snapshot())


def test_t24_random_damage_to_everything_the_broker_sends(attack):
    """80 damaged messages of every kind: each is refused with a name, and none changes what runs."""
    row = attack("T24", "random damage to release, index, block and offer (80)")
    chance = random.Random(24)
    for _ in range(80):
        target = seasoned()
        before = target.snapshot()
        topic = chance.choice(list(target.broker.retained))
        damaged = bytearray(target.broker.retained[topic])
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        if chance.random() < 0.3:
            del damaged[chance.randrange(len(damaged)) :]
        if bytes(damaged) == target.broker.retained[topic]:
            continue
        target.broker.retained[topic] = bytes(damaged)
        target.run()
        after = target.snapshot()
        assert not target.is_reset, topic
        assert target.agent.refusals and target.agent.state == "IDLE"
        assert after.differences(before) <= {"slot_b"} and after.slot_b[0] == "empty"
    row.failed(target.is_reset, False, "a named reason each")
    row.state = "yes, or slot B begun"


def seasoned():
    """Return a device that is offered a release with two blocks; made anew for each damage."""
    target = Target()
    target.publish(factory.release(sequence=2, version=(2,)))
    return target


PATHS = (b"../boot.py", b"/boot.py", b"app/../../boot.py", b"boot.py\x00", b"..", b"", b"app\x00", b"APP")


def test_t26_component_names_that_are_paths(attack):
    """A component is compared with the list of those that exist; none is ever a file's name."""
    row = attack("T26", f"path traversal in component identifiers ({len(PATHS)})")
    for name in PATHS:
        for components in ([[name]], [[b"app", name]], [[name, b"app"]], [[b"app"], [name]]):
            target = Target()
            before = target.snapshot()
            values = factory.manifest_values(2, (2,))
            values[codes.MANIFEST_COMMON][codes.COMMON_COMPONENTS] = components
            publish_envelope(target, values)
            target.run()
            (reason,) = target.agent.refusals
            assert reason in REASONS_OF_SHAPE
            row.refused(reason, reason)
            row.unchanged(before, target.snapshot())


def test_t26_bundle_members_that_are_paths(attack):
    """A bundle's members have the names that the manifest calls for, and no others."""
    row = attack("T26", "path traversal in bundle member names")
    envelope = bundle.suit.Envelope(factory.release(sequence=2))
    members = {key: bytes(envelope.payloads[key]) for key in envelope.payloads}
    for name in ("../boot.py", "/etc/passwd", "#i:../x", "#p:../../x:1", "pawl:../x", "#a:../x"):
        raw = bundle.envelope_of(envelope.authentication, envelope.manifest, {**members, name: b"x"})
        try:
            bundle.open_bundle(raw, factory.anchor(), factory.verify)
            found = codes.REASON_OK
        except bundle.ManifestError as error:
            found = error.code
        row.refused(found, codes.REASON_UNSIGNED_BYTES)
    row.pure()
