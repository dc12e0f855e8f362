"""What a manifest installs into each slot, found by walking it once for slot A and once for slot B.

The walk follows every branch that the slot leaves open: what a device would decide by its version, its running image or
its owner is left open too. Refuses a manifest in which, on any way through, an image isn't fetched once with digest,
size and URI, then matched, and matched again in validate; and one that fits no slot.
"""

from collections import namedtuple

from pawl import codes
from pawl.commands import NEEDS
from pawl.errors import ManifestError
from pawl.processor import Registers

Image = namedtuple("Image", ("component", "digest", "size", "uri"))

# Commands whose outcome the walk leaves open, in branches.
_OPEN = (codes.COMMAND_VERSION, codes.COMMAND_UPDATE_AUTHORIZED, codes.COMMAND_IMAGE_MATCH)

# What is done twice is done to the same thing.
_ONE_THING = (
    codes.COMMAND_VENDOR,
    codes.COMMAND_CLASS,
    codes.COMMAND_FETCH,
    codes.COMMAND_IMAGE_MATCH,
)

# images: of slot A and of slot B, None where it doesn't fit; recovers: (digest, size) of each image that it recovers from;
# identity: (vendor, class)
Resolution = namedtuple("Resolution", ("images", "recovers", "identity"))


def resolve(manifest):
    """Return the Resolution of a scanned manifest."""
    recovers = []
    found = []
    identity = ()
    for slot in (codes.RUNNING_A, codes.RUNNING_B):
        try:
            walk = _proven(manifest, slot, recovers)
        except ManifestError as error:
            if error.code != codes.REASON_COMPONENT_SLOT:
                raise
            found.append(None)
        else:
            identity = walk.identity()
            found.append(walk.images())
    if found == [None, None]:
        raise ManifestError(codes.REASON_COMPONENT_SLOT, "it fits no slot")
    return Resolution(tuple(found), tuple(recovers), identity)


def _proven(manifest, slot, recovers):
    """Return the walk through install, if nothing that the sequences have to prove is left out."""

    def walked(sequence):
        walk = _Walk(manifest.components, slot, recovers)
        walk.follow(manifest.shared + sequence)
        return walk

    install, validate, invoke = walked(manifest.install), walked(manifest.validate), walked(manifest.invoke)
    invoke.require(codes.COMMAND_VENDOR, codes.COMPONENT_APP)
    invoke.require(codes.COMMAND_CLASS, codes.COMPONENT_APP)
    invoke.require(codes.COMMAND_INVOKE, codes.COMPONENT_APP)
    for name in manifest.components:
        install.require(codes.COMMAND_IMAGE_MATCH, name)
        if name != codes.COMPONENT_RUNNING:
            install.require(codes.COMMAND_FETCH, name)
            validate.require(codes.COMMAND_IMAGE_MATCH, name)
    return install


class _Walk:
    """One way through a sequence, and what was done on it."""

    def __init__(self, components, slot, recovers):
        self.components = components
        self.slot = slot
        self.recovers = recovers
        self.registers = Registers(len(components))
        self.done = {}  # (command, component): the parameters it used

    def require(self, command, name):
        """Refuse a manifest that leaves this out."""
        if (command, name) not in self.done:
            raise ManifestError(codes.REASON_COMMAND, "missing command %d of %s" % (command, name.decode()))

    def images(self):
        """Return the Images that were fetched, in the order of the components."""
        return [
            Image(name, *[self.done[codes.COMMAND_FETCH, name][key] for key in NEEDS[codes.COMMAND_FETCH]])
            for name in self.components
            if name != codes.COMPONENT_RUNNING
        ]

    def identity(self):
        """Return the vendor and the class that were asked for."""
        return (
            self.done[codes.COMMAND_VENDOR, codes.COMPONENT_APP][codes.PARAMETER_VENDOR],
            self.done[codes.COMMAND_CLASS, codes.COMPONENT_APP][codes.PARAMETER_CLASS],
        )

    def follow(self, sequence):
        """Follow a sequence; raise `component-slot` where it is for the other slot."""
        for command, argument in sequence:
            if command == codes.COMMAND_SET_COMPONENT_INDEX:
                self.registers.index = argument
            elif command == codes.COMMAND_OVERRIDE_PARAMETERS:
                self.registers.current().update(argument)
            elif command == codes.COMMAND_TRY_EACH:
                self._try_each(argument)
            else:
                self._do(command, self.components[self.registers.index])

    def _do(self, command, name):
        current = self.registers.need(command)
        used = {key: current[key] for key in NEEDS[command]}
        if command == codes.COMMAND_COMPONENT_SLOT and used[codes.PARAMETER_COMPONENT_SLOT] != self.slot:
            raise ManifestError(codes.REASON_COMPONENT_SLOT, "made for the other slot")
        if command in _ONE_THING and self.done.get((command, name), used) != used:
            raise ManifestError(codes.REASON_COMMAND, "command %d again, of something else" % command)
        self.done[command, name] = used
        if command == codes.COMMAND_FETCH:
            self.done.pop((codes.COMMAND_IMAGE_MATCH, name), None)  # what was matched before is gone
        elif command == codes.COMMAND_IMAGE_MATCH and name == codes.COMPONENT_RUNNING:
            self._note_recovered(used)

    def _note_recovered(self, used):
        image = (used[codes.PARAMETER_IMAGE_DIGEST], used[codes.PARAMETER_IMAGE_SIZE])
        if image not in self.recovers:
            self.recovers.append(image)

    def _try_each(self, branches):
        """Go on with what all branches that may be taken have in common: up to the first one that can't fail."""
        ways = []
        for branch in branches:
            way = self._copy()
            try:
                way.follow(branch)
            except ManifestError as error:
                if error.code != codes.REASON_COMPONENT_SLOT:
                    raise
            else:
                ways.append(way)
                if not [1 for command, _ in branch if command in _OPEN]:
                    break
            self.registers.forget(branch)
        if not ways:
            raise ManifestError(codes.REASON_COMPONENT_SLOT, "no branch is for this slot")
        self._join(ways)

    def _copy(self):
        way = _Walk(self.components, self.slot, self.recovers)
        way.registers.parameters = [dict(parameters) for parameters in self.registers.parameters]
        way.registers.index = self.registers.index
        way.done = dict(self.done)
        return way

    def _join(self, ways):
        last = ways[-1]
        self.registers.index = last.registers.index
        self.done = {
            key: last.done[key] for key in last.done if not [1 for way in ways if key not in way.done]
        }
        for number, parameters in enumerate(last.registers.parameters):
            others = [way.registers.parameters[number] for way in ways]
            self.registers.parameters[number] = {
                key: parameters[key]
                for key in parameters
                if not [1 for other in others if other.get(key) != parameters[key]]
            }
