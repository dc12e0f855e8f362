"""What is fetched, and what of it reaches the slot: T06, T09, T12, T14, T15, T17."""

import zlib

import factory
import pytest
from target import Target

from pawl import bundle, cbor, codes, index, topics
from pawl.compat import sha256

IMAGE = factory.IMAGE
OTHER_IMAGE = bytes(reversed(factory.IMAGE)) + b"longer" * 500


def begun(target):
    """Return what a Snapshot has changed when slot B was given to a release and never marked."""
    return {"slot_b": ("empty", target.wanted, 0, codes.REASON_OK)}


def offered(image=IMAGE, sequence=2):
    """Return a device that is offered a release, its snapshot, and the topics (release, index, blocks)."""
    target = Target()
    before = target.snapshot()
    digest = target.publish(factory.release(sequence=sequence, version=(sequence,), image=image))
    return target, before, target.topics_of(digest, index.block_count(len(image)))


def refuse_begun(row, target, before, reason):
    """Assert that the job was refused in mid-download: the slot is begun, nothing can boot from it, A is untouched."""
    row.refused(target.refusal(), reason)
    assert target.reported_refusals() == [reason]
    row.changed(before, target.snapshot(), "slot B begun, no mark", **begun(target))


def test_t06_blocks_of_another_release(attack):
    """Every mixture of one release's manifest with index or blocks of another, both truly signed."""
    row = attack("T06", "mix-and-match: index or one block of another signed release")
    for part in ("index", "block"):
        target, before, (_, listing, blocks) = offered()
        wanted = target.wanted
        other = target.publish(factory.release(sequence=3, version=(3,), image=OTHER_IMAGE))
        _, other_listing, other_blocks = target.topics_of(other)
        target.wanted = wanted
        retained = target.broker.retained
        if part == "index":
            retained[listing] = retained[other_listing]
            refuse_begun(row, target, before, codes.REASON_INDEX_DIGEST)
        else:
            retained[blocks[0]] = retained[other_blocks[0]]
            refuse_begun(row, target, before, codes.REASON_BLOCK_DIGEST)


def test_t06_a_partial_bundle(attack):
    """With one block missing nothing becomes pending, for as long as it is missing; with it the update goes on."""
    row = attack("T06", "partial bundle: one block never comes")
    target, before, (_, _, blocks) = offered()
    kept = target.broker.retained.pop(blocks[1])
    target.run(timeout_s=3600)
    row.failed(target.is_reset, False, "link-timeout, asked again")
    assert any(f"link {codes.REASON_LINK_TIMEOUT}" in line for line in target.port.lines)
    row.changed(before, target.snapshot(), "slot B begun, no mark", **begun(target))
    target.broker.retained[blocks[1]] = kept
    assert target.installs()


@pytest.mark.parametrize("extra", [1, 4096, 20000])
def test_t09_endless_data(attack, extra):
    """More than the signed length, in a block, the index or the envelope: not a byte of it reaches the flash."""
    row = attack("T09", f"endless data: {extra} bytes more than signed")
    for place, reason in ((0, None), (1, codes.REASON_INDEX_DIGEST), (2, codes.REASON_BLOCK_DIGEST)):
        target, before, (release, listing, blocks) = offered()
        topic = (release, listing, blocks[0])[place]
        target.broker.retained[topic] += bytes(extra)
        if place == 0:
            too_large = len(target.broker.retained[topic]) > codes.ENVELOPE_MAX_BYTES
            row.refused(
                target.refusal(), codes.REASON_TOO_LARGE if too_large else codes.REASON_TRAILING_BYTES
            )
            row.unchanged(before, target.snapshot())
        else:
            refuse_begun(row, target, before, reason)
            region = target.board.storage.regions["image_b"]
            assert region.is_erased(0, 4096) and region.is_erased(8192, region.size - 8192)
    row.state = "yes, or slot B begun, no mark"


def deflated_release(payload, image=bytes(4096)):
    """Return a signed release with a deflate variant whose one block is `payload`, whatever it inflates to."""
    listing = index.write(image, [payload])
    digest = sha256(listing)
    values = factory.manifest_values(2, (2,), image)
    values[codes.MANIFEST_INSTALL][1] = {codes.PARAMETER_URI: index.uri_of(digest)}
    manifest = factory.manifest_bytes(values)
    name = index.b64u(digest)
    members = {index.uri_of(digest): image, "#i:" + name: listing, f"#p:{name}:1": payload}
    return bundle.envelope_of(factory.authentication(manifest), manifest, members)


