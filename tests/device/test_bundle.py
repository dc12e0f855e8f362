"""Bundles of every template: whole, signed for their role, and nothing in them that nothing asks for."""

import factory
import templates
from factory import RELEASE, verify
from support import refused
from templates import DATA, OTHER, RECOVERY

from pawl import bundle, cbor, codes, index, notes, suit, trust
from pawl.compat import sha256

IMAGE = factory.IMAGE
TEXT = {
    "en": {
        codes.TEXT_MANIFEST_DESCRIPTION: "A release",
        codes.TEXT_UPDATE_DESCRIPTION: "Blinks twice",
        (b"app",): {5: "The application", 6: "1.0"},
    }
}
FILES = {"sbom.json": b'{"components": []}', "provenance": b"built by us"}


def opened(raw):
    """Open a bundle under an anchor with both roles."""
    return bundle.open_bundle(raw, trust.load(factory.anchor_file(templates.anchor_values()), verify), verify)


def test_every_template_makes_a_bundle():
    """Each image is there once, with its index, whatever component or slot it is for."""
    both = (IMAGE, OTHER)
    for values, images, signers in (
        (factory.manifest_values(), (IMAGE,), (RELEASE,)),
        (templates.with_data(), (IMAGE, DATA), (RELEASE,)),
        (templates.with_data(data=IMAGE), (IMAGE,), (RELEASE,)),
        (templates.recovery([OTHER, DATA]), (IMAGE,), (RECOVERY,)),
        (templates.recovery_with_data([OTHER]), (IMAGE, DATA), (RECOVERY,)),
        (templates.address_bound(both), both, (RELEASE,)),
        (templates.address_bound_with_data(both), (IMAGE, DATA, OTHER), (RELEASE,)),
    ):
        release = opened(templates.release(values, images, signers))
        assert [bytes(content.image) for content in release.contents] == list(images)
        assert bytes(release.app().image) == IMAGE
        seen = [(listing, number) for listing, _, number, _ in release.blocks()]
        assert seen == [
            (sha256(index.write(image)), number)
            for image in images
            for number in range(index.block_count(len(image)))
        ]
        assert release.notes is None
        missing = templates.release(values, images[:-1], signers)
        assert refused(opened, missing) == codes.REASON_PAYLOAD_MISSING
        surplus = templates.release(values, images + (b"surplus",), signers)
        assert refused(opened, surplus) == codes.REASON_UNSIGNED_BYTES


def test_the_role_signs_and_nobody_else():
    """A signature of the other role is a byte that nobody needed."""
    recovery = templates.recovery([OTHER])
    assert refused(opened, templates.release(recovery, (IMAGE,), (RELEASE,))) == codes.REASON_UNAUTHORISED
    both = templates.release(recovery, (IMAGE,), (RECOVERY, RELEASE))
    assert refused(opened, both) == codes.REASON_SURPLUS_SIGNATURE


def test_text_and_attachments_are_read():
    """What is told comes out as it went in; the wire carries none of it."""
    raw = templates.release(factory.manifest_values(), (IMAGE,), (RELEASE,), TEXT, FILES)
    release = opened(raw)
    assert release.notes.text == TEXT
    assert {name: bytes(release.notes.attachments[name]) for name in release.notes.attachments} == FILES
    bare = suit.Envelope(release.wire_envelope(), bare=True)
    assert not bare.severed and not bare.payloads
    alone = opened(templates.release(factory.manifest_values(), (IMAGE,), (RELEASE,), TEXT))
    assert alone.notes.attachments == {}
    same = {"one": b"same", "two": b"same"}
    twins = opened(templates.release(factory.manifest_values(), (IMAGE,), (RELEASE,), {}, same))
    assert sorted(twins.notes.attachments) == ["one", "two"]


def with_members(raw, change):
    """Return a bundle whose members a function changed."""
    envelope = suit.Envelope(raw)
    members = {key: bytes(envelope.payloads[key]) for key in envelope.payloads}
    for key in envelope.severed:
        members[key] = bytes(cbor.Reader(envelope.severed[key]).bytes())
    change(members)
    return bundle.envelope_of(envelope.authentication, envelope.manifest, members)


