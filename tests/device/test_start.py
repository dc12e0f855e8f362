"""When a job may begin: the offer's delay, and the backoff of a download that gets nowhere."""

from support import new_clock

from pawl.start import Start

D1, D2 = b"\x01" * 32, b"\x02" * 32


class Offer:
    """An offer, as far as a start asks."""

    def __init__(self, digest, delay_s=None):
        self.digest = digest
        self.delay_s = delay_s


class Offers:
    """An accepted offer."""

    is_job_open = True

    def __init__(self, offer):
        self.current = offer

    def is_answered(self):
        """Yes."""
        return True


def test_t45_backoff_doubles_to_once_a_day():
    """4 s, 8 s, ... 86400 s; never more."""
    start = Start(new_clock())
    waits = []
    for _ in range(18):
        start.lose(D1, False)
        waits.append(start.left_s(Offers(Offer(D1))))
    assert waits[:4] == [4, 8, 16, 32]
    assert waits[-3:] == [86400] * 3
    assert start.is_backing_off()
    start.clock.port.now_ms += 86400 * 1000
    assert start.left_s(Offers(Offer(D1))) == 0
    assert not start.is_backing_off()


def test_progress_or_another_release_ends_it():
    """A new block, or an offer of something else."""
    start = Start(new_clock())
    for _ in range(5):
        start.lose(D1, False)
    assert start.left_s(Offers(Offer(D2))) == 0
    start.lose(D1, True)
    assert start.left_s(Offers(Offer(D1))) == 0
    start.lose(D1, False)
    assert start.left_s(Offers(Offer(D1))) == 4


def test_the_longer_of_delay_and_backoff():
    """And a delay of more than a day is a day."""
    start = Start(new_clock())
    start.accept(Offer(D1, 60))
    start.lose(D1, False)
    assert start.left_s(Offers(Offer(D1, 60))) == 60
    start.accept(Offer(D1, 1 << 40))
    assert start.left_s(Offers(Offer(D1))) == 86400


def test_t45_a_new_connection_does_not_end_the_delay():
    """A broker that restarts must not make a whole fleet begin at once: the delay of the last offer stands."""
    start = Start(new_clock())
    start.accept(Offer(D1, 60))
    offers = Offers(Offer(D1, 60))
    offers.is_answered = lambda: False
    assert start.left_s(offers) == 60
    start.clock.port.now_ms += 60000
    assert start.left_s(offers) == 0
