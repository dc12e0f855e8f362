"""The SUIT processor: runs a command sequence of a scanned manifest, without I/O (suit-manifest §6.4).

    for effect in steps(manifest, manifest.install, device): ...

Conditions on the device are decided here, from a Device; fetches, image matches and the invocation are asked of the
caller as Effects. What a failed branch had set is gone: a parameter that another processor would still have is
missing here, and `resolution` refuses a manifest in which that makes a difference.
"""

from collections import namedtuple

from pawl import codes, commands, conditions
from pawl.errors import ManifestError

# What a command asks of the world: of which component (its name), with the parameters in force.
Effect = namedtuple("Effect", ("command", "component", "parameters"))


class Registers:
    """The parameters of each component, and the index of the current one."""

    def __init__(self, count):
        self.parameters = [{} for _ in range(count)]
        self.index = 0

    def current(self):
        """Return the parameters of the current component."""
        return self.parameters[self.index]

    def need(self, command):
        """Return the parameters that a command uses; without one of them it fails (suit-manifest §6.4)."""
        current = self.current()
        for key in commands.NEEDS[command]:
            if key not in current:
                raise ManifestError(
                    codes.REASON_PARAMETER, "command %d without parameter %d" % (command, key)
                )
        return current

    def forget(self, branch):
        """Drop what a failed branch set: nothing after it may build on that."""
        for command, argument in branch:
            if command == codes.COMMAND_SET_COMPONENT_INDEX:
                self.index = argument
            elif command == codes.COMMAND_OVERRIDE_PARAMETERS:
                for key in argument:
                    self.current().pop(key, None)


def steps(manifest, sequence, device):
    """Run the shared sequence, then `sequence`; yield each Effect and expect what came of it.

    A fetch or an invocation is answered with anything, an image match with its truth: False ends the run with ManifestError.
    """
    registers = Registers(len(manifest.components))
    for command, argument in manifest.shared + sequence:
        name = manifest.components[registers.index]
        if _settle(manifest, registers, command, argument, device):
            continue
        answer = yield Effect(command, name, registers.current())
        if command == codes.COMMAND_IMAGE_MATCH and answer is not True:
            raise ManifestError(codes.REASON_IMAGE_DIGEST, "image is not the one that was signed")


def _settle(manifest, registers, command, argument, device):
    """Carry out a command if the device alone can; return whether it could."""
    if command == codes.COMMAND_SET_COMPONENT_INDEX:
        registers.index = argument
    elif command == codes.COMMAND_OVERRIDE_PARAMETERS:
        registers.current().update(argument)
    elif command == codes.COMMAND_TRY_EACH:
        _try_each(manifest, registers, argument, device)
    elif command in conditions.CONDITIONS:
        conditions.CONDITIONS[command](registers.need(command), device)
    elif (
        command == codes.COMMAND_IMAGE_MATCH
        and manifest.components[registers.index] == codes.COMPONENT_RUNNING
    ):
        conditions.require_running(registers.need(command), device)
    else:
        return False
    return True


def _try_each(manifest, registers, branches, device):
    """The first branch without a failed condition counts; when all failed for one reason, that is the reason."""
    reasons = set()
    for branch in branches:
        try:
            for command, argument in branch:
                _settle(manifest, registers, command, argument, device)
        except ManifestError as error:
            reasons.add(error.code)
            registers.forget(branch)
        else:
            return
    reason = reasons.pop() if len(reasons) == 1 else codes.REASON_NO_BRANCH
    raise ManifestError(reason, "no branch of a try-each succeeds")


def execute(manifest, sequence, device, perform):
    """Drive `steps` with a plain function `perform(effect) -> answer`."""
    run = steps(manifest, sequence, device)
    try:
        effect = next(run)
        while True:
            effect = run.send(perform(effect))
    except StopIteration:
        return


def rehearse(effect):
    """Perform nothing, and find that every image matches: for a run that only asks the conditions on the device."""
    return True
