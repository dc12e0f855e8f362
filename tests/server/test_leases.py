"""Leases: who takes what, and that no two processes may write for one work, whatever clocks and kills do."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pawl import topics
from pawl.identity import PARTITIONS
from pawl_server.domain.leases import (
    ENGINE,
    FOREVER_S,
    FORMER_SESSION,
    INGEST,
    NOBODY,
    OUTBOX,
    SLICES,
    WORKS,
    Board,
    Lease,
    Terms,
    Turn,
    choose,
    up_filters,
)
from pawl_server.leasing import Leasing
from pawl_server.store import FencedError, LeaseLostError, Store

NOW_S = 1_800_000_000
TERMS = Terms(term_s=9)
FINISHED = Lease(work=FORMER_SESSION, worker=NOBODY, number=1, until_s=FOREVER_S)


def _lease(work, worker="main", number=1, until_s=NOW_S + 9):
    return Lease(work=work, worker=worker, number=number, until_s=until_s)


def _turn(leases, *, held=(), me="main", now_s=NOW_S, **seen):
    board = Board(leases={one.work: one for one in leases}, seen_at_s={me: now_s, **seen})
    return choose(board, me, {one.work: one for one in held}, TERMS, now_s)


def test_a_worker_alone_takes_everything_the_former_session_first():
    """No slice is heard before what the one session of before held has been."""
    assert _turn([]) == Turn(take=(ENGINE, OUTBOX, FORMER_SESSION))
    assert _turn([FINISHED]) == Turn(take=(ENGINE, OUTBOX, *INGEST))


def test_slices_are_shared_and_what_is_too_much_is_given_back():
    """At most ceil(8 / workers): who has more gives back, who has less takes what is free and nothing else."""
    mine = [FINISHED, *[_lease(work) for work in WORKS if work != FORMER_SESSION]]
    held = mine[1:]
    assert _turn(mine, held=held) == Turn()
    assert _turn(mine, held=held, w2=NOW_S).give_back == INGEST[4:]
    assert _turn(mine, held=held, w2=NOW_S, w3=NOW_S).give_back == INGEST[3:]
    given = [one for one in mine if one.work not in INGEST[4:]]
    assert _turn(given, me="w2", main=NOW_S).take == INGEST[4:]
    assert _turn([FINISHED], me="w2", main=NOW_S).take == (ENGINE, OUTBOX, *INGEST[:4])


def test_a_worker_that_was_not_seen_for_a_term_does_not_count():
    """Its share goes to the others; one that gave its leases back is gone at once."""
    mine = [FINISHED, *[_lease(work) for work in INGEST]]
    for seen_at_s, given in ((NOW_S - 8, 4), (NOW_S - 9, 0), (0, 0)):
        assert len(_turn(mine, held=mine[1:], w2=seen_at_s).give_back) == given


def test_a_restarted_worker_takes_over_what_its_name_had():
    """At once: the number of the process before is older, so that one writes nothing any more. Others wait for the term."""
    before = [FINISHED, *[_lease(work) for work in (ENGINE, OUTBOX, *INGEST)]]
    assert _turn(before).take == (ENGINE, OUTBOX, *INGEST)
    assert _turn(before, me="w2").take == ()
    assert _turn(before, me="w2", now_s=NOW_S + 9).take == (ENGINE, OUTBOX, *INGEST)


def test_a_lease_that_is_over_is_its_holders_until_another_one_took_it():
    """The holder renews it late; with another number or name in the row, it is lost."""
    late = _lease(ENGINE, until_s=NOW_S - 100)
    other = [_lease(ENGINE, worker="w2"), _lease(ENGINE, number=2)]
    assert _turn([FINISHED, late], held=[late]).lost == ()
    for row in other:
        assert _turn([FINISHED, row], held=[late]).lost == (ENGINE,)
    assert _turn([FINISHED], held=[late]).lost == (ENGINE,)


@pytest.mark.parametrize(("ago_s", "is_due"), [(0, False), (2, False), (3, True), (50, True), (-1, True)])
def test_leases_are_renewed_every_third_of_the_term(ago_s, is_due):
    """And when the clock was put back: else the leases would be over for those whose clock wasn't."""
    board = Board(leases={}, seen_at_s={"main": NOW_S - ago_s})
    assert choose(board, "main", {}, TERMS, NOW_S).is_due is is_due


def test_every_partition_is_in_one_slice():
    """All that a device may publish under its partition matches a filter of the slice, and of no other one."""
    filters = [one for number in range(SLICES) for one in up_filters(number)]
    wanted = [topics.up(partition, "+", "#") for partition in range(PARTITIONS)]
    assert filters == wanted


async def _idle(begun):
    begun()
    await asyncio.Event().wait()


async def _done(_begun):
    return


def _works():
    return {work: _done if work == FORMER_SESSION else _idle for work in WORKS}


class Process:
    """A worker's process: its store, its leases; what it may write is asked of the store."""

    def __init__(self, path, name, clock):
        self.name = name
        self.is_alive = True
        self.store = Store(path, clock=clock, worker=name)
        self.leasing = Leasing(self.store, name, _works(), clock, terms=TERMS)

    async def begin(self):
        """Start as the program does."""
        await self.store.open()
        await self.store.take_fence()
        await self.leasing.start()

    async def look(self):
        """Do a turn, or find out that it was replaced."""
        try:
            await self.leasing.look()
        except FencedError:
            self.is_alive = False

    async def may_write(self, work):
        """Return whether a transaction of this work passes, under the lease that the process believes to have."""
        lease = self.leasing.held.get(work)
        if lease is None:
            return False
        try:
            with self.store.under(lease):
                async with self.store.writing():
                    return True
        except FencedError:
            return False

    async def end(self):
        """End without a word, as a kill does."""
        self.is_alive = False
        for one in self.leasing._running.values():
            one.task.cancel()
        await asyncio.gather(*[one.task for one in self.leasing._running.values()], return_exceptions=True)
        await self.store.close()


