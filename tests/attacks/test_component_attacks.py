"""Releases of several images, branches, and recoveries: T06, T13, T17, T50."""

import factory
import pytest
import templates
from simulator import ResetError
from target import Target, TargetBoard
from templates import DATA, OTHER, RECOVERY

from pawl import bundle, codes, index, topics
from pawl.compat import sha256

IMAGE = factory.IMAGE
EPOCH = 1 << 32


def with_data(sequence=2, image=OTHER, data=DATA):
    """Return a release of application and data."""
    return templates.release(templates.with_data(image, data, sequence, (sequence,)), (image, data))


def begun(target):
    """Return what a Snapshot has changed when slot B was given to a release and never marked."""
    return {"slot_b": ("empty", target.wanted, 0, codes.REASON_OK)}


def listing_of(image):
    """Return the digest of an image's index."""
    return sha256(index.write(image))


def require_whole(target, image, data):
    """Assert that what was offered installs, with both images of one release."""
    assert target.installs()
    slot = target.board.storage.slots[1]
    assert slot.image_matches(sha256(image), len(image), b"app")
    assert slot.image_matches(sha256(data), len(data), b"data")


@pytest.mark.parametrize("part", ["index", "block", "data as application"])
def test_t06_images_of_two_releases(attack, part):
    """Application of one release with the data of another, both truly signed: by index, by block, by role."""
    row = attack("T06", f"mix-and-match: application and data of two releases ({part})")
    target = Target()
    before = target.snapshot()
    old_data = DATA[::-1]
    target.publish(with_data(3, IMAGE, old_data))
    target.publish(with_data())
    retained = target.broker.retained
    names = {"index": topics.index, "block": lambda listing: topics.block(listing, 0, 0)}
    name = names.get(part, topics.index)
    true = retained[name(listing_of(DATA))]
    other = OTHER if part == "data as application" else old_data
    retained[name(listing_of(DATA))] = retained[name(listing_of(other))]
    reason = codes.REASON_BLOCK_DIGEST if part == "block" else codes.REASON_INDEX_DIGEST
    row.refused(target.refusal(), reason)
    row.changed(before, target.snapshot(), "slot B begun, no mark", **begun(target))
    retained[name(listing_of(DATA))] = true
    require_whole(target, OTHER, DATA)


def test_t06_an_image_without_its_companion(attack):
    """The application came whole, one block of its data never does: nothing is marked, for as long as it is missing."""
    row = attack("T06", "partial release: the last block of the data never comes")
    target = Target()
    before = target.snapshot()
    target.publish(with_data())
    missing = topics.block(listing_of(DATA), 0, 1)
    kept = target.broker.retained.pop(missing)
    target.run(timeout_s=3600)
    row.failed(target.is_reset, False, "link-timeout, asked again")
    row.changed(before, target.snapshot(), "slot B begun, no mark", **begun(target))
    target.broker.retained[missing] = kept
    require_whole(target, OTHER, DATA)


def test_t06_a_power_cut_between_the_images(attack):
    """With the application whole and the data not begun: slot A boots, nothing is tried, both are there in the end."""
    row = attack("T06", "partial release: power cut between application and data")
    target = Target()
    before = target.snapshot()
    target.publish(with_data())

    async def cut(topic):
        if topic == topics.index(listing_of(DATA)):
            raise ResetError

    target.broker.on_fetch = cut
    target.run()
    assert target.board.storage.slots[1].image_matches(sha256(OTHER), len(OTHER), b"app")
    row.failed(target.snapshot().runs, "A", "(not pending)")
    row.changed(before, target.snapshot(), "slot B begun, no mark", **begun(target))
    target.broker.on_fetch = None
    require_whole(target, OTHER, DATA)


def test_t06_a_partial_bundle_at_the_server(attack):
    """Without index, image, or both of its data a bundle isn't the release that its manifest names."""
    row = attack("T06", "partial bundle handed to a host: data left out")
    raw = with_data()
    whole = bundle.suit.Envelope(raw)
    listing = "#i:" + index.b64u(listing_of(DATA))
    for missing in ({listing}, {templates.uri(DATA)}, {listing, templates.uri(DATA)}):
        members = {key: bytes(whole.payloads[key]) for key in whole.payloads if key not in missing}
        partial = bundle.envelope_of(whole.authentication, whole.manifest, members)
        with pytest.raises(bundle.ManifestError) as caught:
            bundle.open_bundle(partial, factory.anchor(), factory.verify)
        row.refused(caught.value.code, codes.REASON_PAYLOAD_MISSING, is_logged=False)
    row.pure()


def test_t13_the_other_slots_image(attack):
    """Of a release with an image for each address only the own one installs; one made for slot A alone is refused."""
    row = attack("T13", "location confusion: an image made for the other slot")
    target = Target()
    before = target.snapshot()
    values = templates.address_bound((OTHER, IMAGE), 2, (2,))
    values[codes.MANIFEST_INSTALL] = templates.placed(0, templates.where(OTHER)) + templates.FETCH
    target.publish(templates.release(values, (OTHER,)))
    row.refused(target.refusal(), codes.REASON_COMPONENT_SLOT)
    row.unchanged(before, target.snapshot())
    target.publish(templates.release(templates.address_bound((OTHER, IMAGE), 2, (2,)), (OTHER, IMAGE)))
    retained = target.broker.retained
    mine, other = topics.index(listing_of(IMAGE)), topics.index(listing_of(OTHER))
    retained[mine], true = retained[other], retained[mine]
    row.refused(target.refusal(), codes.REASON_INDEX_DIGEST)
    row.changed(before, target.snapshot(), "yes, or slot B begun, no mark", **begun(target))
    retained[mine] = true
    assert target.installs()
    assert target.board.storage.slots[1].image_matches(sha256(IMAGE), len(IMAGE))


