"""Whole histories of one device, generated: signing, rotation, lies, cuts, failures, rot. What must hold, holds after each step.

PAWL_HISTORIES=2000 pytest tests/histories      # examples in place of the short run's; prints what they reached
"""

import os
import random
import sys
from collections import Counter

from board import REGIONS
from director import FORGERIES, LIES
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from life import Life
from office import BAD_ANCHORS, DAY_S, HOUR_S, Office

EXAMPLES = int(os.environ.get("PAWL_HISTORIES", "40"))
SPANS = st.sampled_from((60, HOUR_S, DAY_S))
SIZES = st.integers(1, 9000)
TORN = [None, *[name for name in sorted(REGIONS) if not name.startswith("identity")]]
ROTTING = [name for name in sorted(REGIONS) if not name.startswith("identity")]
reached = Counter()


class History(RuleBasedStateMachine):
    """Any order of what signers, operators, thieves and the weather do."""

    @initialize(is_stormy=st.booleans(), seed=st.integers(0, 2**16))
    def provision(self, is_stormy, seed):
        self.life = Life()
        self.office = Office(self.life)
        self.life.live(60)
        if is_stormy:
            self.life.storm = random.Random(seed)
        self.repaired = None  # the same one twice in a row takes long and shows nothing new

    def teardown(self):
        if not hasattr(self, "life"):
            return
        reached.update(self.life.events)
        reached.update(self.life.witness.events)
        reached.update({"examples": 1, "boots": self.life.boots, "cuts": self.life.flash.cuts})
        reached["refused"] += sum(self.life.refused.values())
        reached["virtual days"] += int(self.life.now / DAY_S)

    def _any(self, data, digests):
        return data.draw(st.sampled_from(list(digests)))

    @rule(
        kind=st.sampled_from(("plain", "data", "bound")),
        epoch=st.sampled_from((0, 0, 0, 0, 1, 1025)),
        size=SIZES,
        lowers=st.sampled_from((False, False, False, True)),
    )
    def sign(self, kind, epoch, size, lowers):
        self.office.want(self.office.release(kind, epoch, size, lowers=lowers))

    @rule(
        kind=st.sampled_from(("plain", "data", "bound")),
        size=SIZES,
        after=st.integers(0, 90),
        seed=st.integers(0, 99),
    )
    def sign_and_install(self, kind, size, after, seed):
        """An update in which the power goes once, somewhere or just not."""
        self.office.want(self.office.release(kind, 0, size))
        self.life.flash.cut(after, seed)
        self.life.live(HOUR_S)
        self.life.flash.call_off()

    @rule(names_accepted=st.booleans(), size=SIZES)
    def sign_a_recovery(self, names_accepted, size):
        self.office.recovery(names_accepted, size)

    @rule(by=st.sampled_from(("stranger", "director", "recovery", "former", "nearly")))
    def sign_without_right(self, by):
        """By nobody who counts, by other roles, by a former set, or by one signer too few."""
        head = self.life.chain.head
        signers = {
            "stranger": (106,),
            "director": head.directors + head.root.keys,
            "recovery": head.recovery.keys,
            "former": head.boot[0].keys if head.boot else (102,),
            "nearly": head.release.keys[: head.release.threshold - 1],
        }
        self.office.want(self.office.release("plain", signers=signers[by]))
        self.life.live(HOUR_S)

    @rule(data=st.data())
    def want_any(self, data):
        """The director, stolen, wants any release that was ever signed."""
        self.life.director.wanted = self._any(data, self.life.releases)
        self.life.live(HOUR_S)

    @rule(lie=st.sampled_from(LIES), number=st.integers(0, 4), span=SPANS)
    def lie(self, lie, number, span):
        director = self.life.director
        director.lie, director.number = lie, number
        self.life.live(span)
        director.lie = None
        self.life.events["lie: " + lie] += 1

    @rule(kind=st.sampled_from(FORGERIES), number=st.integers(0, 1000))
    def forge_offers(self, kind, number):
        if kind != "former-key" or self.life.director.former:
            self.office.replay(kind, number)

    @rule(kind=st.sampled_from(BAD_ANCHORS), number=st.integers(0, 100))
    def forge_anchor(self, kind, number):
        self.office.forge_anchor(kind, number)

    @rule(keeps=st.sampled_from((True, True, False)), threshold=st.integers(1, 2))
    def rotate_release(self, keeps, threshold):
        self.office.rotate_release(keeps, threshold)

    @rule(threshold=st.integers(1, 2))
    def rotate_root(self, threshold):
        self.office.rotate_root(threshold)

    @rule()
    def rotate_director(self):
        self.office.rotate_director()

    @rule(which=st.sampled_from(("accepted", "wanted", "running", "any")), data=st.data())
    def bar(self, which, data):
        life = self.life
        found = {
            "accepted": life.witness.accepted.digest,
            "wanted": life.director.wanted,
            "running": life.runs,
        }.get(which)
        self.office.bar(found or self._any(data, life.releases))

    @rule(is_silent=st.booleans(), is_healthy=st.booleans())
    def moods(self, is_silent, is_healthy):
        """A director that answers nothing; an application that is not well."""
        self.life.director.is_silent = is_silent
        self.life.is_app_healthy = is_healthy

    @rule(
        after=st.integers(0, 60),
        seed=st.integers(0, 2**16),
        region=st.sampled_from(TORN),
        count=st.integers(1, 3),
        work=st.sampled_from(("plain", "data", "anchor", "recovery", "rest")),
    )
    def cut(self, after, seed, region, count, work):
        """The power goes inside operations, anywhere or in one region, while there is something to do."""
        for turn in range(count):
            span = None if region is None else REGIONS[region]
            self.life.flash.cut(after % 4 if region else after, seed + turn, span)
        self._work(work)
        self.life.live(HOUR_S)
        self.life.flash.call_off()

    def _work(self, work):
        if work == "anchor":
            self.office.step()
        elif work == "recovery":
            self.office.recovery(names_accepted=True)
        elif work != "rest":
            self.office.want(self.office.release(work))

    @rule(fetches=st.integers(0, 8), work=st.sampled_from(("plain", "data", "anchor", "recovery")))
    def lose_link(self, fetches, work):
        self.life.broker.cut_after = fetches + 1
        self._work(work)
        self.life.live(HOUR_S)

    @rule(kind=st.sampled_from(("plain", "data", "bound")), span=SPANS)
    def fail(self, kind, span):
        """A release that doesn't do well."""
        self.office.want(self.office.release(kind))
        self.life.is_app_healthy = False
        self.life.live(span)
        self.life.is_app_healthy = True

    @rule(seed=st.integers(0, 2**16))
    def storm(self, seed):
        """From now on the power goes in every other boot, but for days that have to be honest."""
        self.life.storm = random.Random(seed)

    @rule(span=SPANS)
    def live(self, span):
        self.life.live(span)

    @rule(region=st.sampled_from(ROTTING), place=st.integers(0, 16383), bit=st.integers(0, 7))
    def rot(self, region, place, bit):
        """A bit flips at rest."""
        self.life.rot(region, place, bit)

    @rule()
    def rot_anchors(self):
        """Both copies of the anchor are unreadable."""
        for region in ("anchor_a", "anchor_b"):
            self.life.rot(region, 60)

    @rule()
    def repair(self):
        """What the accepted release holds rots; the director offers it again."""
        life = self.life
        accepted = life.witness.accepted
        if "ratchet" in life.witness.rotten or self.repaired == accepted.digest:
            return
        self.repaired = accepted.digest
        life.rot("image_" + "ab"[life.witness.confirmed[accepted.digest]], 0)
        self.office.make_honest()
        life.director.wanted = accepted.digest
        life.live(2 * DAY_S)
        if self.office.may_boot(accepted):
            assert life.runs == accepted.digest, "a repair did not end"
            life.events["repaired"] += 1

    @rule()
    def settle(self):
        """A new release ends up running, whatever was before: no rule deadlocks."""
        self.office.settle(self.office.release("plain"))

    @rule(data=st.data())
    def settle_any(self, data):
        """One that was signed before, if the model says that it must install."""
        digest = self._any(data, self.life.releases)
        if self.office.is_installable(digest):
            self.office.settle(self.life.releases[digest])
            self.life.events["settled on a former one"] += 1


History.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


class TestHistories(History.TestCase):
    """The machine; says what its histories reached."""

    @classmethod
    def tearDownClass(cls):
        if "PAWL_HISTORIES" in os.environ:
            sys.stderr.write("".join(f"\n{count:9} {name}" for name, count in sorted(reached.items())) + "\n")
