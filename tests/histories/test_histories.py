"""Whole histories of one device, generated: updates, cuts, replays, failures, rot. What must hold, holds after each step."""

import factory
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from life import Life

from pawl import codes

HOUR_S = 3600
DAY_S = 86400


class History(RuleBasedStateMachine):
    """Offers, cuts and lies in any order; `signed` are the releases that a threshold signed, by sequence number."""

    @initialize()
    def provision(self):
        self.life = Life()
        self.life.live(60)
        self.counter = 1
        self.signed = {}
        self.is_rotten = False
        self.recorded = []

    @rule(step=st.integers(1, 3), epoch=st.sampled_from((0, 0, 0, 1)), size=st.integers(1, 9000))
    def sign(self, step, epoch, size):
        """A new release, newer than all others; it is what the director wants."""
        self.counter = ((self.counter >> 32) + epoch << 32) + (self.counter & 0xFFFFFFFF) + step
        image = bytes([self.counter * 31 + n & 255 for n in range(size)])
        raw = factory.release(sequence=self.counter, version=(self.counter & 0xFFFF,), image=image)
        self.signed[self.counter] = self.life.remember(raw, image)
        self.life.publish(raw)

    @rule(data=st.data())
    def want_an_old_one(self, data):
        """The director, stolen, wants any release that was ever signed."""
        if self.signed:
            self.life.wanted = self.signed[data.draw(st.sampled_from(sorted(self.signed)))]

    @rule()
    def want_a_strangers(self):
        """A release signed by nobody who counts."""
        self.counter += 1
        self.life.publish(factory.release(sequence=self.counter, signers=(factory.STRANGER,)))

    @rule()
    def want_nothing(self):
        self.life.wanted = None

    @rule(is_healthy=st.booleans())
    def health(self, is_healthy):
        self.life.is_app_healthy = is_healthy

    @rule(after=st.integers(0, 60), seed=st.integers(0, 2**16), span=st.sampled_from((60, HOUR_S)))
    def cut(self, after, seed, span):
        """The power goes inside an operation, somewhere in the next hour."""
        self.life.flash.cut(after, seed)
        self.life.live(span)

    @rule(span=st.sampled_from((60, HOUR_S, DAY_S)))
    def live(self, span):
        self.life.live(span)

    @rule(slot=st.sampled_from("ab"), place=st.integers(0, 8000))
    def rot(self, slot, place):
        """A bit of an image flips at rest."""
        self.life.board.flip("image_" + slot, place)
        self.is_rotten = True

    @invariant()
    def something_runs(self):
        """Unless flash rotted, there is always a verified image that boots."""
        if not self.is_rotten and self.life.boots:
            assert self.life.runs is not None

    @rule()
    def settle(self):
        """With a healthy application, power and an honest director, the newest release is what ends up running."""
        life = self.life
        if not self.signed:
            return
        newest = max(self.signed)
        life.is_app_healthy = True
        life.wanted = self.signed[newest]
        life.live(2 * DAY_S)
        if life.accepted[0] <= newest and not self._has_failed(life.wanted):
            assert life.runs == life.wanted, "an honest update did not end"

    def _has_failed(self, digest):
        """A release that failed here waits for its next attempt."""
        return any(entry[0] == digest for entry in self.life.hello.failed)


History.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
test_histories = History.TestCase


def test_the_machine_reaches_installs_and_reverts():
    """What the histories are about happens in a plain one: an update, a revert, and the reasons for both."""
    life = Life()
    life.live(60)
    raw = factory.release(sequence=2, version=(2,), image=bytes(5000))
    wanted = life.remember(raw, bytes(5000))
    life.publish(raw)
    life.live(600)
    assert life.runs == wanted
    life.is_app_healthy = False
    bad = factory.release(sequence=3, version=(3,), image=bytes(6000))
    life.remember(bad, bytes(6000))
    life.publish(bad)
    life.live(3600)
    assert life.runs == wanted
    assert (codes.EVENT_REVERTED, codes.REASON_TRIALS) in life.reports()
