"""Changed between check and use, and no memory in the middle: T16, T40."""

import factory
from board import REGIONS
from target import Target, TargetBoard, flipped

from pawl import bundle, cbor, codes, records, topics
from pawl.names import reason_name
from pawl.ports.host.verifier import verify
from pawl_server.repository import Repository


def pending_target():
    """Return a device whose slot B is pending, and the snapshot before the offer."""
    target = Target()
    before = target.snapshot()
    target.publish(factory.release(sequence=2, version=(2,)))
    target.run()
    assert target.is_reset and target.snapshot().runs == "B"
    return target, before


def test_t16_the_image_changed_before_the_boot(attack):
    """One bit of the image after the read-back: the boot reads it again, and the old release runs."""
    row = attack("T16", "TOCTOU: image changed between read-back and boot")
    target, before = pending_target()
    target.board.flip("image_b", 4999)
    target.wanted, wanted = None, target.wanted
    loader = target.run()
    row.refused(loader.faults[0].reason, codes.REASON_IMAGE_DIGEST)
    assert (codes.EVENT_REVERTED, codes.REASON_IMAGE_DIGEST) in target.reports()
    failed = ("failed", wanted, 0, codes.REASON_IMAGE_DIGEST)
    row.changed(before, target.snapshot(), "slot B: failed(image-digest)", slot_b=failed)


def test_t16_the_image_changed_between_two_trials(attack):
    """Every boot checks: what was good at the first trial isn't taken for granted at the second."""
    row = attack("T16", "TOCTOU: image changed between two trials")
    target, before = pending_target()
    target.is_app_healthy = False
    target.run()
    assert target.is_reset
    target.is_app_healthy = True
    target.board.flip("image_b", 0)
    target.wanted, wanted = None, target.wanted
    loader = target.run()
    row.refused(loader.faults[0].reason, codes.REASON_IMAGE_DIGEST)
    failed = ("failed", wanted, 1, codes.REASON_IMAGE_DIGEST)
    row.changed(before, target.snapshot(), "slot B: failed(image-digest)", slot_b=failed)


def test_t16_a_confirmed_image_changed(attack):
    """Also what has run for long is read at every boot; the other slot takes over, and says so."""
    row = attack("T16", "TOCTOU: confirmed image changed between two boots")
    target, _ = pending_target()
    target.run()
    target.wanted = None
    before = target.snapshot()
    assert before.runs == "B"
    target.board.flip("image_b", 100)
    target.run()
    row.refused(target.reports()[-1][1], codes.REASON_FALLBACK)
    after = target.snapshot()
    assert (after.runs, after.slot_a, after.slot_b) == ("A", before.slot_a, before.slot_b)
    row.kept(before.ratchet, after.ratchet, "runs slot A; ratchet kept")


def test_t16_the_envelope_changed_before_the_boot(attack):
    """A stored envelope that rotted boots nothing; one that was replaced by another signed one neither."""
    row = attack("T16", "TOCTOU: envelope rotted, and replaced, before the boot")
    target, before = pending_target()
    target.board.flip("envelope_b", 100)
    assert target.snapshot().runs == "A"
    target.wanted = None
    target.run()
    assert target.hello.running == codes.RUNNING_A
    row.kept(before.ratchet, target.snapshot().ratchet)
    target, before = pending_target()
    slot = target.board.storage.slots[1]
    other = bundle.Bundle(bundle.suit.Envelope(factory.release(sequence=3, version=(3,))))
    slot.envelope_region.erase()
    records.write(slot.envelope_region, 0, b"PWEN", other.wire_envelope())
    wanted, target.wanted = target.wanted, None
    loader = target.run()
    row.refused(loader.faults[0].reason, codes.REASON_MANIFEST_DIGEST)
    failed = ("failed", wanted, 0, codes.REASON_MANIFEST_DIGEST)
    row.changed(before, target.snapshot(), "slot B: failed, or not tried", slot_b=failed)


def test_t16_signatures_removed_from_the_stored_envelope(attack):
    """Without the signatures the manifest of a pending slot is nobody's."""
    row = attack("T16", "TOCTOU: signatures cut out of the stored envelope")
    target, before = pending_target()
    slot = target.board.storage.slots[1]
    stored = bundle.suit.Envelope(slot.envelope())
    bare = bundle.envelope_of(cbor.encode([stored.digest_item]), stored.manifest)
    slot.envelope_region.erase()
    records.write(slot.envelope_region, 0, b"PWEN", bare)
    wanted, target.wanted = target.wanted, None
    loader = target.run()
    row.refused(loader.faults[0].reason, codes.REASON_UNAUTHORISED)
    failed = ("failed", wanted, 0, codes.REASON_UNAUTHORISED)
    row.changed(before, target.snapshot(), "slot B: failed(unauthorised)", slot_b=failed)


def test_t16_the_release_changes_between_two_fetches(attack):
    """After a cut the broker serves another envelope under the name: the one that is kept was checked, this one too."""
    row = attack("T16", "TOCTOU: another envelope at the second fetch")
    target = Target()
    before = target.snapshot()
    digest = target.publish(factory.release(sequence=2, version=(2,)))
    target.broker.cut_after = 3
    target.run(timeout_s=0.3)
    target.spoil(topics.release(digest), flipped(-1))
    row.refused(target.refusal(), codes.REASON_MANIFEST_DIGEST)
    row.changed(before, target.snapshot(), "slot B begun, no mark", slot_b=("empty", digest, 0, 0))


