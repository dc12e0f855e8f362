"""What a board refuses: bad releases and bad offers, one after the other, each with its reason, and nothing of it moves.

Whoever sends them owns the broker and, but where the key is the lie, the director's key. At the end the same sender's
good release is installed: so each of the others was refused for what was bad about it.
"""

from dataclasses import replace

import pytest
from impostor import SIGNERS, Impostor
from programs import changed, held, image_of, stored

from pawl import codes, topics
from pawl.names import reason_name
from pawl_boards import maps
from pawl_tools import trust
from pawl_tools.site import VENDOR

pytestmark = pytest.mark.emulators("qemu", "renode")  # the flash of a real board can't be compared

NAME = "bench-1"
EPOCH = 2 << 32
NUMBER = 5  # of the release that the board is made with, and its version
STEPS_MAX = codes.EPOCH_STEP_MAX
OTHER = bytes(range(16))
LARGE_BYTES = 60000
COUNTED = {"boots", "clock", "log"}  # what every boot and every refusal writes
SLOT_B = {"page_b", "envelope_b", "image_b"}

# What is wrong about an envelope that is truly offered: (sequence number, changes of a good one, reason).
RELEASES = {
    "signed by a stranger": (EPOCH + 6, {"signers": ["stranger"]}, codes.REASON_UNAUTHORISED),
    "one signature short": (EPOCH + 6, {"signers": SIGNERS[:1]}, codes.REASON_UNAUTHORISED),
    "one key twice": (EPOCH + 6, {"signers": SIGNERS[:1] * 2}, codes.REASON_UNAUTHORISED),
    "the director as a signer": (
        EPOCH + 6,
        {"signers": [SIGNERS[0], "director"]},
        codes.REASON_UNAUTHORISED,
    ),
    "another vendor": (EPOCH + 6, {"vendor": OTHER}, codes.REASON_VENDOR),
    "another class": (EPOCH + 6, {"device_class": OTHER}, codes.REASON_CLASS),
    "replayed": (EPOCH + 4, {}, codes.REASON_SEQUENCE_LOW),
    "a sequence number again": (EPOCH + NUMBER, {"version": (6,)}, codes.REASON_SEQUENCE_REUSED),
    "a lower version": (EPOCH + 6, {"version": (4,)}, codes.REASON_VERSION_LOW),
    "an epoch below": (EPOCH - 1, {"version": (6,)}, codes.REASON_EPOCH_LOW),
    "an epoch too far": (EPOCH + ((STEPS_MAX + 1) << 32), {"version": (6,)}, codes.REASON_EPOCH_JUMP),
}


@pytest.fixture
def images(tmp_path):
    """Two versions of a small application, of several blocks."""
    return [
        image_of(tmp_path, {"main.py": f"print('version {version}')", "pages.bin": bytes([version]) * 9000})
        for version in (1, 2)
    ]


def flipped(content, place=-1):
    """Return content with one bit of one byte changed, the last one if no other is named."""
    changed = bytearray(content)
    changed[place] ^= 1
    return bytes(changed)


async def refuse(rig, impostor, offer, reason):
    """Send an offer; wait until the board counts it, assert that it is this reason alone; return after which line."""
    since = len(rig.lines(NAME))
    await impostor.send(offer)
    refused = await rig.printed(NAME, r"^pawl: refused \d+$", since=since)
    found = [line for line in rig.lines(NAME)[since:] if line.startswith("pawl: refused")]
    assert found == [f"pawl: refused {reason}"], reason_name(reason)
    return refused


async def refuse_release(rig, impostor, digest, reason):
    """Offer a release truly; the board must refuse it, and say so, signed."""
    refused = await refuse(rig, impostor, impostor.offer(digest), reason)
    report = await rig.until(lambda event: getattr(event, "event", None) == "refused")
    assert report.reason == reason_name(reason)
    await rig.printed(NAME, "state IDLE", since=refused)


async def refuse_releases(rig, impostor, image):
    """Offer every bad envelope."""
    for sequence, changes, reason in RELEASES.values():
        digest, raw = impostor.envelope(image, sequence, **changes)
        await impostor.retain((topics.release(digest), raw))
        await refuse_release(rig, impostor, digest, reason)


async def refuse_bytes(rig, impostor, image):
    """Offer a good release whose envelope isn't what was signed, or is of another size."""
    digest, raw = impostor.envelope(image, EPOCH + 6)
    other_raw = impostor.envelope(image, EPOCH + 7)[1]
    for payload, reason in (
        (flipped(raw, raw.rindex(VENDOR)), codes.REASON_MANIFEST_DIGEST),
        (other_raw, codes.REASON_MANIFEST_DIGEST),
        (raw + bytes(codes.ENVELOPE_MAX_BYTES), codes.REASON_TOO_LARGE),
        (raw + b"\0", codes.REASON_TRAILING_BYTES),
    ):
        await impostor.retain((topics.release(digest), payload))
        await refuse_release(rig, impostor, digest, reason)
    room = maps.load("virt_rv32").REGIONS["image_b"][1]
    large, large_raw = impostor.envelope(bytes(room + 1), EPOCH + 6)
    await impostor.retain((topics.release(large), large_raw))
    await refuse_release(rig, impostor, large, codes.REASON_SLOT_TOO_SMALL)


