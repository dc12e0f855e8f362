"""The same agent on a Cortex-M3: a whole update on mps2_an385, whatever board the run's options name."""

import pytest

from pawl_boards import drivers
from pawl_boards.bench import Bench

NAME = "bench-1"

pytestmark = pytest.mark.emulators("qemu")


@pytest.fixture
def bench(tmp_path):
    """Boards of this kind; their logs are kept where the run keeps those of others."""
    made = Bench("mps2_an385", drivers.EMULATORS[drivers.QEMU], tmp_path / "boards")
    yield made
    made.close()


def test_update_on_a_cortex_m3(play, images):
    """From A to B over TLS, confirmed; after a power cut B boots from its flash."""

    async def walk(rig):
        board = await rig.add(NAME, rig.release(images[1], 1))
        await rig.power_on()
        digest = await rig.assign(NAME, rig.release(images[2], 2))
        settled = await rig.settled(NAME)
        assert (settled.state, settled.release) == ("succeeded", digest)
        board.power_off()
        since = len(rig.lines(NAME))
        board.power_on()
        await rig.printed(NAME, "row 7 slot B", since=since)
        assert rig.boots(NAME)[:2] == ["row 7 slot A", "row 5 slot B"]

    play(walk)
