"""Anchors that a broker hands out, taken by the whole agent: T05, T18, T20, T21, T33."""

import factory
import pytest
from target import DAY_S, Target
from test_roots import FORK_ROOT, NEW_ROOT, forked, values, walked

from pawl import codes, topics

UNSIGNED = codes.REASON_ANCHOR_UNSIGNED
VERSION = codes.REASON_ANCHOR_VERSION


def rotated(version=2):
    """Return a device that has walked to a version whose root is another key, and that root's anchor values."""
    target = Target()
    target.take_anchor(factory.anchor_file(values(2, NEW_ROOT), (factory.ROOT, NEW_ROOT)))
    for number in range(3, version + 1):
        target.take_anchor(factory.anchor_file(values(number, NEW_ROOT), (NEW_ROOT,)))
    target.run()
    target.broker.up.clear()
    assert target.snapshot().anchor[0] == version
    return target


def require_refused(row, target, version, file, reason):
    """Assert that a document under the topic of a version is refused, that nothing moves, and that updates go on."""
    before = target.snapshot()
    topic = topics.anchor(version)
    target.broker.retained[topic] = file
    row.refused(target.refusal(), reason)
    row.unchanged(before, target.snapshot())


def require_update(target, sequence=2):
    """Assert that what was refused doesn't stand in the way of a release."""
    target.publish(factory.release(sequence=sequence, version=(sequence,)))
    assert target.installs()


def test_t21_a_walk_signed_by_one_side_only(attack):
    """Over `pawl/k/2`: signed by the old root only, by the new one only, by other roles, by nobody known."""
    row = attack("T21", "root rollover over the broker: old only, new only, other roles")
    others = (factory.RELEASE, factory.DIRECTOR, factory.STRANGER)
    for signers in ((factory.ROOT,), (NEW_ROOT,), others, (NEW_ROOT, *others)):
        target = Target()
        require_refused(row, target, 2, factory.anchor_file(values(root=NEW_ROOT), signers), UNSIGNED)
        require_update(target)


def two_roots(version):
    """Return anchor values with a root of 2 of 2."""
    found = values(version)
    found[codes.ANCHOR_KEYS] = [factory.ROOT.encoded(), NEW_ROOT.encoded(), *found[codes.ANCHOR_KEYS][1:]]
    found[codes.ANCHOR_ROOT] = [2, [0, 1]]
    found[codes.ANCHOR_DIRECTOR] = [2]
    found[codes.ANCHOR_ROLES] = {codes.ROLE_APP_RELEASE: [[1, [3, 4, 5]], []]}
    return found


def test_t18_one_root_key_of_two_over_the_broker(attack):
    """A successor under one of two root keys, once, twice, and beside a key that isn't root's."""
    row = attack("T18", "1 of 2-of-2 root keys stolen: a successor over the broker")
    for signers in ((factory.ROOT,), (NEW_ROOT, NEW_ROOT), (factory.ROOT, factory.DIRECTOR)):
        target = Target()
        target.take_anchor(factory.anchor_file(two_roots(2), (factory.ROOT, NEW_ROOT)))
        target.run()
        require_refused(row, target, 3, factory.anchor_file(two_roots(3), signers), UNSIGNED)
    require_update(target)


def test_t21_a_gap_and_a_replay_over_the_broker(attack):
    """Under the topic of the next version: one after it, the one in force, the one before it; all truly signed."""
    row = attack("T21", "root gap and replay over the broker (versions 2, 3, 5 as 4)")
    for version in (2, 3, 5):
        target = walked(3)
        require_refused(row, target, 4, factory.anchor_of(version), VERSION)
        require_update(target)


def test_t05_fast_forward_of_the_root(attack):
    """The highest version there is, truly signed, where the next one belongs: refused, and the next one is taken."""
    row = attack("T05", "fast-forward of the root: version 2^64 - 1 over the broker")
    target = Target()
    require_refused(row, target, 2, factory.anchor_of((1 << 64) - 1), VERSION)
    target.publish_anchor(2)
    require_update(target)
    assert target.snapshot().anchor[0] == 2


def test_t20_a_walk_to_an_anchor_that_asks_for_nobody(attack):
    """Signed by the root as it should be, with a threshold of 0: invalid, and the device stays where it is."""
    row = attack("T20", "threshold 0 in a truly signed successor over the broker")
    for label, value in (
        (codes.ANCHOR_ROOT, [0, [0]]),
        (codes.ANCHOR_ROLES, {codes.ROLE_APP_RELEASE: [[0, [2]], []]}),
        (codes.ANCHOR_ROLES, {}),
    ):
        file = factory.anchor_file({**values(), label: value})
        require_refused(row, Target(), 2, file, codes.REASON_ANCHOR_INVALID)


