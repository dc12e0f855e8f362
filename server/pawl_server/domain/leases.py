"""Who does which work: what a worker takes, keeps and gives back, decided from the rows of leases and workers. Pure.

A lease is its holder's until another one took it, late or not: the row decides, and the clock only says from when others
may take it. So a wrong clock costs time, and never lets two write.

    turn = choose(board, me, held, terms, now_s)
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from pawl.identity import PARTITIONS

ENGINE = "engine"
OUTBOX = "outbox"
# Empties the session that servers had before there were slices; done once in the life of a database.
FORMER_SESSION = "ingest-former"
SLICES = 8
PARTITIONS_EACH = PARTITIONS // SLICES
INGEST = tuple(f"ingest-{number}" for number in range(SLICES))
WORKS = (ENGINE, OUTBOX, FORMER_SESSION, *INGEST)
# Whose lease a finished work has: nobody's, for as long as the column can say.
NOBODY = ""
FOREVER_S = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who does a work, as a row says it; `number` rises whenever it goes to another process."""

    work: str
    worker: str
    number: int
    until_s: int

    def is_same(self, other: "Lease | None") -> bool:
        """Whether this is the lease that the other one was, however often it was renewed."""
        return other is not None and (self.worker, self.number) == (other.worker, other.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """For how long a lease is given; it is renewed when a third of that is over."""

    term_s: int

    def is_due(self, began_s: int, now_s: int) -> bool:
        """Whether what was said then has to be said again; a clock that was put back counts as late, too."""
        return not 0 <= now_s - began_s < max(1, self.term_s // 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What the database says: the leases by work, and when each worker was seen last."""

    leases: Mapping[str, Lease]
    seen_at_s: Mapping[str, int]

    def live(self, me: str, terms: Terms, now_s: int) -> int:
        """Return how many workers there are: this one, and whoever was seen within a term."""
        return 1 + sum(name != me and at_s > now_s - terms.term_s for name, at_s in self.seen_at_s.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a worker does now; `is_due` if it has to say again that it is there."""

    lost: tuple[str, ...] = ()
    take: tuple[str, ...] = ()
    give_back: tuple[str, ...] = ()
    is_due: bool = False

    @property
    def writes(self) -> bool:
        """Whether there is anything to write; what was lost is looked at in a transaction that writes, to see why."""
        return bool(self.lost or self.take or self.is_due)


def choose(board: Board, me: str, held: Mapping[str, Lease], terms: Terms, now_s: int) -> Turn:
    """Return what to take, to give back, and what is lost: at most a fair share of the slices, the rest if it is free."""
    kept = {work for work, lease in held.items() if lease.is_same(board.leases.get(work))}
    free = [work for work in WORKS if work not in kept and _is_free(board.leases.get(work), me, now_s)]
    share = -(-SLICES // board.live(me, terms, now_s))
    mine = [work for work in INGEST if work in kept]
    room = max(0, share - len(mine)) if is_finished(board.leases.get(FORMER_SESSION)) else 0
    return Turn(
        lost=tuple(work for work in held if work not in kept),
        take=(*_single(free), *[work for work in free if work in INGEST][:room]),
        give_back=tuple(mine[share:]),
        is_due=terms.is_due(board.seen_at_s.get(me, 0), now_s),
    )


def is_finished(lease: Lease | None) -> bool:
    """Whether a work is done for good."""
    return lease is not None and lease.worker == NOBODY and lease.until_s == FOREVER_S


def up_filters(number: int) -> list[str]:
    """Return the topic filters of a slice: all that devices of its partitions say."""
    first = number * PARTITIONS_EACH
    return [f"pawl/d/{partition}/+/up/#" for partition in range(first, first + PARTITIONS_EACH)]


def _is_free(lease: Lease | None, me: str, now_s: int) -> bool:
    """Whether a work may be taken; what another process of this name had may be: it was replaced."""
    return lease is None or lease.until_s <= now_s or lease.worker == me


def _single(free: Collection[str]) -> Iterator[str]:
    return (work for work in free if work not in INGEST)
