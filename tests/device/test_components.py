"""Releases of several images on a whole device: all of it or nothing, at install, at boot, at confirm; and recoveries."""

import factory
import templates
from board import Board
from factory import RELEASE
from simulator import ResetError, World
from templates import DATA, OTHER, RECOVERY

from pawl import boot, codes, slots, storage
from pawl.compat import sha256

IMAGE = factory.IMAGE
OK = codes.REASON_OK


def installed(world):
    """Return the release in the ratchet's cells."""
    return world.board.storage.ratchet().reading.roles[codes.IMAGE_APP]


def with_data(sequence=2, version=(2,), image=OTHER, data=DATA):
    """Return a release of application and data."""
    return templates.release(templates.with_data(image, data, sequence, version), (image, data))


def holds(slot, component, image):
    """Return whether a slot holds an image."""
    return slot.image_matches(sha256(image), len(image), component)


def test_application_and_data_are_installed_together():
    """Both images are fetched, matched, and confirmed by one manifest digest."""
    world = World()
    world.publish(with_data())
    world.run()
    assert world.is_reset
    world.run()
    assert installed(world).sequence == 2
    assert installed(world).image == (sha256(OTHER), len(OTHER))
    slot = world.board.storage.slots[1]
    assert holds(slot, b"app", OTHER) and holds(slot, b"data", DATA)
    assert "pawl: blocks 4/4" in ["pawl: " + line for line in world.port.lines]


def test_power_cuts_between_any_two_blocks():
    """Wherever the cut comes, the device runs on, then fetches what it lacks, and each block once."""
    for cut in range(7):
        world = World()
        world.publish(with_data())
        fetched = []

        async def lose_power(topic, cut=cut, fetched=fetched):
            fetched.append(topic)
            if len(fetched) == cut + 1:
                raise ResetError

        world.broker.on_fetch = lose_power
        world.run()
        slot = world.board.storage.slots[1]
        assert slot.status().state == codes.SLOT_EMPTY, cut
        _, decision = world.board.boot()
        assert (decision.action, decision.slot) == (boot.BOOT, 0)
        world.run()
        assert world.is_reset, cut
        assert holds(slot, b"app", OTHER) and holds(slot, b"data", DATA)
        blocks = [topic for topic in world.broker.fetched if topic.split("/")[-1] in ("0", "1")]
        lost = [fetched[cut]] if fetched[cut] in blocks else []
        assert sorted(blocks) == sorted(list(set(blocks)) + lost), cut
        world.run()
        assert installed(world).sequence == 2


def test_rotten_data_fails_a_trial_and_stops_a_boot():
    """An application never runs with other data than it was signed with."""
    board = Board()
    board.boot()
    board.put(1, with_data()).mark_pending()
    board.flip("data_b", 7)
    loader, decision = board.boot()
    assert decision.slot == 0
    assert loader.faults[0][:2] == (boot.FAIL, codes.REASON_IMAGE_DIGEST)
    board = Board()
    board.boot()
    board.put(1, with_data()).mark_pending()
    loader, decision = board.boot()
    assert decision.slot == 1
    loader.confirm(1)
    board.flip("data_b", 7)
    loader, decision = board.boot()
    assert (decision.slot, decision.reason) == (0, codes.REASON_FALLBACK)


def refused(world):
    """Run, and return the reason that the device reported; nothing may have been erased."""
    before = [bytes(region.view(0, region.size)) for region in targets(world)]
    world.run()
    assert not world.is_reset
    assert [bytes(region.view(0, region.size)) for region in targets(world)] == before
    return world.reports()[-1]


def targets(world):
    """Return the regions of the slot that doesn't run."""
    slot = world.board.storage.slots[1]
    return [slot.page, slot.envelope_region, slot.image]


def test_data_without_a_place_is_refused():
    """A board whose layout has no data regions takes no data; one whose region is too small says so."""
    world = World()
    for slot in world.board.storage.slots:
        slot.data = None
    world.publish(with_data())
    assert refused(world) == (codes.EVENT_REFUSED, codes.REASON_COMPONENT)
    world = World()
    world.publish(with_data(data=bytes(3 * 4096)))
    assert refused(world) == (codes.EVENT_REFUSED, codes.REASON_SLOT_TOO_SMALL)


def test_storage_without_data_regions():
    """A layout that names none is a layout all the same."""
    board = Board()
    regions = {name: (area.start, area.size) for name, area in board.storage.regions.items()}
    assert board.storage.slots[0].region(b"data").size == 2 * 4096
    for name in ("data_a", "data_b"):
        regions.pop(name)
    assert storage.Storage(board.flash, regions).slots[0].data is None


