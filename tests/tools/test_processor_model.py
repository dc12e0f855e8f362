"""Generated manifests: whatever the device accepts, it runs as the draft's own abstract machine does.

The machine below is suit-manifest §6.4 word by word: what a failed branch has set stays set. The device refuses every
manifest in which that could make a difference, so both must always do the same.
"""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from generated_manifests import AT, CLASS, FETCH, MATCH, SET, SLOT, TRY, VENDOR, manifest, sample

from pawl import cbor, codes, conditions, processor
from pawl.errors import ManifestError
from pawl.manifest import Manifest

SAMPLES = 6000


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
