"""The log: newest first, bounded, over tears and full halves; and what of it is told."""

from support import new_clock, new_region

from pawl import cbor, codes, diary
from pawl.diary import Diary
from pawl.log import Entry, Log

D1 = b"\x01" * 32
HOUR = 3600


class Boots:
    """The number of a boot."""

    value = 7


def test_newest_first_over_resets():
    """With and without detail; longer ones are cut to 40 bytes."""
    region = new_region()
    Log(region).keep(1, 10, codes.REASON_TRIALS, D1)
    Log(region).keep(2, 12, codes.REASON_RATCHET_LOST)
    Log(region).keep(2, 12, codes.REASON_FALLBACK, bytes(50))
    assert list(Log(region).entries()) == [
        Entry(2, 12, codes.REASON_FALLBACK, bytes(40)),
        Entry(2, 12, codes.REASON_RATCHET_LOST, None),
        Entry(1, 10, codes.REASON_TRIALS, D1),
    ]


def test_the_ring_keeps_at_least_64():
    """Full halves take turns: order and newest entries hold."""
    log = Log(new_region())
    for number in range(300):
        log.keep(1, number, 1)
        times = [entry.uptime for entry in log.entries()]
        assert times == list(range(number, number - len(times), -1))
        assert len(times) >= min(number + 1, 64)


def test_the_largest_entry_fits_its_cell():
    """Numbers beyond 32 bits are cut, a whole detail is kept."""
    log = Log(new_region())
    log.keep(1 << 60, 1 << 60, 1 << 20, b"\x09" * 40)
    assert list(log.entries()) == [Entry(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFF, b"\x09" * 40)]


def test_a_torn_entry_is_passed_over():
    """And its cell is not programmed again."""
    region = new_region()
    log = Log(region)
    log.keep(1, 1, 1)
    log.keep(1, 2, 2)
    region.flash.store[64 + 60] ^= 1
    log.keep(1, 3, 3)
    assert [entry.code for entry in Log(region).entries()] == [3, 1]


def test_a_refusal_is_written_once_an_hour():
    """The same reason for the same release; another one at once; resets change nothing."""
    region = new_region()
    for at in (0, 10, HOUR - 1):
        Log(region).refuse(at, at, codes.REASON_BARRED, D1)
    assert len(list(Log(region).entries())) == 1
    Log(region).refuse(3, HOUR - 1, codes.REASON_BARRED)
    Log(region).refuse(3, HOUR, codes.REASON_BARRED, D1)
    assert len(list(Log(region).entries())) == 3


def test_t24_junk_writes_at_most_32_entries_a_day():
    """Whatever number of reasons it finds; what happened here is written all the same."""
    log = Log(new_region())
    for number in range(1000):
        log.refuse(1, number, number)
    assert len(list(log.entries())) == 32
    log.keep(1, 1000, codes.REASON_TRIALS, D1)
    assert next(log.entries()).code == codes.REASON_TRIALS
    log.refuse(1, 86400 + 1000, 5)
    assert next(log.entries()).code == 5


def test_flash_that_takes_no_entry_stops_nothing():
    """The fault is kept, and nothing raised."""
    log = Log(new_region())
    log.region.flash.program = lambda offset, data: None
    log.keep(1, 1, 1)
    assert log.fault == codes.REASON_FLASH_READ_BACK


def test_the_message_is_bounded():
    """As many of the newest as 4 KiB hold, as arrays of 3 or 4."""
    log = Log(new_region())
    for number in range(128):
        log.keep(1, number, 1, bytes(40))
    content = diary.message(log.entries(), codes.LOG_MAX_BYTES)
    assert 4000 < len(content) <= codes.LOG_MAX_BYTES
    reader = cbor.Reader(content)
    count = reader.array()
    first = reader.value()
    assert count > 64
    assert list(first[:3]) == [1, 127, 1]


def test_told_once_a_boot():
    """Nothing to tell is no message; what comes after it was told waits for the next boot."""
    region = new_region()
    made = Diary(Log(region), new_clock(), Boots)
    assert made.untold() is None
    made.refuse(codes.REASON_BARRED, D1)
    assert cbor.Reader(made.untold()).value() == [[7, 0, codes.REASON_BARRED, D1]]
    made.note_told()
    assert made.untold() is None
    assert Diary(Log(region), new_clock(), Boots).untold() is not None
