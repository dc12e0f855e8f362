"""What is fetched, and what of it reaches the slot: T06, T09, T12, T14, T15, T17, T25, T41, T42."""

import zlib

import factory
import pytest
from simulator import Client, partition
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


@pytest.mark.parametrize("size", [(1 << 64) - 1, 1 << 63, (1 << 32) + 5000, (1 << 31), 4 * 4096 + 1], ids=hex)
def test_t25_a_size_that_would_be_truncated(attack, size):
    """A signed size beyond the slot is refused as a number, before anything is fetched or erased."""
    row = attack("T25", f"integer truncation: image size {size:#x}")
    target = Target()
    before = target.snapshot()
    values = factory.manifest_values(2, (2,))
    values[codes.MANIFEST_COMMON][codes.COMMON_SHARED_SEQUENCE][1][codes.PARAMETER_IMAGE_SIZE] = size
    publish_envelope(target, values)
    row.refused(target.refusal(), codes.REASON_SLOT_TOO_SMALL)
    assert len(target.broker.fetched) == 1
    row.unchanged(before, target.snapshot())


@pytest.mark.parametrize(
    "size", [len(IMAGE) - 1, len(IMAGE) + 1, (1 << 32) + len(IMAGE), (1 << 64) - 1, 0], ids=hex
)
def test_t25_an_index_of_another_size(attack, size):
    """The index's size, at 64 bits, is the manifest's, or the job ends."""
    row = attack("T25", f"integer truncation: index size {size:#x}")
    target = Target()
    before = target.snapshot()
    fields = cbor.decode(index.write(IMAGE))
    fields[1] = size
    listing = cbor.encode(fields)
    values = factory.manifest_values(2, (2,))
    values[codes.MANIFEST_INSTALL][1] = {codes.PARAMETER_URI: index.uri_of(sha256(listing))}
    publish_envelope(target, values)
    target.broker.retained[topics.index(sha256(listing))] = listing
    target.run()
    (reason,) = target.agent.refusals
    assert reason in (codes.REASON_INDEX_SHAPE, codes.REASON_IMAGE_SIZE)
    row.refused(reason, reason)
    row.changed(before, target.snapshot(), "slot B begun, no mark", **begun(target))


class ShufflingClient(Client):
    """A broker that delivers in reverse, everything twice, with strange messages between, and reuses its buffer."""

    async def subscribe(self, filters, qos):
        for topic in reversed(filters):
            if topic not in self.broker.retained:
                continue
            self.broker.fetched.append(topic)
            for name in ("pawl/b/elsewhere/0/0", topic, topic):
                buffer = bytearray(self.broker.retained[topic])
                await self.on_message(name, memoryview(buffer), True)
                buffer[:] = bytes(len(buffer))  # what the reader's buffer holds next
            if topic.endswith("/i") and self.broker.on_fetch:
                await self.broker.on_fetch(topic)


def shuffled(target):
    """Let a device's broker deliver as ShufflingClient does."""

    async def connect(identity, anchor):
        return lambda on_message: ShufflingClient(target.broker, on_message)

    target.port.connect = connect
    return target


def test_t41_blocks_reversed_twice_and_between_strangers(attack):
    """Order and repetition change nothing: every block is bound to its place."""
    row = attack("T41", "blocks reversed, doubled, among unasked messages, in a reused buffer")
    target = shuffled(Target())
    image = bytes(n * 13 & 255 for n in range(4 * 4096))
    target.publish(factory.release(sequence=2, version=(2,), image=image))
    row.failed(target.installs(), True, "(final digest right)")
    region = target.board.storage.regions["image_b"]
    row.kept(bytes(region.view(0, len(image))), image, "updated, on purpose")


def test_t41_a_block_at_anothers_place(attack):
    """Swapped blocks are both signed, and neither belongs where it is."""
    row = attack("T41", "two signed blocks swapped")
    target, before, (_, _, blocks) = offered(image=bytes(n // 4096 for n in range(4 * 4096)))
    retained = target.broker.retained
    retained[blocks[0]], retained[blocks[1]] = retained[blocks[1]], retained[blocks[0]]
    refuse_begun(row, target, before, codes.REASON_BLOCK_DIGEST)


def test_t41_a_second_job_in_mid_download(attack):
    """A newer offer ends the job before it: what is installed is whole, and the newest."""
    row = attack("T41", "concurrent job: another offer in mid-download")
    target = Target()
    newer = target.publish(factory.release(sequence=3, version=(3,), image=OTHER_IMAGE))
    target.publish(factory.release(sequence=2, version=(2,)))

    async def second(topic):
        if topic.endswith("/i") and target.wanted != newer:
            target.wanted, target.number = newer, target.number + 1
            await target.broker.deliver(topics.offer(partition(), "bench-1"), target.offer())

    target.broker.on_fetch = second
    row.failed(target.installs(), True, "no-offer for the first")
    assert target.board.storage.slots[1].status().digest == newer
    region = target.board.storage.regions["image_b"]
    row.kept(bytes(region.view(0, len(OTHER_IMAGE))), OTHER_IMAGE, "updated, on purpose")


def test_t41_lost_blocks(attack):
    """Every third fetch is lost: nothing is marked before the last block came, and none is fetched twice."""
    row = attack("T41", "the link lost after every third message")
    target = Target()
    image = bytes(n * 11 & 255 for n in range(4 * 4096))
    target.publish(factory.release(sequence=2, version=(2,), image=image))
    for _ in range(9):
        target.broker.cut_after = 3
        target.run()
        if target.is_reset:
            break
    row.failed(target.is_reset, True, "link-lost, resumed")
    blocks = [topic for topic in target.broker.fetched if "/0/" in topic]
    assert len(blocks) == len(set(blocks)) == 4
    row.kept(target.snapshot().slot_b, ("pending", target.wanted, 0, 0), "slot B: the update, pending")


def test_t42_a_resume_against_another_release(attack):
    """After a cut the director wants another image: no byte of the first is left in it."""
    row = attack("T42", "resume against a changed image: another release")
    target = Target()
    first = bytes(n * 5 & 255 for n in range(4 * 4096))
    target.publish(factory.release(sequence=2, version=(2,), image=first))
    target.broker.cut_after = 4
    target.run(timeout_s=0.3)
    assert not target.is_reset
    assert target.snapshot().slot_b == ("empty", target.wanted, 0, 0)
    target.publish(factory.release(sequence=3, version=(3,), image=OTHER_IMAGE))
    row.failed(target.installs(), True, "(restarted from 0)")
    region = target.board.storage.regions["image_b"]
    row.kept(bytes(region.view(0, len(OTHER_IMAGE))), OTHER_IMAGE, "updated, on purpose")


def test_t42_a_resume_against_changed_blocks(attack):
    """After a cut the broker serves another file under the same names: the blocks there stay, the others are refused."""
    row = attack("T42", "resume against changed blocks under the same name")
    image = bytes(n * 5 & 255 for n in range(4 * 4096))
    target, before, (_, _, blocks) = offered(image)
    target.broker.cut_after = 4
    target.run(timeout_s=0.3)
    assert target.board.storage.slots[1].image_matches(sha256(image[:8192]), 8192)
    for topic in blocks:
        target.broker.retained[topic] = bytes(4096)
    refuse_begun(row, target, before, codes.REASON_BLOCK_DIGEST)
    assert target.board.storage.slots[1].image_matches(sha256(image[:8192]), 8192)
