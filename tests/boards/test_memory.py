"""Updates in small heaps: in 96 KB they all succeed; where there is no room for one, the device goes on as it is."""

NAME = "bench-1"
HEAP_BYTES = 96 * 1024
# The agent and its application fit, a release on its way doesn't.
TOO_SMALL_BYTES = 82 * 1024
UPDATES = 4  # as many as the budget of erases allows at once


def _lines(rig, words):
    return [line for line in rig.lines(NAME) if words in line]


def test_updates_in_a_heap_of_96_kb(play, images):
    """One after the other, both ways, and nothing on the console speaks of memory."""

    async def walk(rig):
        await rig.add(NAME, rig.release(images[1], 1), heap_bytes=HEAP_BYTES)
        await rig.power_on()
        for sequence in range(2, 2 + UPDATES):
            digest = await rig.assign(NAME, rig.release(images[2 - sequence % 2], sequence))
            settled = await rig.settled(NAME)
            assert (settled.state, settled.reason, settled.release) == ("succeeded", "ok", digest)
        assert len(rig.boots(NAME)) == 1 + UPDATES
        assert not _lines(rig, " 104") and not _lines(rig, "MemoryError"), rig.lines(NAME)

    play(walk)


def test_a_heap_too_small_for_an_update(play, images):
    """It is reported, and the application that ran goes on running: no reset."""

    async def walk(rig):
        await rig.add(NAME, rig.release(images[1], 1), heap_bytes=TOO_SMALL_BYTES)
        await rig.power_on()
        await rig.assign(NAME, rig.release(images[2], 2))
        settled = await rig.settled(NAME)
        assert (settled.state, settled.reason) == ("failed", "out-of-memory")
        await rig.printed(NAME, "^blinky 1: on", since=len(rig.lines(NAME)))
        assert rig.boots(NAME) == ["row 7 slot A"]

    play(walk)
