"""Those who sign and those who operate: what they do to one Life, as histories and the scripted one call it."""

import model
from witness import EPOCH

from pawl import codes, topics

HOUR_S, DAY_S = 3600, 86400
_BARRED_MAX = 16
_BOOT_SETS_MAX = 4
BAD_ANCHORS = ("junk", "large", "stranger", "former-root", "half", "gap", "replay")
_ANCHOR_REASONS = (
    codes.REASON_ANCHOR_INVALID,
    codes.REASON_ANCHOR_UNSIGNED,
    codes.REASON_ANCHOR_VERSION,
    codes.REASON_ANCHOR_FORK,
)


class Office:
    """The signers' and operators' side of a Life; keys are numbers that are never used twice."""

    def __init__(self, life):
        self.life = life
        self.low = 1
        self.next_key = 1000
        self.former_roots = []
        life.publish_anchors()

    def new_set(self, threshold, count):
        """Return a KeySet of new keys."""
        self.next_key += count
        return model.KeySet(threshold, tuple(range(self.next_key - count, self.next_key)))

    def release(self, kind, epoch_step=0, size=5000, **special):
        """Sign a release, newer than all others; return it.

        `special`: other `signers`; what a recovery `recovers` from; `lowers` for an older version, as only a recovery may have.
        """
        head = self.life.chain.head
        self.low += 1
        epoch = (self.life.witness.accepted.sequence >> EPOCH) + epoch_step
        is_recovery = kind == "recovery"
        signers = special.get("signers")
        if signers is None:
            signers = model.enough(head.recovery if is_recovery else head.release)
        version = (0, self.low) if is_recovery or special.get("lowers") else (self.low,)
        numbered = ((epoch << EPOCH) + self.low, version)
        return model.make(kind, numbered, signers, size, special.get("recovers", ()))

    def want(self, release):
        """Give a release to the director; return it."""
        self.life.want(release)
        self.life.events["signed"] += 1
        return release

    def refuses(self, release, reason):
        """Offer something for an hour: it is refused for the reason, told and counted."""
        life = self.life
        runs, before = life.runs, life.refused[reason]
        self.want(release)
        life.live(HOUR_S)
        assert life.has_told(codes.EVENT_REFUSED, reason)
        assert life.refused[reason] > before
        assert life.runs == runs

    def recovery(self, names_accepted, size=5000):
        """Sign a recovery from what R names, or from something that never was."""
        witness = self.life.witness
        image = witness.images[witness.accepted.digest] if names_accepted else b"never was"
        return self.want(self.release("recovery", size=size, recovers=(image,)))

    def step(self, **changes):
        """Sign and publish the next anchor."""
        self.life.chain.step(**changes)
        self.life.publish_anchors()
        self.life.events["anchors"] += 1

    def rotate_release(self, keeps, threshold):
        """Release keys are replaced; the old set goes on booting, or is dropped with all others."""
        head = self.life.chain.head
        boot = (head.release, *head.boot)[:_BOOT_SETS_MAX] if keeps else ()
        recovery_boot = (head.recovery, *head.recovery_boot)[:_BOOT_SETS_MAX] if keeps else ()
        self.step(
            release=self.new_set(threshold, threshold + 1),
            boot=boot,
            recovery=self.new_set(1, 1),
            recovery_boot=recovery_boot,
        )

    def rotate_root(self, threshold):
        """Root keys are replaced."""
        self.former_roots.append(self.life.chain.head.root)
        self.step(root=self.new_set(threshold, threshold + 1))

    def rotate_director(self):
        """The director's key is replaced; what it was offered under the old one is void."""
        self.life.director.former.append(self.life.director.key)
        self.step(directors=self.new_set(1, 1).keys)

    def bar(self, digest):
        """Bar a release; of too many the first barred is let go."""
        head = self.life.chain.head
        if digest not in head.barred:
            self.step(barred=(*head.barred, digest)[-_BARRED_MAX:])

    def forge_anchor(self, kind, number=0):
        """Put a document on the next anchor's topic that no device may follow; for an hour. Return whether it was judged.

        `number` says which of the former ones is replayed.
        """
        life = self.life
        raw = self._bad_anchor(kind, number)
        base = life.agent.loader.anchors.base if life.agent else None
        if raw is None or base is None or base.version != life.chain.head.version:
            return False
        life.broker.retained[topics.anchor(base.version + 1)] = raw
        before = self._anchor_refusals()
        cuts = life.flash.cuts
        life.live(HOUR_S)
        life.publish_anchors()
        life.events["forged anchor: " + kind] += 1
        if cuts == life.flash.cuts and kind != "large":
            assert self._anchor_refusals() > before, "a bad anchor was not counted"
        return True

    def _anchor_refusals(self):
        return sum(self.life.refused[reason] for reason in _ANCHOR_REASONS)

    def _bad_anchor(self, kind, number):
        """Return a document of this kind, or None if there can be none."""
        chain = self.life.chain
        head = chain.head
        stolen = model.KeySet(1, (106,))
        former = self.former_roots[-1] if self.former_roots else None
        made = {
            "junk": lambda: b"junk",
            "large": lambda: bytes(codes.ANCHOR_MAX_BYTES + 1),
            "stranger": lambda: model.file_of(chain.following(release=stolen), (106,)),
            "former-root": lambda: (
                former and model.file_of(chain.following(root=former, release=stolen), former.keys)
            ),
            "half": lambda: model.file_of(chain.following(root=stolen), head.root.keys),
            "gap": lambda: model.file_of(
                chain.following()._replace(version=head.version + 2), head.root.keys
            ),
            "replay": lambda: chain.files[1 + number % head.version],
        }
        return made[kind]()

    def replay(self, kind, number):
        """The director's answers are forgeries for an hour: each is counted, none is followed."""
        life = self.life
        director = life.director
        director.lie, director.number, director.told = kind, number, 0
        before, cuts = sum(life.refused.values()), life.flash.cuts
        life.live(HOUR_S)
        director.lie = None
        if director.told and cuts == life.flash.cuts:
            life.events["forged offer: " + kind] += 1
            assert sum(life.refused.values()) > before, "a forged offer was not counted"

    def make_honest(self):
        """Power, link, director, broker and application are honest from now on."""
        life = self.life
        life.flash.call_off()
        life.calm_until = life.now + 2 * DAY_S
        life.broker.cut_after = None
        life.is_app_healthy = True
        life.director.lie = None
        life.director.is_silent = False
        life.publish_anchors()
        if life.director.latest_s > life.chain.head.expiry:
            self.step(expiry=life.director.latest_s + model.EXPIRY)

    def settle(self, release):
        """In two honest days this release ends up running, confirmed and accepted."""
        life = self.life
        self.make_honest()
        life.want(release)
        life.live(2 * DAY_S)
        assert life.runs == release.digest, "an honest update did not end"
        assert life.witness.accepted.digest == release.digest, "an honest update was not confirmed"
        assert life.agent.loader.accepted.digest == release.digest
        assert life.agent.loader.anchor.version == life.chain.head.version, "the walk did not end"
        life.witness.rotten.discard("ratchet")
        life.read = (life.witness.accepted.sequence, life.chain.head.version)
        life.events["settled"] += 1

    def may_boot(self, release):
        """Return whether the newest anchor lets a confirmed release run."""
        return model.may_run(release, self.life.chain.head, was_confirmed=True)

    def is_installable(self, digest):
        """Return whether the model says that this release must install when all is honest."""
        life = self.life
        witness, terms, release = life.witness, life.chain.head, life.releases[digest]
        if witness.rotten & {"ratchet", "slot", "quarantine"}:
            return False
        accepted = witness.accepted
        if digest == accepted.digest:
            return model.may_run(release, terms, was_confirmed=True)
        epochs = (release.sequence >> EPOCH) - (accepted.sequence >> EPOCH)
        if not model.may_run(release, terms, was_confirmed=False) or release.sequence < accepted.sequence:
            return False
        if witness.failures.get(digest, 0) >= 3 or epochs > 1024:
            return False
        if release.is_recovery:
            return epochs == 0 and witness.images[accepted.digest] in release.recovers
        return release.version >= accepted.version