def branched(branch):
    """Return a release whose install has a branch for each slot before its own commands; slot A's does more."""
    places = [[20, {codes.PARAMETER_COMPONENT_SLOT: slot}, 5, 2] for slot in (0, 1)]
    return templates.asking(templates.try_each(places[0] + branch, places[1]), 2, (2,))


BRANCHES = {
    "copy": ([22, 2], codes.REASON_COMMAND),
    "swap": ([31, 2], codes.REASON_COMMAND),
    "unlink": ([33, 2], codes.REASON_COMMAND),
    "invoke": ([23, 2], codes.REASON_COMMAND),
    "run-sequence": ([32, b"\x80"], codes.REASON_COMMAND),
    "image digest": ([20, {codes.PARAMETER_IMAGE_DIGEST: b""}], codes.REASON_PARAMETER),
    "image size": ([20, {codes.PARAMETER_IMAGE_SIZE: 1}], codes.REASON_PARAMETER),
    "vendor": ([20, {codes.PARAMETER_VENDOR: bytes(16)}], codes.REASON_PARAMETER),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_t17_a_branch_that_does_what_no_sequence_may(attack, name):
    """In a branch that isn't even for this slot: the whole manifest is read before one command runs."""
    branch, reason = BRANCHES[name]
    row = attack("T17", f"override in a branch of try-each: {name}")
    target = Target()
    before = target.snapshot()
    offer_envelope(target, factory.envelope(branched(branch)))
    row.refused(target.refusal(), reason)
    assert len(target.broker.fetched) == 1
    row.unchanged(before, target.snapshot())
    target.publish(templates.release(branched([]), (IMAGE,)))
    assert target.installs(), "without it the branches are good"


def offer_envelope(target, raw):
    """Put an envelope alone on the broker and let the director want it."""
    target.wanted = bundle.suit.Envelope(raw).digest
    target.broker.retained[topics.release(target.wanted)] = raw


def confirmed_target(anchor_values=None):
    """Return a device whose anchor has a recovery role, and that runs release 2 (image OTHER) out of slot B."""
    target = Target(TargetBoard(anchor_values=anchor_values or templates.anchor_values()))
    target.publish(templates.release(factory.manifest_values(2, (2,), OTHER), (OTHER,)))
    assert target.installs()
    target.run()
    target.broker.up.clear()
    target.broker.fetched.clear()
    return target


def recovery(images=(OTHER,), signers=(RECOVERY,), sequence=3):
    """Return a release that takes the device back to version 1 and the image it had, from these images."""
    return templates.release(templates.recovery(list(images), IMAGE, sequence, (1,)), (IMAGE,), signers)


DOWNGRADES = {
    "signed by release keys": (recovery(signers=(factory.RELEASE,)), codes.REASON_UNAUTHORISED),
    "signed by all other roles": (
        recovery(signers=(factory.RELEASE, factory.ROOT, factory.DIRECTOR, factory.STRANGER)),
        codes.REASON_UNAUTHORISED,
    ),
    "not naming what runs": (recovery((IMAGE, DATA)), codes.REASON_RECOVERY_NOT_FOR_THIS),
    "of a later epoch": (recovery(sequence=EPOCH + 3), codes.REASON_RECOVERY_EPOCH),
    "below the ratchet": (recovery(sequence=1), codes.REASON_SEQUENCE_LOW),
    "the number that runs": (recovery(sequence=2), codes.REASON_SEQUENCE_REUSED),
}


@pytest.mark.parametrize("way", ["normally", "recovery agent"])
def test_t50_a_recovery_as_a_way_down(attack, way):
    """Only the recovery role lowers what runs, only from the image that the ratchet names, only in its epoch."""
    row = attack("T50", f"downgrade by recovery releases ({len(DOWNGRADES)}), {way}")
    target = confirmed_target()
    if way == "recovery agent":
        for name in ("image_a", "image_b"):
            target.board.flip(name, 5)
    before = target.snapshot()
    for raw, reason in DOWNGRADES.values():
        target.publish(raw)
        row.refused(target.refusal(), reason)
        row.unchanged(before, target.snapshot())
    assert target.agent.running == (codes.RUNNING_B if way == "normally" else codes.RUNNING_RECOVERY)
    target.publish(recovery())
    assert target.installs(), "the true recovery is the way down"


def test_t17_running_in_a_release(attack):
    """What declares `running` is a recovery, whoever signed it: a release key's signature under it counts for nothing."""
    row = attack("T17", "release keys under a manifest that declares `running`")
    target = confirmed_target()
    before = target.snapshot()
    for signers in ((factory.RELEASE,), (factory.RELEASE, factory.SECOND, factory.THIRD)):
        offer_envelope(target, factory.envelope(templates.recovery([OTHER], IMAGE, 3, (3,)), signers))
        row.refused(target.refusal(), codes.REASON_UNAUTHORISED)
        row.unchanged(before, target.snapshot())


def test_t50_a_recovery_key_signs_no_release(attack):
    """The recovery role has no way up: what doesn't declare `running` needs the release set."""
    row = attack("T50", "a release signed by the recovery key")
    target = confirmed_target()
    before = target.snapshot()
    target.publish(factory.release(sequence=3, version=(3,), signers=(RECOVERY,)))
    row.refused(target.refusal(), codes.REASON_UNAUTHORISED)
    row.unchanged(before, target.snapshot())
