"""Manifests that are generated from the grammar of the profile: most are refused, and some are right in ways no tool writes."""

from pawl import cbor, codes
from pawl.compat import sha256

VENDOR, CLASS = bytes(16), bytes(range(16))
SET, SLOT, TRY = codes.COMMAND_OVERRIDE_PARAMETERS, codes.COMMAND_COMPONENT_SLOT, codes.COMMAND_TRY_EACH
AT, FETCH, MATCH = codes.COMMAND_SET_COMPONENT_INDEX, codes.COMMAND_FETCH, codes.COMMAND_IMAGE_MATCH
ASKED = (codes.COMMAND_VERSION, codes.COMMAND_UPDATE_AUTHORIZED)
IDENTITY = [SET, {1: VENDOR, 2: CLASS}, 1, 2, 2, 2]


def content(number):
    """Return the bytes of an image."""
    return bytes([number]) * number


def image(number):
    """Return digest and size as parameters; digests are encoded as the manifest has them."""
    return {3: cbor.encode([codes.ALG_SHA256, sha256(content(number))]), 14: number}


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