def test_text_and_attachments_are_bound():
    """Each is there, and the one that was signed; nothing is there that the text doesn't list."""
    raw = templates.release(factory.manifest_values(), (IMAGE,), (RELEASE,), TEXT, FILES)
    plain = templates.release(factory.manifest_values(), (IMAGE,))
    listed = notes.member_of(FILES["provenance"])
    stray = notes.member_of(b"stray")
    other = notes.write(TEXT, {"provenance": FILES["provenance"]})
    for whole, change, reason in (
        (raw, lambda members: None, None),
        (raw, lambda members: members.pop(23), codes.REASON_TEXT),
        (raw, lambda members: members.update({23: other}), codes.REASON_SEVERED_DIGEST),
        (raw, lambda members: members.pop(listed), codes.REASON_ATTACHMENT),
        (raw, lambda members: members.update({listed: b"another"}), codes.REASON_ATTACHMENT),
        (raw, lambda members: members.update({stray: b"stray"}), codes.REASON_UNSIGNED_BYTES),
        (raw, lambda members: members.update({20: b"\x80"}), codes.REASON_UNSIGNED_BYTES),
        (plain, lambda members: members.update({23: other}), codes.REASON_UNSIGNED_BYTES),
        (plain, lambda members: members.update({stray: b"stray"}), codes.REASON_UNSIGNED_BYTES),
    ):
        assert refused(opened, with_members(whole, change)) == reason


def test_text_of_another_shape_is_refused():
    """Signed or not: what people read has one form."""
    listed = notes.member_of(b"content")
    good = "a %s\n" % listed
    for text, reason in (
        ({notes.ATTACHMENTS_TAG: {1: good}}, None),
        ({}, codes.REASON_TEXT),
        ({1: {1: "number for a language"}}, codes.REASON_TEXT),
        ({"en": {"/": "text for a key"}}, codes.REASON_TEXT),
        ({"en": {1: b"bytes"}}, codes.REASON_TEXT),
        ({"en": {(b"app",): "no map"}}, codes.REASON_TEXT),
        ({notes.ATTACHMENTS_TAG: {2: good}}, codes.REASON_TEXT),
        ({notes.ATTACHMENTS_TAG: {1: good, 2: "x"}}, codes.REASON_TEXT),
        ({notes.ATTACHMENTS_TAG: {1: ""}}, codes.REASON_TEXT),
        ({notes.ATTACHMENTS_TAG: {1: good[:-1]}}, codes.REASON_TEXT),
        ({notes.ATTACHMENTS_TAG: {1: good + good}}, codes.REASON_TEXT),
        ({notes.ATTACHMENTS_TAG: {1: "b %s\n%s" % (listed, good)}}, codes.REASON_TEXT),
        ({notes.ATTACHMENTS_TAG: {1: "a/b %s\n" % listed}}, codes.REASON_TEXT),
        ({notes.ATTACHMENTS_TAG: {1: "%s %s\n" % ("a" * 65, listed)}}, codes.REASON_TEXT),
        ({notes.ATTACHMENTS_TAG: {1: "a %s\n" % templates.uri(IMAGE)}}, codes.REASON_TEXT),
        ({notes.ATTACHMENTS_TAG: {1: "a #a:\n"}}, codes.REASON_ATTACHMENT),
    ):
        values = factory.manifest_values()
        raw = cbor.encode(text)
        values[codes.MANIFEST_TEXT] = (codes.ALG_SHA256, sha256(cbor.encode(raw)))
        whole = templates.release(values, (IMAGE,))

        def add(members, raw=raw, text=text):
            members[codes.MANIFEST_TEXT] = raw
            if notes.ATTACHMENTS_TAG in text:
                members[listed] = b"content"

        assert refused(opened, with_members(whole, add)) == reason, text
