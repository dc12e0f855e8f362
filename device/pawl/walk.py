"""The root walk: which anchor topic is followed, what a document does, and what follows for offers and slots.

Needs no offer, no time and no valid expiry. What breaks a rule is counted and ignored; after one such document no other
is looked at before the next check-in, so a broker that repeats junk costs one judgement an hour, not a battery.
"""

from pawl import topics
from pawl.compat import const
from pawl.errors import StorageError, TrustError

STEPS_MAX = const(64)  # of one connection


class AnchorTakenError(Exception):
    """A job was interrupted by a new anchor: it begins again, judged by that one, and finds what it has downloaded."""


class Walk:
    """Takes anchor documents for `loader.anchors`; `count(reason)` is told what was refused."""

    def __init__(self, loader, offers, count):
        self.loader = loader
        self.offers = offers
        self.count = count
        self.is_news = False  # a step was taken that no report has told
        self.is_behind = False  # an offer named a newer anchor
        self.must_ask = False  # the director should answer to the new anchor before the next check-in is due
        self._steps = 0
        self._is_open = True

    def connected(self):
        """A new connection has its own number of steps."""
        self._steps = 0
        self._is_open = True

    def check_in(self):
        """Listen again after a document that was refused."""
        self._is_open = True

    def topic(self):
        """Return the topic of the next version, or None while nothing is listened to."""
        base = self.loader.anchors.base
        if base is None or not self._is_open or self._steps >= STEPS_MAX:
            return None
        return topics.anchor(base.version + 1)

    def take(self, file):
        """Judge a document of `topic()`; return whether it is the anchor to go on from now, kept in flash.

        While nothing is listened to it is dropped unread.
        """
        if self.topic() is None:
            return False
        self._steps += 1
        try:
            self.loader.anchors.accept(file)
        except (TrustError, StorageError) as error:
            self._is_open = False
            self.count(error.code)
            return False
        self.is_news = True
        return True

    def _adopt(self):
        """Judge slots and the current offer by the anchor that the walk ended at.

        What runs goes on running, also if it would not boot any more: then, as without an offer, there is a reason to ask.
        """
        had_offer = self.offers.current is not None
        self.offers.adopt(self.loader.anchor)
        self.loader.judge()
        has_lost_offer = had_offer and self.offers.current is None
        if self.is_behind or has_lost_offer or not self.loader.has_bootable():
            self.must_ask = True
        self.is_behind = False

    async def follow(self, session):
        """Go on as long as documents come; return whether a step was taken. Nothing of an offer is looked at."""
        has_stepped = False
        try:
            while True:
                if session.anchor is not None:
                    has_stepped = self.take(session.take_anchor()) or has_stepped
                topic = self.topic()
                if session.anchor is None and topic == session.anchor_topic:
                    return has_stepped
                await session.follow_anchor(topic)
        finally:
            if has_stepped:
                self._adopt()

    def interrupt(self, session):
        """Take a document that came in the middle of a job; raises AnchorTakenError if it is the anchor now."""
        if session is None or session.anchor is None or not self.take(session.take_anchor()):
            return
        self._adopt()
        raise AnchorTakenError

    async def read(self, session):
        """Walk over an anchor session, which is opened and closed here; a link that ends is the end of it."""
        self.connected()
        has_stepped = False
        try:
            await session.open()
            while (topic := self.topic()) is not None:
                file = await session.read(topic)
                if file is None or not self.take(file):
                    break
                has_stepped = True
        finally:
            session.close()
            if has_stepped:
                self._adopt()
