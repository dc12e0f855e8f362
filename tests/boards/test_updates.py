"""Whole updates on boards: A to B and back to A, over TLS through the bridge."""

NAME = "bench-1"


def test_update_from_a_to_b_and_back_to_a(play, images):
    """Each release runs from the other slot; the ratchet rises with each, and a power cut afterwards changes nothing."""

    async def walk(rig):
        board = await rig.add(NAME, rig.release(images[1], 1))
        await rig.power_on()
        for sequence, image in ((2, images[2]), (3, images[1])):
            digest = await rig.assign(NAME, rig.release(image, sequence))
            settled = await rig.settled(NAME)
            assert (settled.state, settled.release) == ("succeeded", digest)
            assert (await rig.site.server.device(NAME)).ratchet.sequence == sequence
        board.power_off()
        board.power_on()
        await rig.printed(NAME, "row 7 slot A", since=len(rig.lines(NAME)))
        assert rig.boots(NAME)[:3] == ["row 7 slot A", "row 5 slot B", "row 5 slot A"]

    play(walk)
