"""Command sequences: what a manifest may ask for, read and scanned before anything runs.

A sequence comes out as a list of (command, argument): the index of a component, a map of parameters, the branches of a
try-each, or a reporting policy. Refused by name: a command, component or parameter that has no place in this sequence,
in branches not taken too; a sequence or branch of several components that doesn't begin with one; nested try-each.
Profile: `docs/protocol.md`, manifest template.
"""

from pawl import cbor, codes, suit
from pawl.compat import const
from pawl.errors import ManifestError
from pawl.ratchet import read_version

_REP_POLICY_MAX = const(15)
_BRANCHES_MIN = const(2)
_BRANCHES_MAX = const(4)

_APP = codes.COMPONENT_APP
_DATA = codes.COMPONENT_DATA
_RUNNING = codes.COMPONENT_RUNNING

_SET = codes.COMMAND_OVERRIDE_PARAMETERS
_MATCH = codes.COMMAND_IMAGE_MATCH
_SLOT = codes.COMMAND_COMPONENT_SLOT
_FETCH = codes.COMMAND_FETCH
_VERSION = codes.COMMAND_VERSION
_AUTHORIZED = codes.COMMAND_UPDATE_AUTHORIZED
_IDENTITY = (codes.COMMAND_VENDOR, codes.COMMAND_CLASS)
_IDENTITY_PARAMETERS = (codes.PARAMETER_VENDOR, codes.PARAMETER_CLASS)
_IMAGE = (codes.PARAMETER_IMAGE_DIGEST, codes.PARAMETER_IMAGE_SIZE)
_ASKED = (codes.PARAMETER_VERSION, codes.PARAMETER_UPDATE_PRIORITY)
_PLACED = (codes.PARAMETER_COMPONENT_SLOT,)

# Per sequence, of each component that has a place in it: commands, and parameters. Digest and size of an image stand in
# shared alone: what is fetched is what is validated at boot. What is asked of a moving world stands in install alone.
SHARED = {
    _APP: ((_SET, _SLOT) + _IDENTITY, _IMAGE + _PLACED + _IDENTITY_PARAMETERS),
    _DATA: ((_SET, _SLOT), _IMAGE + _PLACED),
}
INSTALL = {
    _APP: (
        (_SET, _SLOT, _FETCH, _MATCH, _VERSION, _AUTHORIZED),
        (codes.PARAMETER_URI,) + _PLACED + _ASKED,
    ),
    _DATA: (
        (_SET, _SLOT, _FETCH, _MATCH, _VERSION, _AUTHORIZED),
        (codes.PARAMETER_URI,) + _PLACED + _ASKED,
    ),
    _RUNNING: ((_SET, _MATCH, _VERSION, _AUTHORIZED), _IMAGE + _ASKED),
}
VALIDATE = {_APP: ((_MATCH,), ()), _DATA: ((_MATCH,), ())}
INVOKE = {_APP: ((codes.COMMAND_INVOKE,), ())}
# Identity is what the whole manifest is for; an image is fetched and matched whatever the branch, only `running` has several.
_NOT_IN_A_BRANCH = _IDENTITY + (_FETCH, _MATCH)

# What a command uses.
NEEDS = {
    codes.COMMAND_VENDOR: (codes.PARAMETER_VENDOR,),
    codes.COMMAND_CLASS: (codes.PARAMETER_CLASS,),
    _MATCH: _IMAGE,
    _SLOT: _PLACED,
    _FETCH: _IMAGE + (codes.PARAMETER_URI,),
    _VERSION: (codes.PARAMETER_VERSION,),
    _AUTHORIZED: (codes.PARAMETER_UPDATE_PRIORITY,),
    codes.COMMAND_INVOKE: (),
}


def read(outer, rule, components):
    """Read the command sequence in a byte string, by the rule of its place: SHARED, INSTALL, VALIDATE or INVOKE."""
    return _Sequence(rule, components, False).read(outer.bytes())


def _refused(detail):
    return ManifestError(codes.REASON_COMMAND, detail)


