"""Boards whose flash is slow and has large sectors: the watchdog is fed between two sectors, while all is well."""

import gc
import sys

from support import Ticks, refused

from pawl import codes, index
from pawl.boots import BootCounter
from pawl.download import Download
from pawl.flash import MemoryFlash, Region
from pawl.journal import USED_MAX_BYTES
from pawl.log import Log
from pawl.slots import Slot
from pawl.storage import Storage
from pawl.watchdog import Watchdog

if sys.implementation.name != "micropython":  # what its interpreter brings; nothing is mounted here
    sys.modules["vfs"] = type(sys)("vfs")
    gc.threshold = lambda _: None
    gc.mem_alloc = gc.mem_free = lambda: 0  # CPython has none of the three
from pawl import startup

WATCHDOG_MS = 30000
ERASE_MS = 2000
SECTOR = 2 * codes.BLOCK_BYTES
LARGE = 64 * 1024


class Port(Ticks):
    """Knows when the watchdog was fed."""

    def __init__(self):
        super().__init__()
        self.fed_ms = 0
        self.longest_ms = 0
        self.lines = []

    def feed(self):
        """Feed."""
        self.hungry()
        self.fed_ms = self.now_ms

    def hungry(self):
        """Return how long it was without food at most."""
        self.longest_ms = max(self.longest_ms, self.now_ms - self.fed_ms)
        return self.longest_ms

    def log(self, text):
        """Keep the line."""
        self.lines.append(text)


class SlowFlash(MemoryFlash):
    """Each erase takes two seconds."""

    def __init__(self, port, size):
        super().__init__(size, SECTOR)
        self.port = port

    def erase(self, offset):
        """Erase, and take the time for it."""
        super().erase(offset)
        if hasattr(self, "port"):
            self.port.now_ms += ERASE_MS


class Image:
    """What Download asks of an image."""

    component = codes.COMPONENT_APP

    def __init__(self, content):
        self.raw = index.write(content)
        self.size = len(content)
        self.uri = index.uri_of(bytes(32))


def new_slot(port, before_erase, sectors=20):
    """Return a slot with slow sectors that two blocks share, none of its bytes erased."""
    flash = SlowFlash(port, (sectors + 2) * SECTOR)
    flash.store[:] = bytes(len(flash.store))
    regions = [
        Region(flash, start * SECTOR, count * SECTOR, before_erase)
        for start, count in ((0, 1), (1, 1), (2, sectors))
    ]
    return Slot(0, regions[0], regions[1], regions[2])


def make_room(slot):
    """Make room for an image that fills the slot, as a download does before its first block."""
    image = Image(b"\x11" * slot.image.size)
    return Download(slot, image, None)._make_room(index.Index(image.raw))


def test_making_room_in_slow_flash_feeds_the_watchdog():
    """20 sectors of 2 s in a row: more than a watchdog's time, and never longer without food than one sector takes."""
    port = Port()
    slot = new_slot(port, Watchdog(port).feed)
    assert len(make_room(slot)) == 40
    assert port.now_ms > WATCHDOG_MS
    assert port.hungry() <= ERASE_MS


def test_erasing_a_whole_region_feeds_the_watchdog():
    """The same for one call that erases many."""
    port = Port()
    slot = new_slot(port, Watchdog(port).feed)
    slot.image.erase()
    assert port.now_ms > WATCHDOG_MS and port.hungry() <= ERASE_MS


def test_a_sick_device_is_not_fed_by_its_flash():
    """What erases for long can't keep it from its reset."""
    port = Port()
    watchdog = Watchdog(port)
    watchdog.application = "the application hasn't started"
    assert not watchdog.check()
    make_room(new_slot(port, watchdog.feed))
    assert port.hungry() > WATCHDOG_MS


def test_startup_feeds_while_it_erases():
    """The storage that a boot uses is such a one: here the boot counter's journal makes room."""
    port = Port()
    names = (
        "identity_a",
        "identity_b",
        "anchor_a",
        "anchor_b",
        "ratchet",
        "boots",
        "quarantine",
        "clock",
        "log",
    )
    names += ("page_a", "envelope_a", "image_a", "page_b", "envelope_b", "image_b")
    regions = {name: (2 * at * SECTOR, 2 * SECTOR) for at, name in enumerate(names)}
    flash = SlowFlash(port, 2 * len(names) * SECTOR)
    counter = Storage(flash, regions).boot_counter()
    while port.now_ms == 0:
        counter.step()  # up to its first erase
    for _ in counter.journal._cells(0)[1:]:
        counter.step()
    erased_ms, port.fed_ms, fed = port.now_ms, -1, []
    port.feed = lambda: fed.append(port.now_ms)
    assert refused(startup.run, port, flash, regions, None) == codes.REASON_RECORD_LOST
    assert port.now_ms == erased_ms + ERASE_MS
    assert len(fed) == 2, "once at the start, once before the sector"


def test_journals_use_the_first_4_kib_of_large_sectors():
    """Nothing is written behind them, counting goes on over erases, and a boot reads no more cells than of small sectors."""
    flash = MemoryFlash(2 * LARGE, LARGE)
    area = Region(flash, 0, 2 * LARGE)
    for count in range(1, 200):
        counter = BootCounter(area)
        counter.step()
        assert counter.value == count
    cells = len(counter.journal._cells(0))
    assert cells == USED_MAX_BYTES // 64
    for half in (0, LARGE):
        assert not area.is_erased(half, USED_MAX_BYTES)
        assert area.is_erased(half + USED_MAX_BYTES, LARGE - USED_MAX_BYTES)


def test_the_log_uses_the_first_4_kib_of_large_sectors():
    """64 entries a half, the newest ones always there."""
    area = Region(MemoryFlash(2 * LARGE, LARGE), 0, 2 * LARGE)
    log = Log(area)
    for number in range(150):
        log.keep(1, number, codes.REASON_BARRED)
    uptimes = [entry.uptime for entry in log.entries()]
    assert uptimes[:64] == list(range(149, 85, -1))
    assert len(uptimes) < 128
    assert area.is_erased(USED_MAX_BYTES, LARGE - USED_MAX_BYTES)
