"""Sizes, order and places of what is transferred: T25, T41, T42."""

import factory
import pytest
from simulator import Client, partition
from target import Target
from test_payloads import IMAGE, OTHER_IMAGE, begun, offered, publish_envelope, refuse_begun

from pawl import cbor, codes, index, topics
from pawl.compat import sha256


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

    async def connect(identity, anchor, now_s):
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