async def refuse_offers(rig, impostor, digest, closed):
    """Send offers of a release that nobody doubts; `closed` was made for a nonce of the boot before."""
    version, anchor = impostor.anchor
    accepted = impostor.offer(None, action=codes.OFFER_NONE)
    since = len(rig.lines(NAME))
    await impostor.send(accepted)
    await rig.printed(NAME, "state IDLE", since=since)
    for offer, reason in (
        (impostor.offer(digest, signer="stranger"), codes.REASON_OFFER_SIGNATURE),
        (impostor.offer(digest, signer="release-1"), codes.REASON_OFFER_SIGNATURE),
        (flipped(impostor.offer(digest)), codes.REASON_OFFER_SIGNATURE),
        (impostor.offer(digest, device="bench-2"), codes.REASON_OFFER_DEVICE),
        (closed, codes.REASON_OFFER_NONCE),
        (accepted, codes.REASON_OFFER_COUNTER),
        (impostor.offer(digest, number=1), codes.REASON_OFFER_COUNTER),
        (impostor.offer(digest, anchor=(version + 1, anchor)), codes.REASON_ANCHOR_BEHIND),
        (impostor.offer(digest, anchor=(version, bytes(32))), codes.REASON_ANCHOR_FORK),
        (bytes(codes.OFFER_MAX_BYTES + 1), codes.REASON_OFFER_SIGNATURE),
    ):
        await refuse(rig, impostor, offer, reason)
    await swallow(rig, impostor)


async def swallow(rig, impostor):
    """Send more than the board can hold: it reads that away, counts nothing, and the same connection goes on."""
    line = rig.boards[NAME].line
    before = rig.bridge.counts(line)
    await impostor.send(bytes(LARGE_BYTES))
    await refuse(rig, impostor, impostor.offer(bytes(32), device="bench-2"), codes.REASON_OFFER_DEVICE)
    after = rig.bridge.counts(line)
    assert after.down_bytes - before.down_bytes > LARGE_BYTES
    assert after.connections == before.connections


async def refuse_content(rig, impostor, raw):
    """Offer a good release of which the broker hands out an index or a block that isn't the signed one."""
    digest, parts = impostor.messages_of(raw)
    await impostor.retain(*parts)
    (listing, index), (block, payload) = parts[1], parts[-1]
    for topic, spoiled, good, reason in (
        (listing, flipped(index), index, codes.REASON_INDEX_DIGEST),
        (block, flipped(payload), payload, codes.REASON_BLOCK_DIGEST),
    ):
        await impostor.retain((topic, spoiled))
        await refuse_release(rig, impostor, digest, reason)
        await impostor.retain((topic, good))


def next_anchor(site, barred):
    """Return the next anchor document, which bars a release."""
    plan = trust.plan_of(trust.load(site.anchor_file))
    return trust.build(replace(plan, version=2, barred=[barred]), [site.signers["root"]])


def test_what_is_bad_is_refused_by_name_and_moves_nothing(play, images):
    """Every bad release and offer, over four boots; then the good release among them is installed."""

    async def walk(rig):
        board = await rig.add(NAME, rig.release(images[0], EPOCH + NUMBER, (NUMBER,)))
        good = rig.release(images[1], EPOCH + 6, (6,))
        await rig.power_on()
        impostor = await Impostor.of(rig, NAME)
        digest, parts = impostor.messages_of(good)
        closed = impostor.offer(digest)
        board.power_off()
        made = held(board)  # the first boot has begun the ratchet

        board.power_on()
        impostor = await Impostor.of(rig, NAME)
        await refuse_releases(rig, impostor, images[1])
        await refuse_bytes(rig, impostor, images[1])
        board.power_off()
        assert changed(made, held(board)) <= COUNTED

        board.power_on()
        impostor = await Impostor.of(rig, NAME)
        await impostor.retain(*parts)
        await refuse_offers(rig, impostor, digest, closed)
        await refuse_content(rig, impostor, good)
        board.power_off()
        assert changed(made, held(board)) <= COUNTED | SLOT_B
        assert stored(board).slots[codes.RUNNING_B].status().state == codes.SLOT_EMPTY

        board.power_on()
        impostor = await Impostor.of(rig, NAME)
        barred, raw = impostor.envelope(images[1], EPOCH + 7)
        await impostor.retain((topics.release(barred), raw))
        file = next_anchor(rig.site, barred)
        await rig.site.server.import_anchor(file)
        impostor = await Impostor.of(rig, NAME, file)
        await refuse_release(rig, impostor, barred, codes.REASON_BARRED)
        assert set(rig.boots(NAME)) == {"row 7 slot A"}

        await impostor.send(impostor.offer(digest))
        await rig.printed(NAME, "^version 2")
        await rig.until(lambda event: getattr(event, "event", None) == "installed")
        board.power_off()
        reasons = {reason for _, _, reason in RELEASES.values()}
        told = {entry.code for entry in stored(board).log().entries()}
        assert told >= reasons | {codes.REASON_BLOCK_DIGEST, codes.REASON_OFFER_NONCE, codes.REASON_BARRED}

    play(walk)
