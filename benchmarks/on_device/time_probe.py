"""Stands for `pawl.ports.unix.main`: tells where the time of an update went.

At any moment one bucket is charged: the innermost wrapped call's, else `interpreter`. So the buckets add up to the time
that passed, and nothing is counted twice.
"""

import time

_BASE = "interpreter"


class Stopwatch:
    """Charges time to the bucket that was entered last; `spent` has microseconds."""

    def __init__(self):
        self._stack = [_BASE]
        self.restart()

    def restart(self):
        """Forget what was spent; calls that are under way go on."""
        self.spent = {}
        self._since = time.ticks_us()

    def _charge(self):
        now = time.ticks_us()
        bucket = self._stack[-1]
        self.spent[bucket] = self.spent.get(bucket, 0) + time.ticks_diff(now, self._since)
        self._since = now

    def enter(self, bucket):
        """Charge this bucket from now on."""
        self._charge()
        self._stack.append(bucket)

    def leave(self):
        """Charge the one before again."""
        self._charge()
        self._stack.pop()

    def call(self, bucket, function):
        """Return the function, its time charged to a bucket."""

        def timed(*arguments):
            self.enter(bucket)
            try:
                return function(*arguments)
            finally:
                self.leave()

        return timed

    def steps(self, bucket, function):
        """Return the coroutine function, the time of its steps, not of what it waits for, charged to a bucket."""

        def timed(*arguments):
            coroutine = function(*arguments)
            while True:
                self.enter(bucket)
                try:
                    waits_for = coroutine.send(None)
                except StopIteration as end:
                    return end.value
                finally:
                    self.leave()
                yield waits_for

        return timed

    def tell(self):
        """Print `bench: spent <bucket> <microseconds>` for each."""
        self._charge()
        for bucket in sorted(self.spent):
            print("bench: spent", bucket, self.spent[bucket])


def run(flash_path, mapped, watchdog):
    """Boot as the shipped module does, with every part wrapped."""
    watch = Stopwatch()
    _wrap_primitives(watch)
    _wrap_flash(watch)
    _wrap_link(watch)
    _tell_at_states(watch)
    from pawl.ports.unix import shipped

    _wrap_waiting(watch)
    shipped.run(flash_path, mapped, watchdog)


def _wrap_methods(wrap, bucket, owner, names):
    for name in names:
        setattr(owner, name, wrap(bucket, getattr(owner, name)))


def _wrap_primitives(watch):
    """Before any other module takes them by name."""
    from pawl import compat

    compat.sha256 = watch.call("hash", compat.sha256)
    compat.inflate = watch.call("inflate", compat.inflate)
    from pawl import p256

    _wrap_methods(watch.call, "signature", p256, ("verify", "sign", "decompress"))


def _wrap_flash(watch):
    from pawl import flash, slots

    _wrap_methods(watch.call, "flash", flash.Region, ("program", "erase", "is_erased"))
    _wrap_methods(watch.call, "flash", slots.Slot, ("write_block",))


def _wrap_link(watch):
    """TLS runs inside of reads and writes."""
    from asyncio.stream import Stream
    from pawl.ports import tls

    tls.context = watch.call("tls", tls.context)
    tls._greet = watch.steps("tls", tls._greet)
    _wrap_methods(watch.call, "tls", Stream, ("write",))
    _wrap_methods(watch.steps, "tls", Stream, ("readinto", "drain"))


def _wrap_waiting(watch):
    """While the agent watches the application run for a moment, nothing is waited for but the time."""
    from asyncio import core
    from pawl.application import Application

    wait = core.IOQueue.wait_io_event
    check_health = Application.check_health
    bucket = ["waiting"]

    def timed_wait(self, most_ms):
        watch.enter(bucket[0])
        wait(self, most_ms)
        watch.leave()

    async def told(self):
        bucket[0] = "trial"
        is_healthy = await check_health(self)
        bucket[0] = "waiting"
        return is_healthy

    core.IOQueue.wait_io_event = timed_wait
    Application.check_health = told


def _tell_at_states(watch):
    """An update begins with DOWNLOAD, is cut in two by REBOOT, and ends where CONFIRM hands on to CLEANUP."""
    from pawl.ports.unix.port import Port

    log = Port.log

    def told(self, text):
        log(self, text)
        if text == "state DOWNLOAD":
            watch.restart()
        elif text in ("state REBOOT", "state CLEANUP"):
            watch.tell()

    Port.log = told