class _Sequence:
    """A sequence or branch while it is read: the current component, None while that isn't known, and what was set."""

    def __init__(self, rule, components, is_branch):
        self.rule = rule
        self.components = components
        self.is_branch = is_branch
        self.index = 0 if len(components) == 1 else None
        self.were_set = set()

    def read(self, raw):
        """Return the list of (command, argument)."""
        reader = cbor.Reader(raw)
        count = reader.array()
        if count % 2:
            raise cbor.malformed("command sequence of odd length")
        if self.is_branch and count == 0:
            raise _refused("an empty branch")
        commands = []
        for _ in range(count // 2):
            command = reader.int()
            commands.append((command, self._argument(reader, command)))
        reader.end()
        return commands

    def _argument(self, reader, command):
        if command == codes.COMMAND_SET_COMPONENT_INDEX:
            return self._set_index(reader)
        if self.index is None:
            raise _refused("no component is set: sequences and branches begin with set-component-index")
        if command == codes.COMMAND_TRY_EACH:
            return self._branches(reader)
        commands, parameters = self._place(command)
        if command not in commands:
            raise _refused("command %d" % command)
        if command == _SET:
            return self._parameters(reader, parameters)
        self._require_set(command)
        policy = reader.uint()
        if policy > _REP_POLICY_MAX:
            raise cbor.malformed("reporting policy out of range")
        return policy

    def _set_index(self, reader):
        if len(self.components) == 1:
            raise _refused("set-component-index where there is one component")
        index = reader.uint()
        if index >= len(self.components):
            raise ManifestError(codes.REASON_COMPONENT, "no component %d" % index)
        if self.components[index] not in self.rule:
            raise ManifestError(codes.REASON_COMPONENT, "a component that has no place in this sequence")
        self.index = index
        return index

    def _place(self, command):
        name = self.components[self.index]
        if self.is_branch and command in _NOT_IN_A_BRANCH and (command != _MATCH or name != _RUNNING):
            raise _refused("command %d in a branch" % command)
        return self.rule[name]

    def _parameters(self, reader, allowed):
        parameters = {}
        for key in reader.keys():
            if key not in allowed or (self.is_branch and key in _IDENTITY_PARAMETERS):
                raise ManifestError(codes.REASON_PARAMETER, "parameter " + str(key))
            parameters[key] = _PARAMETERS[key](reader)
            self.were_set.add((self.index, key))
        return parameters

    def _require_set(self, command):
        """What a branch uses it sets itself: parameters of a failed branch stay (suit-manifest §8.4.8)."""
        for key in NEEDS[command] if self.is_branch else ():
            if (self.index, key) not in self.were_set:
                raise ManifestError(codes.REASON_PARAMETER, "a branch uses what it did not set")

    def _branches(self, reader):
        if self.is_branch or not (self.rule is SHARED or self.rule is INSTALL):
            raise _refused("try-each where none is allowed")
        count = reader.array()
        if not _BRANCHES_MIN <= count <= _BRANCHES_MAX:
            raise _refused("2 to 4 branches are allowed")
        branches = []
        ends = set()
        for _ in range(count):
            if reader.is_nil():
                raise _refused("a nil branch")
            branch = _Sequence(self.rule, self.components, True)
            branches.append(branch.read(reader.bytes()))
            ends.add(branch.index)
        self.index = ends.pop() if len(ends) == 1 else None
        return branches


def _identifier(reader):
    return reader.bytes_of(16)


def _digest(reader):
    return suit.read_digest(reader.bytes())


def _version_match(reader):
    """Read [comparison, version]."""
    inner = cbor.Reader(reader.bytes())
    inner.array(2)
    comparison = inner.uint()
    if not codes.VERSION_GREATER <= comparison <= codes.VERSION_LESSER:
        raise ManifestError(codes.REASON_PARAMETER, "comparison of another kind")
    version = read_version(inner)
    inner.end()
    return comparison, version


_PARAMETERS = {
    codes.PARAMETER_VENDOR: _identifier,
    codes.PARAMETER_CLASS: _identifier,
    codes.PARAMETER_IMAGE_DIGEST: _digest,
    codes.PARAMETER_IMAGE_SIZE: cbor.Reader.uint,
    codes.PARAMETER_COMPONENT_SLOT: cbor.Reader.uint,
    codes.PARAMETER_URI: cbor.Reader.text,
    codes.PARAMETER_UPDATE_PRIORITY: cbor.Reader.int,
    codes.PARAMETER_VERSION: _version_match,
}