def test_the_image_of_the_slot_is_installed():
    """Of a release with an image for each address, a device fetches its own."""
    world = World()
    images = (IMAGE, OTHER)
    world.publish(templates.release(templates.address_bound(images, 2, (2,)), images))
    world.run()
    world.run()
    assert installed(world).image == (sha256(OTHER), len(OTHER))
    world = World()
    values = templates.address_bound((OTHER, IMAGE), 2, (2,))
    values[codes.MANIFEST_INSTALL] = templates.placed(0, templates.where(OTHER)) + templates.FETCH
    world.publish(templates.release(values, (OTHER,)))
    assert refused(world) == (codes.EVENT_REFUSED, codes.REASON_COMPONENT_SLOT)


def test_a_release_for_the_other_slot_never_boots():
    """Its image would run at an address that it wasn't made for."""
    board = Board()
    board.boot()
    values = templates.address_bound((OTHER, IMAGE), 2, (2,))
    values[codes.MANIFEST_INSTALL] = templates.placed(1, templates.where(IMAGE)) + templates.FETCH
    raw = templates.release(values, (IMAGE,))
    board.put(1, raw)
    envelope = board.storage.slots[1].envelope()
    values[codes.MANIFEST_INSTALL] = templates.placed(0, templates.where(OTHER)) + templates.FETCH
    wrong = templates.release(values, (OTHER,))
    slot = board.storage.slots[1]
    digest = factory.bundle.suit.Envelope(wrong).digest
    slot.begin(digest, factory.bundle.Bundle(factory.bundle.suit.Envelope(wrong)).wire_envelope())
    assert slot.envelope() != envelope
    slot.mark_written()
    slot.mark_pending()
    loader, decision = board.boot()
    assert decision.slot == 0
    assert loader.faults[0][:2] == (boot.FAIL, codes.REASON_COMPONENT_SLOT)


def test_an_update_that_asks_for_leave():
    """Refused where nobody may give it; installed where somebody does, and asked again at the end."""
    values = templates.asking(templates.authorisation_asked(4), 2, (2,))
    world = World()
    world.publish(templates.release(values, (IMAGE,)))
    assert refused(world) == (codes.EVENT_REFUSED, codes.REASON_UPDATE_AUTHORIZED)
    for answers, is_installed in (([True, True], True), ([True, False], False)):
        world = World()
        world.publish(templates.release(values, (IMAGE,)))
        asked = []

        def authorise(priority, asked=asked, answers=answers):
            asked.append(priority)
            return answers[len(asked) - 1]

        start(world, authorise)
        assert world.is_reset is is_installed
        assert asked == [4, 4]


def start(world, is_authorised):
    """Run a world whose board has somebody to ask."""
    plain = world.board.boot

    def settled():
        loader, decision = plain()
        loader.is_authorised = is_authorised
        return loader, decision

    world.board.boot = settled
    world.run()


def test_a_version_condition_is_asked_at_install_and_not_again():
    """What the confirmed version was is forgotten after the update: the release boots and is repaired all the same."""
    asked = templates.version_asked(codes.VERSION_LESSER, (2,))
    for numbers, is_installed in (((2,), True), ((1,), False)):
        world = World()
        asked = templates.version_asked(codes.VERSION_LESSER, numbers)
        world.publish(templates.release(templates.asking(asked, 2, (2,)), (IMAGE,)))
        world.run()
        assert world.is_reset is is_installed
    world.publish(templates.release(templates.asking(templates.version_asked(5, (2,)), 2, (2,)), (IMAGE,)))
    world.run()
    world.run()
    assert installed(world).sequence == 2
    world.board.flip("image_b", 3)
    world.run()
    assert world.is_reset
    world.run()
    assert world.agent.running == codes.RUNNING_B
    assert installed(world).sequence == 2


def bad_world():
    """Return a world that runs a bad release, confirmed in slot B; the anchor has a recovery role."""
    world = World(templates.anchor_values())
    world.publish(templates.release(factory.manifest_values(2, (2,), OTHER), (OTHER,)))
    world.run()
    world.run()
    assert installed(world).sequence == 2
    return world


def recovery(images, signers=(RECOVERY,), version=(1,)):
    """Return a recovery release of the factory's image."""
    return templates.release(templates.recovery(images, IMAGE, 3, version), (IMAGE,), signers)


