"""What the watchdog's food and a confirmation hang on: the agent goes on, the application too, its checks say True."""

import asyncio

from pawl import health
from pawl.application import Application
from pawl.watchdog import AGENT_STILL_MAX_MS, Watchdog
from support import Ticks


class ResetError(Exception):
    """The port was told to reset."""


class Port(Ticks):
    """A port that counts what the watchdog is fed."""

    def __init__(self):
        super().__init__()
        self.fed = 0
        self.lines = []

    def feed(self):
        """Count."""
        self.fed += 1

    def log(self, text):
        """Keep the line."""
        self.lines.append(text)

    def print_exception(self, error):
        """Keep what was raised."""
        self.lines.append(repr(error))

    def reset(self):
        """End the run."""
        raise ResetError


class Still:
    """An agent that waits; or the application's module, whose coroutine `main` waits."""

    async def run(self):
        """Wait."""
        await asyncio.sleep(100)

    async def main(self):
        """Wait."""
        await asyncio.sleep(100)


class Ending:
    """A module whose `main()` returns."""

    async def main(self):
        """Do nothing."""


class ImportOnly:
    """A module without `main()`."""


class Counter:
    """No boot did well yet."""

    is_well = False

    def note_well(self):
        """Take it."""
        self.is_well = True


def new_watchdog(*checks):
    """Return a watchdog, with no other checks of the application than these."""
    health._health.checks.clear()
    health.take_turn()
    for check in checks:
        health.require(check)
    return Watchdog(Port())


def verdict(*checks):
    """Return (is fed, what is wrong) with these checks."""
    watchdog = new_watchdog(*checks)
    is_well = watchdog.check()
    assert is_well == (watchdog.port.fed == 1)
    health._health.checks.clear()
    return is_well, watchdog.fault


def live(watchdog, module, seconds, load=None):
    """Run an application beside an agent that waits, for so long; return whether it ended by a reset."""
    application = Application(watchdog.port, watchdog, load or (lambda: module))

    async def bounded():
        await asyncio.wait_for(application.run_beside(Still(), Counter()), seconds)

    try:
        asyncio.run(bounded())
    except asyncio.TimeoutError:
        return False
    except ResetError:
        return True
    return False


def yes():
    """All is well."""
    return True


def no():
    """It isn't."""
    return False


def nothing():
    """Forget to return."""


def one():
    """Return what is only as good as True."""
    return 1


def broken():
    """Raise."""
    raise OSError(5)


async def later():
    """Return an object, as any coroutine function does."""
    return True


def test_all_that_is_required_is_asked():
    """Without a check all is well; with several, every one must say so."""
    assert verdict() == (True, None)
    assert verdict(yes, yes) == (True, None)
    assert verdict(yes, no)[0] is False
    assert verdict(no, yes)[0] is False


def test_only_true_is_well():
    """False, nothing at all, what is merely true, and what raises: none is fed, and each is named."""
    assert verdict(no)[1] == "check no returned bool, not True"
    assert verdict(nothing)[1] == "check nothing returned NoneType, not True"
    assert verdict(one)[1] == "check one returned int, not True"
    assert verdict(broken)[1].startswith("check broken raised OSError(5")


def test_a_coroutine_function_is_no_check():
    """Its result is an object, which would be as good as true for ever."""
    made = []

    def check():
        made.append(later())
        return made[-1]

    is_well, fault = verdict(check)
    assert not is_well
    assert fault.startswith("check check returned ")
    made[0].close()


def test_what_is_no_function_is_refused_at_once():
    """Not in a trial weeks later."""
    try:
        health.require(True)
    except TypeError as error:
        assert "function" in str(error)
    else:
        raise AssertionError("it was taken")
    assert health.fault() is None


def test_a_check_is_asked_each_time():
    """It may fail, and be well again; each change is told once."""
    answers = [True, False, False, True]
    watchdog = new_watchdog(lambda: answers.pop(0))
    assert [watchdog.check() for _ in range(4)] == [True, False, False, True]
    assert watchdog.port.fed == 2
    assert len(watchdog.port.lines) == 2
    assert watchdog.port.lines[1] == "healthy again"
    health._health.checks.clear()


def test_a_long_computation_keeps_no_sick_device_alive():
    """Signature checks feed at boot and while all is well; whoever has a device check many can't hold off its reset."""
    watchdog = new_watchdog(no)
    watchdog.feed()
    assert watchdog.port.fed == 1
    watchdog.check()
    for _ in range(100):
        watchdog.feed()
    assert watchdog.port.fed == 1
    health._health.checks.clear()
    assert watchdog.check()
    watchdog.feed()
    assert watchdog.port.fed == 3


def test_an_agent_that_stands_still_is_not_fed():
    """Two hours without a turn; the longest wait of a healthy one is an hour."""
    watchdog = new_watchdog()
    watchdog.port.now_ms = AGENT_STILL_MAX_MS
    assert watchdog.check()
    health.note_turn()
    watchdog.port.now_ms += AGENT_STILL_MAX_MS
    assert watchdog.check()
    watchdog.port.now_ms += AGENT_STILL_MAX_MS
    assert watchdog.check()
    watchdog.port.now_ms += 1
    assert not watchdog.check()
    assert watchdog.fault == "the agent stands still"


def test_an_application_is_well_once_it_started():
    """Before its import is over it isn't; the agent alone needs none."""
    watchdog = new_watchdog()
    Application(watchdog.port, watchdog, None)
    assert watchdog.check()
    Application(watchdog.port, watchdog, ImportOnly)
    assert not watchdog.check()
    assert watchdog.fault == "the application hasn't started"


def test_an_application_without_main_is_well():
    """What its import left running is its own affair, and its checks'."""
    watchdog = new_watchdog()
    assert not live(watchdog, ImportOnly(), 0.05)
    assert watchdog.check()


def test_an_application_that_goes_on_is_well():
    """Its `main()` runs."""
    watchdog = new_watchdog()
    assert not live(watchdog, Still(), 0.05)
    assert watchdog.check()


def test_an_application_that_returns_is_not_well():
    """A loop that was left by mistake looks like that."""
    watchdog = new_watchdog()
    assert not live(watchdog, Ending(), 0.05)
    assert not watchdog.check()
    assert watchdog.fault == "the application's main() returned"


def test_a_crash_resets_at_once():
    """It is told, with what was raised; no check is waited for."""
    watchdog = new_watchdog()
    assert live(watchdog, None, 5, load=broken)
    assert watchdog.port.lines[0] == "application crashed"
    assert watchdog.port.lines[1].startswith("OSError(5")


def test_a_check_required_at_import_counts_before_main():
    """An application may ask for it in the first line of its module."""

    def load():
        health.require(no)
        return Still()

    watchdog = new_watchdog()
    live(watchdog, None, 0.05, load=load)
    assert not watchdog.check()
    health._health.checks.clear()