def test_t16_a_page_that_claims_more_than_happened(attack):
    """Marks copied from another release's page mean nothing: their check values cover the digest."""
    row = attack("T16", "TOCTOU: `confirmed` copied from one slot's page to the other")
    target, before = pending_target()
    store = target.board.flash.store
    (page_a, _), (page_b, _) = REGIONS["page_a"], REGIONS["page_b"]
    for unit in (7, 8):
        store[page_b + unit * 32 : page_b + unit * 32 + 32] = store[
            page_a + unit * 32 : page_a + unit * 32 + 32
        ]
    status = target.board.storage.slots[1].status()
    row.failed(status.state, codes.SLOT_PENDING, "(no mark)")
    target.board.flip("image_b", 9)
    assert target.snapshot().runs == "A"
    row.kept(before.ratchet, target.snapshot().ratchet, "yes: still on trial, ratchet kept")


def every_place():
    """Yield the places where a job's memory may run out: each fetch, each program of the flash."""
    for place in ("release", "index", "block 0", "block 1"):
        yield "fetch of " + place
    for number in range(6):
        yield f"program {number}"


def starve(target, place):
    """Let memory run out once, at a place."""
    starved = []
    if place.startswith("fetch"):

        async def fail(topic):
            kind = {"r": "release", "i": "index", "0": "block 0", "1": "block 1"}
            name = kind["r"] if "/r/" in topic else kind[topic.split("/")[-1]]
            if place.endswith(name) and not starved:
                starved.append(topic)
                raise MemoryError

        target.broker.on_fetch = fail
        return starved
    left = [int(place.split()[1])]
    program = target.board.flash.program

    def no_room(offset, data):
        if offset >= REGIONS["page_b"][0] and not starved:
            if left[0] == 0:
                starved.append(offset)
                raise MemoryError
            left[0] -= 1
        program(offset, data)

    target.board.flash.program = no_room
    return starved


def test_t40_memory_runs_out_anywhere_in_a_job(attack):
    """At each fetch and at each write of flash: the job ends by name, what runs is untouched, the next one succeeds."""
    row = attack("T40", "MemoryError at each fetch and each flash write of a job")
    count = 0
    for place in every_place():
        target = Target()
        before = target.snapshot()
        target.publish(factory.release(sequence=2, version=(2,)))
        starved = starve(target, place)
        target.run()
        assert starved, place
        count += 1
        after = target.snapshot()
        if not target.is_reset:
            row.refused(*target.agent.refusals, codes.REASON_OUT_OF_MEMORY)
            assert target.agent.state == "IDLE"
            assert (after.runs, after.ratchet, after.slot_a) == (
                before.runs,
                before.ratchet,
                before.slot_a,
            ), place
            assert after.differences(before) <= {"slot_b"}, place
        target.run()
        if target.is_reset:
            target.run()
        assert target.snapshot().ratchet[0] == 2, place
    assert count == 10
    row.state = "slot A and ratchet; the next job installs"


def test_t40_memory_runs_out_in_the_confirm(attack):
    """No memory when a trial is confirmed: the device resets, and a later boot finishes it."""
    row = attack("T40", "MemoryError at each flash write of a confirm")
    for number in range(3):
        target, before = pending_target()
        left = [number + 2]  # the boot's count and the trial's mark come first
        program = target.board.flash.program
        starved = []

        def no_room(offset, data, left=left, program=program, starved=starved):
            if left[0] == 0 and not starved:
                starved.append(offset)
                raise MemoryError
            left[0] -= 1
            program(offset, data)

        target.board.flash.program = no_room
        target.run()
        assert starved
        row.failed(
            target.is_reset or target.snapshot().runs == "B", True, reason_name(codes.REASON_OUT_OF_MEMORY)
        )
        assert target.snapshot().runs in {"A", "B"}
        target.run()
        assert target.snapshot().ratchet[0] == 2
        assert target.snapshot().slot_b[0] == "confirmed"
        assert before.ratchet[0] == 1
    row.state = "confirmed by a later boot"


def test_t16_the_file_of_an_imported_release_changed(attack, tmp_path):
    """A release on the server's disk is verified again whenever it is opened; its name binds its content."""
    row = attack("T16", "TOCTOU: release file changed, and swapped, in the repository")
    anchor = factory.trust.load(TargetBoard().anchor_file, verify)
    repository = Repository(tmp_path / "releases", anchor, bundle_max_bytes=1 << 20)
    first = repository.add(factory.release(sequence=2)).digest
    second = repository.add(factory.release(sequence=3)).digest
    path = repository._path(first)
    good = path.read_bytes()
    for content, reason in (
        (flipped(-3)(bytearray(good)), None),
        (repository._path(second).read_bytes(), codes.REASON_MANIFEST_DIGEST),
    ):
        path.write_bytes(content)
        try:
            repository.open(first)
            found = codes.REASON_OK
        except bundle.ManifestError as error:
            found = error.code
        assert found != codes.REASON_OK
        row.refused(found, reason or found)
    path.write_bytes(good)
    row.kept(repository.open(first).envelope.digest, first, "yes (opened again when whole)")
