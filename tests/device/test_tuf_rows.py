"""The rows of TUF's conformance suite on rollback, thresholds, duplicate keys and fast-forward, as they are for a device.

Timestamp and snapshot are offers here, targets are releases. Root rotations have a module of their own.
"""

import factory
from factory import RELEASE, SECOND, STRANGER, THIRD
from simulator import World

from pawl import codes, topics

D2 = factory.TestKey(140)  # the director's next key
COUNTER_MAX = 0xFFFFFFFF


def installed(world):
    """Return the sequence number in the ratchet's cells; a device that never booted has the factory's in no cell yet."""
    release = world.board.storage.ratchet().reading.roles.get(codes.IMAGE_APP)
    return 1 if release is None else release.sequence


def update(world, sequence, version=(2,), **changes):
    """Offer a release; return the sequence number that is confirmed after it."""
    world.publish(factory.release(sequence=sequence, version=version, **changes))
    world.run()
    if world.is_reset:
        world.run()
    return installed(world)


def refused(world, sequence, **changes):
    """Offer a release that must not be installed; return the reason that the device reports."""
    before = installed(world)
    assert update(world, sequence, **changes) == before
    return [reason for event, reason in world.reports() if event == codes.EVENT_REFUSED][-1]


def of_three(threshold, anchor_values=None):
    """Return a world whose releases need this many of three signatures."""
    return World(anchor_values or factory.anchor_values(threshold))


def test_timestamp_version_rollback():
    """An offer whose number isn't higher under its nonce is refused, and the one before it stands."""
    world = World()
    world.publish(factory.release(sequence=2, version=(2,)))

    async def answer(hello):
        world.nonce = hello.nonce
        for number in (5, 4, 5):
            raw = world.offer(number=number, action=codes.OFFER_HOLD if number == 5 else codes.OFFER_INSTALL)
            await world.broker.deliver(topics.offer(world.agent.identity.partition, "bench-1"), raw)
            world.agent._take(raw)

    world.broker.on_hello = answer
    world.run()
    assert not world.is_reset
    assert world.agent.refusals[codes.REASON_OFFER_COUNTER] >= 2
    assert world.agent.offers.number == 5


def test_targets_rollback():
    """A lower sequence number, lower epoch or lower version never comes back."""
    world = World()
    assert update(world, (1 << 32) + 5, version=(5,)) == (1 << 32) + 5
    assert refused(world, (1 << 32) + 4, version=(6,)) == codes.REASON_SEQUENCE_LOW
    assert refused(world, 900, version=(6,)) == codes.REASON_EPOCH_LOW
    assert refused(world, (1 << 32) + 6, version=(4,)) == codes.REASON_VERSION_LOW
    assert refused(world, (1 << 32) + 5, version=(5, 1)) == codes.REASON_SEQUENCE_REUSED


def test_rollback_is_judged_by_what_was_confirmed_even_when_the_anchor_expired():
    """The ratchet has no expiry: what was confirmed under an anchor that is over still counts."""
    world = World()
    assert update(world, 5, version=(5,)) == 5
    world.publish_anchor(2, issued=factory.ISSUED + 1, expiry=factory.ISSUED + 2)
    assert refused(world, 4, version=(6,)) == codes.REASON_ANCHOR_EXPIRED
    assert refused(world, 6, version=(6,)) == codes.REASON_ANCHOR_EXPIRED
    world.publish_anchor(3, issued=factory.ISSUED + 3)
    assert refused(world, 4, version=(6,)) == codes.REASON_SEQUENCE_LOW
    assert update(world, 6, version=(6,)) == 6


def test_threshold_not_met():
    """One of two is none; two of three are enough, whichever they are."""
    values = factory.anchor_values(2)
    values[codes.ANCHOR_ROLES][codes.ROLE_APP_RELEASE][1] = [[1, [2]]]  # what the factory installed may boot
    world = of_three(2, values)
    assert refused(world, 2, signers=(RELEASE,)) == codes.REASON_UNAUTHORISED
    assert refused(world, 3, signers=(SECOND, STRANGER)) == codes.REASON_UNAUTHORISED
    assert update(world, 4, signers=(SECOND, THIRD)) == 4


def test_duplicate_keys_and_signatures_count_once():
    """The same key signing twice, and the same block twice, are one signature."""
    values = factory.anchor_values(2)
    values[codes.ANCHOR_ROLES][codes.ROLE_APP_RELEASE][1] = [[1, [2]]]
    world = of_three(2, values)
    assert refused(world, 2, signers=(SECOND, SECOND)) == codes.REASON_UNAUTHORISED
    assert refused(world, 3, signers=(THIRD, THIRD, THIRD)) == codes.REASON_UNAUTHORISED


def test_invalid_signature_beside_a_met_threshold():
    """A stranger's signature spoils nothing."""
    assert update(World(), 2, signers=(STRANGER, RELEASE)) == 2


def test_timestamp_fast_forward_recovery():
    """The highest number there is closes one nonce; the next check-in begins anew."""
    world = World()
    world.changes = {"number": (1 << 64) - 1, "action": codes.OFFER_NONE, "digest": None, "attempt": None}
    world.publish(factory.release(sequence=2, version=(2,)))
    world.run()
    assert world.agent.offers.number == (1 << 64) - 1
    world.changes = {}
    world.run()
    assert world.is_reset


def test_time_fast_forward_recovery():
    """A director's time of the far future goes with its key: the next anchor sets the floor back to its issue time."""
    world = World()
    world.changes = {"time": (1 << 64) - 1}
    world.run()
    assert world.agent.offers.time_floor >= factory.ISSUED + 1000000
    world.publish_anchor(2, keys=factory.keys_with(director=D2), issued=factory.ISSUED + 500)
    world.changes = {"signer": D2}
    world.publish(factory.release(sequence=2, version=(2,)))
    world.run()
    assert world.is_reset
    assert factory.ISSUED + 500 <= world.agent.offers.time_floor < factory.ISSUED + 600


def test_targets_fast_forward_recovery():
    """The last counter of an epoch blocks nothing for good: the next epoch begins at any counter."""
    world = World()
    assert update(world, COUNTER_MAX, version=(2,)) == COUNTER_MAX
    assert refused(world, 7, version=(3,)) == codes.REASON_SEQUENCE_LOW
    assert update(world, (1 << 32) + 1, version=(3,)) == (1 << 32) + 1


def test_targets_fast_forward_is_bounded():
    """No release jumps further than 1024 epochs."""
    world = World()
    assert refused(world, 1025 << 32) == codes.REASON_EPOCH_JUMP
    assert refused(world, (1 << 64) - 1) == codes.REASON_EPOCH_JUMP
    assert update(world, 1024 << 32) == 1024 << 32
