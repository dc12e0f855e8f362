"""Generated manifests: whatever the device accepts, it runs as the draft's own abstract machine does.

The machine below is suit-manifest §6.4 word by word: what a failed branch has set stays set. The device refuses every
manifest in which that could make a difference, so both must always do the same.
"""

import random

import pytest

from pawl import cbor, codes, conditions, processor
from pawl.compat import sha256
from pawl.errors import ManifestError
from pawl.manifest import Manifest

VENDOR, CLASS = bytes(16), bytes(range(16))
SET, SLOT, TRY = codes.COMMAND_OVERRIDE_PARAMETERS, codes.COMMAND_COMPONENT_SLOT, codes.COMMAND_TRY_EACH
AT, FETCH, MATCH = codes.COMMAND_SET_COMPONENT_INDEX, codes.COMMAND_FETCH, codes.COMMAND_IMAGE_MATCH
ASKED = (codes.COMMAND_VERSION, codes.COMMAND_UPDATE_AUTHORIZED)
SAMPLES = 6000
IDENTITY = [SET, {1: VENDOR, 2: CLASS}, 1, 2, 2, 2]


def image(number):
    """Return digest and size as parameters; digests are encoded as the manifest has them."""
    return {3: cbor.encode([codes.ALG_SHA256, sha256(bytes([number]))]), 14: number}


def asked(chance):
    """Return a random condition that is decided when it is run, with its parameter."""
    if chance.random() < 0.5:
        wanted = cbor.encode([chance.randint(1, 5), [chance.randint(1, 3)]])
        return [SET, {codes.PARAMETER_VERSION: wanted}, codes.COMMAND_VERSION, 2]
    return [
        *(SET, {codes.PARAMETER_UPDATE_PRIORITY: chance.randint(0, 2)}),
        *(codes.COMMAND_UPDATE_AUTHORIZED, 2),
    ]


def setting(chance, *, is_install):
    """Return random parameters of an image, for a slot or for both."""
    own = {21: f"uri {chance.randint(1, 2)}"} if is_install else image(chance.randint(1, 2))
    if chance.random() < 0.2:
        own = {}
    if chance.random() < 0.6:
        slot = {5: chance.randint(0, 1)}
        return [SET, slot | own, SLOT, 2] if chance.random() < 0.8 else [SET, slot, SLOT, 2, SET, own]
    return [SET, own]


def sequence(chance, *, components, is_install, is_branch=False):
    """Return a random sequence that sets and asks things, with try-eaches in it unless it is a branch."""
    commands = [AT, 0] if components > 1 else []
    for _ in range(chance.randint(1, 2 if is_branch else 3)):
        draw = chance.random()
        if draw < 0.35 and not is_branch:
            branches = [
                sequence(chance, components=components, is_install=is_install, is_branch=True)
                for _ in range(chance.randint(2, 3))
            ]
            commands += [TRY, branches]
        elif draw < 0.5 and is_install:
            commands += asked(chance)
        elif draw < 0.6 and components > 1:
            commands += [AT, chance.randint(0, 1)]
        else:
            commands += setting(chance, is_install=is_install)
    return commands


def sample(chance):
    """Return random shared and install sequences of one or two components."""
    components = chance.choice((1, 1, 2))
    start = [AT, 0] if components > 1 else []
    shared = start + IDENTITY + sequence(chance, components=components, is_install=False)
    install = sequence(chance, components=components, is_install=True)
    if components > 1:
        shared += [AT, 1, SET, image(3)]
        return shared, [*install, AT, 0, FETCH, 2, MATCH, 2, AT, 1, SET, {21: "uri 3"}, FETCH, 2, MATCH, 2]
    return shared, [*install, FETCH, 2, MATCH, 2]


def encoded(commands):
    """Encode a sequence: branches are byte strings."""
    return cbor.encode(
        [[cbor.encode(branch) for branch in item] if isinstance(item, list) else item for item in commands]
    )