def test_a_recovery_brings_the_older_image_back():
    """It is installed where what it names runs, and what it recovers from never boots again."""
    world = bad_world()
    world.publish(recovery([DATA, OTHER]))
    world.run()
    assert world.is_reset
    world.run()
    assert installed(world).sequence == 3
    assert installed(world).image == (sha256(IMAGE), len(IMAGE))
    status = world.board.storage.slots[1].status()
    assert (status.state, status.reason) == (codes.SLOT_FAILED, codes.REASON_RECOVERED)
    world.board.flip("image_a", 3)
    _, decision = world.board.boot()
    assert decision.action == boot.RECOVER


def test_a_recovery_from_something_else_is_never_tried():
    """The image that the ratchet names has to be one of those that it names."""
    world = bad_world()
    world.publish(recovery([IMAGE, DATA]))
    world.run()
    assert not world.is_reset
    assert world.reports()[-1] == (codes.EVENT_REFUSED, codes.REASON_RECOVERY_NOT_FOR_THIS)
    world.run()
    assert world.agent.running == codes.RUNNING_B


def test_release_keys_sign_no_recovery():
    """The role is in the shape: a release key can't lower what runs, whatever it signs."""
    world = bad_world()
    world.publish(recovery([OTHER], (RELEASE,)))
    world.run()
    assert not world.is_reset
    assert world.reports()[-1] == (codes.EVENT_REFUSED, codes.REASON_UNAUTHORISED)


def test_a_recovery_is_repaired_without_asking_what_runs():
    """The ratchet names the recovery itself by now; its repair is asked nothing of what it recovered from."""
    world = bad_world()
    world.publish(recovery([OTHER]))
    world.run()
    world.run()
    world.board.flip("image_a", 3)
    world.run()
    assert world.is_reset
    world.run()
    assert installed(world).sequence == 3
    assert not world.is_reset


def recovered_board():
    """Return a board that tries a recovery in slot A, with the bad release confirmed in slot B, and its Bootloader."""
    board = Board(anchor_values=templates.anchor_values())
    board.boot()
    board.put(1, templates.release(factory.manifest_values(2, (2,), OTHER), (OTHER,))).mark_pending()
    board.boot()[0].confirm(1)
    board.put(0, recovery([OTHER])).mark_pending()
    loader, decision = board.boot()
    assert (decision.action, decision.slot) == (boot.TRY, 0)
    return board, loader


def test_a_cut_while_a_recovery_is_confirmed():
    """At every write: the next boots finish ratchet and mark, or the recovery is on trial still."""
    for cut in range(5):
        board, loader = recovered_board()
        left = [cut]
        program = board.flash.program

        def tired(offset, data, left=left, program=program):
            if left[0] == 0:
                raise ResetError
            left[0] -= 1
            program(offset, data)

        board.flash.program = tired
        try:
            loader.confirm(0)
        except ResetError:
            assert cut < 4
        board.flash.program = program
        loader, decision = board.boot()
        assert decision.slot == 0, cut
        if decision.action == boot.TRY:
            assert cut == 0
            loader.confirm(0)
        assert board.storage.ratchet().reading.roles[codes.IMAGE_APP].sequence == 3, cut
        assert board.storage.slots[1].status().reason == codes.REASON_RECOVERED, cut
        loader, decision = board.boot()
        assert (decision.action, decision.slot, loader.faults) == (boot.BOOT, 0, [])


def test_a_later_release_may_bring_the_image_again():
    """A recovery fails what came before it; what was signed after it stands."""
    board, loader = recovered_board()
    loader.confirm(0)
    board.put(1, templates.release(factory.manifest_values(4, (4,), OTHER), (OTHER,))).mark_pending()
    loader, decision = board.boot()
    loader.confirm(1)
    loader, decision = board.boot()
    assert (decision.action, decision.slot) == (boot.BOOT, 1)
    assert board.storage.slots[1].status().state == codes.SLOT_CONFIRMED


def test_the_page_keeps_the_attempt():
    """Its check value covers the number."""
    board = Board()
    slot = board.storage.slots[1]
    slot.begin(bytes(32), b"envelope")
    assert slot.status().attempt == 1
    slot.begin(bytes(32), b"envelope", 0x0203)
    assert slot.status().attempt == 0x0203
    for offset in (36, 37):
        board.flip("page_b", offset)
        assert slot.status() == slots._EMPTY
        board.flip("page_b", offset)