def raw_deflate(content):
    """Return a raw deflate stream in a window that devices use."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    return packer.compress(content) + packer.flush()


def test_t09_a_block_that_inflates_without_end(attack):
    """Even if it was signed: a block inflates to exactly one block, or the job ends before the slot is written."""
    row = attack("T09", "endless data: a signed block that inflates to 1 MiB")
    for content in (bytes(1 << 20), bytes(4097), bytes(4095), b""):
        target = Target()
        before = target.snapshot()
        target.publish(deflated_release(raw_deflate(content)))
        refuse_begun(row, target, before, codes.REASON_BLOCK_DIGEST)
        region = target.board.storage.regions["image_b"]
        assert region.is_erased(0, region.size)


def test_t12_extra_data_behind_the_image(attack):
    """Bytes that lie behind the image in its slot are not the image: what boots is exactly the signed size."""
    row = attack("T12", "extra data: what an older, longer image left in the slot")
    target = Target()
    slot = target.board.storage.slots[1]
    for number in range(4):
        slot.write_block(number * 4096, b"\xa5" * 4096)
    before = target.snapshot()
    target.publish(factory.release(sequence=2, version=(2,)))
    row.failed(target.installs(), True, "(installed, exact size)")
    loader, decision = target.board.boot()
    runs = loader.candidates[decision.slot]
    assert bytes(runs.slot.image.view(0, runs.manifest.image.size)) == IMAGE
    tail = slot.image.view(len(IMAGE), 2 * 4096 - len(IMAGE))
    row.kept(bytes(tail), b"\xff" * len(tail), "the last sector's tail erased")
    assert before.runs == "A"


def test_t12_bytes_behind_a_signed_bundle(attack):
    """What hosts are handed: appended bytes, an extra member and an extra signature are refused by name."""
    row = attack("T12", "extra data: appended to a bundle, as member, as signature")
    anchor = factory.anchor()
    raw = factory.release(sequence=2)
    envelope = bundle.suit.Envelope(raw)
    members = {key: bytes(envelope.payloads[key]) for key in envelope.payloads}
    stranger = factory.authentication(bytes(envelope.manifest), (factory.RELEASE, factory.STRANGER))
    for spoiled, reason in (
        (raw + b"\x00", codes.REASON_TRAILING_BYTES),
        (
            bundle.envelope_of(envelope.authentication, envelope.manifest, {**members, "x": b"x"}),
            codes.REASON_UNSIGNED_BYTES,
        ),
        (bundle.envelope_of(stranger, envelope.manifest, members), codes.REASON_SURPLUS_SIGNATURE),
    ):
        row.refused(_bundle_reason(spoiled, anchor), reason)
    row.pure()


def _bundle_reason(raw, anchor):
    try:
        bundle.open_bundle(raw, anchor, factory.verify)
    except bundle.ManifestError as error:
        return error.code
    return codes.REASON_OK


def test_t14_a_redirect_to_another_host(attack):
    """A signed manifest can't name a host, only a digest; what is fetched under it is whatever hashes to it."""
    row = attack("T14", "URI redirect: host names in the manifest")
    for uri in (
        "https://evil.example/x",
        "pawl://evil.example/" + "A" * 43,
        "pawl:" + "A" * 44,
        "PAWL:" + "A" * 43,
        "pawl:" + "A" * 42 + "B",
        "file:///flash",
        "",
    ):
        target = Target()
        before = target.snapshot()
        values = factory.manifest_values(2, (2,))
        values[codes.MANIFEST_INSTALL][1] = {codes.PARAMETER_URI: uri}
        publish_envelope(target, values)
        row.refused(target.refusal(), codes.REASON_URI)
        assert len(target.broker.fetched) == 1
        row.unchanged(before, target.snapshot())


def publish_envelope(target, values, signers=(factory.RELEASE,)):
    """Put an envelope alone on the broker and let the director want it."""
    raw = factory.envelope(values, signers)
    target.wanted = bundle.suit.Envelope(raw).digest
    target.broker.retained[topics.release(target.wanted)] = raw