def manifest(shared, install):
    """Return the encoded manifest of two sequences, with what else it needs."""
    is_one = shared[0] != AT
    match = [MATCH, 2] if is_one else [AT, 0, MATCH, 2, AT, 1, MATCH, 2]
    invoke = [codes.COMMAND_INVOKE, 2] if is_one else [AT, 0, codes.COMMAND_INVOKE, 2]
    common = {2: [[b"app"]] if is_one else [[b"app"], [b"data"]], 4: encoded(shared)}
    elements = {
        1: 1,
        2: 7,
        3: cbor.encode(common),
        6: cbor.encode([1]),
        7: encoded(match),
        9: encoded(invoke),
    }
    return cbor.encode(elements | {20: encoded(install)})


class ConditionFailed(Exception):  # noqa: N818 - the draft's own word
    """A condition of the draft's machine failed."""


class Machine:
    """The draft's abstract machine: parameters by component, and nothing is ever undone."""

    def __init__(self, device):
        self.device = device
        self.parameters = [{}, {}]
        self.index = 0
        self.done = []

    def run(self, commands):
        for command, argument in zip(commands[::2], commands[1::2], strict=True):
            own = self.parameters[self.index]
            if command == AT:
                self.index = argument
            elif command == SET:
                own.update(argument)
            elif command == TRY:
                self.try_each(argument)
            elif command in (FETCH, MATCH):
                self.done.append((command, self.index, own[3], own[14], own[21]))
            elif not self.holds(command, own):
                raise ConditionFailed

    def try_each(self, branches):
        for branch in branches:
            try:
                self.run(branch)
            except ConditionFailed:
                continue
            return
        raise ConditionFailed

    def holds(self, command, own):
        if command == SLOT:
            return own[5] == self.device.slot
        if command == codes.COMMAND_VERSION:
            comparison, wanted = cbor.decode(own[28])
            mine, wanted = list(self.device.version)[: len(wanted)], list(wanted)
            return (mine > wanted, mine >= wanted, mine == wanted, mine <= wanted, mine < wanted)[
                comparison - 1
            ]
        if command == codes.COMMAND_UPDATE_AUTHORIZED:
            return self.device.is_authorised(own[27])
        return True


def by_the_draft(shared, install, device):
    """Return what the draft's machine fetches and matches, or None if a condition stops it."""
    machine = Machine(device)
    try:
        machine.run(shared + install)
    except ConditionFailed:
        return None
    return machine.done


def by_the_device(parsed, device):
    """Return the same of the device's processor."""
    done = []

    def perform(effect):
        own = effect.parameters
        digest = cbor.encode([codes.ALG_SHA256, own[3]])
        done.append((effect.command, parsed.components.index(effect.component), digest, own[14], own[21]))
        return True

    try:
        processor.execute(parsed, parsed.install, device, perform)
    except ManifestError as error:
        # A parameter that is missing now is one that the scan let through.
        return "parameter" if error.code == codes.REASON_PARAMETER else None
    return done


def devices():
    """Yield every device that could see a difference."""
    for slot in (0, 1):
        for version in (1, 2, 3):
            for limit in (0, 1, 3):
                yield conditions.Device(
                    VENDOR, CLASS, slot, (version,), None, lambda priority, limit=limit: priority < limit
                )


@pytest.mark.parametrize("seed", range(4))
def test_the_device_runs_what_it_accepts_as_the_draft_says(seed):
    """Same outcome, same images, on every device; and those images are the ones that the manifest names for the slot."""
    chance = random.Random(seed)
    accepted, outcomes = 0, set()
    for _ in range(SAMPLES // 4):
        shared, install = sample(chance)
        try:
            parsed = Manifest(manifest(shared, install))
        except ManifestError:
            continue
        accepted += 1
        for device in devices():
            expected = by_the_draft(shared, install, device)
            assert by_the_device(parsed, device) == expected, (shared, install, device)
            outcomes.add(expected is None)
            if expected is not None:
                named = [(one.size, one.uri) for one in parsed.images(device.slot)]
                assert [done[3:] for done in expected if done[0] == FETCH] == named
    assert accepted > SAMPLES // 100
    assert outcomes == {True, False}