def test_t21_a_chain_forked_from_an_old_anchor(attack):
    """Whoever stole a root key that version 2 replaced makes another 2 and 3: nobody at the true 2 goes there."""
    row = attack("T21", "forked root: chain of a replaced root key over the broker")
    two, three = forked(factory.ROOT)
    for file in (three, two):
        target = rotated()
        target.broker.retained[topics.anchor(2)] = two
        require_refused(row, target, 3, file, UNSIGNED)
        require_update(target)


def test_t21_a_fork_when_both_copies_are_gone(attack):
    """Thrown back to the provisioned anchor, the device is shown the fork: the ratchet knows the true 2 by its digest."""
    row = attack("T21", "forked root: both anchor copies destroyed, then the forked chain")
    target = rotated()
    true = target.broker.retained[topics.anchor(2)]
    for name in ("anchor_a", "anchor_b"):
        target.board.flip(name, 60)
    before = target.snapshot()
    two, three = forked(factory.ROOT)
    target.broker.retained[topics.anchor(2)] = two
    target.broker.retained[topics.anchor(3)] = three
    stolen = factory.release(sequence=2, version=(2,), signers=(FORK_ROOT,))
    target.publish(stolen)
    target.run()
    assert not target.is_reset and target.broker.fetched == []
    for reason in (codes.REASON_ANCHOR_FORK, codes.REASON_ANCHOR_BEHIND):
        row.refused(next(one for one in target.agent.refusals if one == reason), reason)
    row.unchanged(before, target.snapshot())
    target.take_anchor(true)
    del target.broker.retained[topics.anchor(3)]
    require_update(target)


def test_t05_recovery_by_a_rotated_director_key(attack):
    """A thief drove the time past the anchor's expiry; the next anchor's new director key sets it back."""
    row = attack("T05", "fast-forward of time by a director thief, then his key replaced")
    target = expired_by_thief()
    before = target.snapshot()
    target.publish(factory.release(sequence=2, version=(2,)))
    row.refused(target.refusal(), codes.REASON_ANCHOR_EXPIRED)
    row.unchanged(before, target.snapshot())
    honest = factory.TestKey(301)
    target.take_anchor(factory.anchor_of(2, keys=factory.keys_with(director=honest)))
    target.broker.on_hello = target.answer
    target.changes = {"signer": honest}
    assert target.installs(), "a replaced director key must bring the time back"


def expired_by_thief():
    """Return a device to which a director says for two days that it is the year 36812."""
    target = Target()

    async def lie(hello):
        target.changes["time"] = (1 << 40) + int(target.port.loop.now_s)
        await target.answer(hello)

    target.broker.on_hello = lie
    target.run(timeout_s=2 * DAY_S)
    assert target.agent.clock.is_expired(target.anchor)
    target.agent.clock.save()
    return target


def test_t33_a_replaced_authority_is_learnt_in_an_anchor_session(attack):
    """TLS fails; a session that checks nobody brings two anchors, which prove themselves; then the update installs."""
    row = attack("T33", "expired CA: anchors through an anchor session, then the update")
    target = Target()
    target.port.authority = b"new"
    target.publish_anchor(2)
    target.publish_anchor(3, ca=[b"new"])
    target.port.attempts.clear()
    target.publish(factory.release(sequence=2, version=(2,)))
    row.failed(target.installs(), True, "(link-tls, until the walk)")
    assert target.port.attempts[:3] == ["normal", "anchors", "normal"]
    row.kept((target.snapshot().anchor[0], target.snapshot().runs), (3, "B"), "anchor 3; updated, on purpose")


@pytest.mark.parametrize("lie", ["junk", "unsigned", "gap"])
def test_t33_an_anchor_session_with_an_impostor(attack, lie):
    """Nobody's certificate is checked there, so anybody may answer: only documents count, and nothing is said."""
    row = attack("T33", f"impostor in the anchor session for 3 days: {lie}")
    target = Target()
    target.port.authority = b"new"
    file, reason = {
        "junk": (b"junk", codes.REASON_ANCHOR_INVALID),
        "unsigned": (factory.anchor_file(values(2, FORK_ROOT), (FORK_ROOT,)), UNSIGNED),
        "gap": (factory.anchor_of(3), VERSION),
    }[lie]
    target.broker.retained[topics.anchor(2)] = file
    target.publish(factory.release(sequence=2, version=(2,)))
    before = target.snapshot()
    row.refused(target.refusal(timeout_s=3 * DAY_S), reason)
    assert target.broker.up == [] and target.broker.fetched == [], "nothing may be said or fetched there"
    assert "anchors" in target.port.attempts
    row.unchanged(before, target.snapshot())