def with_delta(image, base):
    """Return the encoded index of an image whose first variant is a delta on `base`."""
    fields = cbor.decode(index.write(image))
    fields[3].insert(0, [codes.ENCODING_DELTA, base, 10, None, bytes(32)])
    return cbor.encode(fields)


@pytest.mark.parametrize("base", [sha256(b"an image that nobody has"), sha256(IMAGE)], ids=["other", "ours"])
def test_t15_a_delta_over_another_base(attack, base):
    """The variant that the device can't use is passed over: the full image is fetched, block by block."""
    row = attack("T15", "delta whose base is not what runs")
    target = Target()
    image = IMAGE[::-1]
    listing = with_delta(image, base)
    values = factory.manifest_values(2, (2,), image)
    values[codes.MANIFEST_INSTALL][1] = {codes.PARAMETER_URI: index.uri_of(sha256(listing))}
    publish_envelope(target, values)
    target.broker.retained[topics.index(sha256(listing))] = listing
    for number, block in enumerate(index.cut(image)):
        target.broker.retained[topics.block(sha256(listing), 1, number)] = block
    row.failed(target.installs(), True, "(full image taken)")
    assert not [topic for topic in target.broker.fetched if "/0/" in topic]
    row.kept(target.snapshot().runs, "B", "updated, on purpose")


def test_t15_a_plain_variant_with_a_base(attack):
    """Only a delta has a base: an index that says otherwise is refused whole."""
    row = attack("T15", "a base on a variant that has none")
    target = Target()
    before = target.snapshot()
    fields = cbor.decode(index.write(IMAGE))
    fields[3][0][1] = sha256(IMAGE)
    listing = cbor.encode(fields)
    values = factory.manifest_values(2, (2,))
    values[codes.MANIFEST_INSTALL][1] = {codes.PARAMETER_URI: index.uri_of(sha256(listing))}
    publish_envelope(target, values)
    target.broker.retained[topics.index(sha256(listing))] = listing
    refuse_begun(row, target, before, codes.REASON_INDEX_SHAPE)


OVERRIDES = {
    "digest in install": (
        codes.MANIFEST_INSTALL,
        {codes.PARAMETER_IMAGE_DIGEST: b""},
        codes.REASON_PARAMETER,
    ),
    "size in install": (codes.MANIFEST_INSTALL, {codes.PARAMETER_IMAGE_SIZE: 1}, codes.REASON_PARAMETER),
    "vendor in install": (
        codes.MANIFEST_INSTALL,
        {codes.PARAMETER_VENDOR: bytes(16)},
        codes.REASON_PARAMETER,
    ),
    "digest in validate": (
        codes.MANIFEST_VALIDATE,
        {codes.PARAMETER_IMAGE_DIGEST: b""},
        codes.REASON_COMMAND,
    ),
    "unknown parameter": (codes.MANIFEST_INSTALL, {99: 1}, codes.REASON_PARAMETER),
}


@pytest.mark.parametrize("name", OVERRIDES)
def test_t17_an_override_in_another_sequence(attack, name):
    """Digest and size are set once, before every sequence: what is fetched is what is validated at boot."""
    sequence, parameters, reason = OVERRIDES[name]
    row = attack("T17", f"override of critical elements: {name}")
    target = Target()
    before = target.snapshot()
    values = factory.manifest_values(2, (2,))
    values[sequence] = [codes.COMMAND_OVERRIDE_PARAMETERS, parameters, *values[sequence]]
    publish_envelope(target, values)
    row.refused(target.refusal(), reason)
    row.unchanged(before, target.snapshot())


def test_t17_unsigned_members_beside_the_manifest(attack):
    """A severed section, a dependency, a payload that nobody signed: a device takes two members and no others."""
    row = attack("T17", "override by unsigned envelope members")
    for key in (16, 20, 23, 99, "#i:x", "pawl:x"):
        target, before, (release, _, _) = offered()
        good = bundle.suit.Envelope(target.broker.retained[release])
        spoiled = bundle.envelope_of(good.authentication, good.manifest, {key: b"\x80"})
        target.broker.retained[release] = spoiled
        row.refused(target.refusal(), codes.REASON_UNSIGNED_BYTES)
        row.unchanged(before, target.snapshot())
