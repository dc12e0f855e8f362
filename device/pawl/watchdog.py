"""The health check, and the watchdog that nothing else feeds: the agent goes on, the application too, its checks say True.

    watchdog = Watchdog(port)       port: feed, log, ticks; until the first check, at boot, it may be fed freely
    watchdog.feed()                 within a long computation; does nothing while the newest check failed
    watchdog.check()                every second: feeds if all is well; the same check confirms a trial

Never resets anything: whoever isn't well isn't fed.
"""

from pawl import health
from pawl.compat import const

# The longest wait of a healthy agent is an hour, for an offer.
AGENT_STILL_MAX_MS = const(7200000)


class Watchdog:
    """`application` says in words what keeps the application from being well, or None; `fault` is the newest verdict."""

    def __init__(self, port):
        self.port = port
        self.application = None
        self.fault = None
        self._turned_ms = port.ticks_ms()

    def feed(self):
        """Feed, unless the newest check failed: what computes for long can't keep a sick device from its reset."""
        if self.fault is None:
            self.port.feed()

    def check(self):
        """Ask for everything; feed, and return True, if all is well."""
        found = self._agent_fault() or self.application or health.fault()
        if found != self.fault:
            self.port.log("unhealthy: " + found if found else "healthy again")
            self.fault = found
        self.feed()
        return found is None

    def _agent_fault(self):
        now_ms = self.port.ticks_ms()
        if health.take_turn():
            self._turned_ms = now_ms
        if self.port.ticks_diff(now_ms, self._turned_ms) > AGENT_STILL_MAX_MS:
            return "the agent stands still"
        return None