NAMES = ("main", "w2", "w3")


class LeaseMachine(RuleBasedStateMachine):
    """Processes start, look, sleep, die and come back; time passes between."""

    def __init__(self):
        super().__init__()
        self.now_s = self.latest_s = NOW_S
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.processes = []

    def _clock(self):
        return self.now_s

    @precondition(lambda self: len(self.processes) < 6)
    @rule(name=st.sampled_from(NAMES))
    def start(self, name):
        """Start a process; one of the same name may still be there, paused."""
        process = Process(Path(self.folder.name) / "pawl.sqlite", name, self._clock)
        self.processes.append(process)
        self.runner.run(process.begin())

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def look(self, data):
        """Let a process do a turn, however long it slept."""
        process = data.draw(st.sampled_from(self.processes))
        self.runner.run(process.look())

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def kill(self, data):
        """End a process."""
        process = data.draw(st.sampled_from(self.processes))
        self.processes.remove(process)
        self.runner.run(process.end())

    @rule(seconds=st.sampled_from((-20, 1, 2, 4, 8, 9, 30)))
    def pass_time(self, seconds):
        """Move the clock, back too."""
        self.now_s += seconds
        self.latest_s = max(self.latest_s, self.now_s)

    @invariant()
    def at_most_one_writes(self):
        """Whatever processes believe, of one work at most one passes the fence."""
        for work in (ENGINE, INGEST[0], INGEST[3], INGEST[7]):
            passed = [self.runner.run(process.may_write(work)) for process in self.processes]
            assert sum(passed) <= 1, (work, passed)

    def teardown(self):
        """After a term, those that are left do all that there is, each slice once, nobody more than a share."""
        try:
            self._all_is_done()
        finally:
            for process in self.processes:
                self.runner.run(process.end())
            self.runner.close()
            self.folder.cleanup()

    def _all_is_done(self):
        # A clock that was put back makes leases last longer by as much.
        self.now_s = self.latest_s + TERMS.term_s
        for _ in range(5):
            for process in self.processes:
                if process.is_alive:
                    self.runner.run(process.look())
                    self.runner.run(asyncio.sleep(0.02))
        alive = [process for process in self.processes if process.is_alive]
        if not alive:
            return
        for work in (ENGINE, OUTBOX, *INGEST):
            assert sum(self.runner.run(process.may_write(work)) for process in alive) == 1, work
        share = -(-SLICES // len(alive))
        for process in alive:
            assert len(process.leasing.held.keys() & set(INGEST)) <= share


TestLeaseMachine = LeaseMachine.TestCase
TestLeaseMachine.settings = settings(
    max_examples=15,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_a_process_that_lost_its_lease_is_refused_and_told(tmp_path):
    """In its own transaction, before anything is read; what it writes without a lease still passes."""

    async def scenario():
        now_s = NOW_S
        first, second = (Process(tmp_path / "pawl.sqlite", name, lambda: now_s) for name in ("main", "w2"))
        await first.begin()
        now_s += TERMS.term_s
        await second.begin()
        lease = first.leasing.held[ENGINE]
        with first.store.under(lease), pytest.raises(LeaseLostError, match=r"engine isn't main's \(1\)"):
            async with first.store.writing():
                raise AssertionError
        assert first.store.lost.is_set() and not first.store.fenced.is_set()
        async with first.store.writing():
            pass
        await first.look()
        assert not first.leasing.held.keys() & {ENGINE, OUTBOX}
        await first.end()
        await second.end()

    asyncio.run(scenario())


def test_a_worker_that_stops_leaves_its_works_to_the_next_one(tmp_path):
    """Without waiting for the term."""

    async def scenario():
        first, second = (Process(tmp_path / "pawl.sqlite", name, lambda: NOW_S) for name in ("main", "w2"))
        await first.begin()
        await second.begin()
        assert not second.leasing.held
        await first.leasing.stop()
        await second.look()
        assert second.leasing.held.keys() == {ENGINE, OUTBOX, *INGEST}
        await first.end()
        await second.end()

    asyncio.run(scenario())


def test_a_work_that_fails_begins_again_and_one_that_can_not_begin_is_said_at_start(tmp_path):
    """The lease is kept meanwhile; the first fault of a start is raised."""

    async def scenario():
        tries, again = [], asyncio.Event()

        async def fails_once(begun):
            tries.append(1)
            if len(tries) == 1:
                raise OSError("no way to the broker")
            again.set()
            await _idle(begun)

        store = Store(tmp_path / "pawl.sqlite", clock=lambda: NOW_S)
        await store.open()
        await store.take_fence()
        works = {**_works(), INGEST[2]: fails_once}
        leasing = Leasing(store, "main", works, lambda: NOW_S, terms=TERMS)
        with pytest.raises(OSError, match="no way"):
            await leasing.start()
        async with asyncio.timeout(10):
            await again.wait()
        assert leasing.held[INGEST[2]].number == 1
        await leasing.stop()
        await store.close()

    asyncio.run(scenario())
