"""Commands, conditions and branches at random: most are of the profile, and may stand where they don't belong."""

from hashlib import sha256

from mutations import Map, Wrapped

COMMANDS = (0, 1, 2, 3, 5, 12, 14, 15, 18, 20, 21, 22, 23, 24, 27, 28, 29, 32, -1)
PROFILE_COMMANDS = (1, 2, 3, 5, 12, 15, 20, 21, 23, 27, 28)
PARAMETERS = (1, 2, 3, 5, 14, 18, 21, 22, 27, 28)
POLICIES = (0, 1, 2, 3, 7, 15, 15, 16, 255, -1, True, None, "", [])


def version_match(rng):
    """Return a parameter 28, right more often than not."""
    comparison = rng.choice((1, 2, 3, 4, 5, 5, 0, 6, True, -1))
    numbers = rng.choice(
        ([1], [1, 2], [1, 2, 3, 4, 5, 6], [-1, 0], [], [0] * 7, ["1"], [True], [2**64 - 1], None)
    )
    odd = rng.random()
    if odd < 0.8:
        return Wrapped([[comparison, numbers]])
    return rng.choice(
        ([comparison, numbers], Wrapped([[comparison]]), Wrapped([[comparison, numbers, 0]]), b"")
    )


def value_of(rng, key):
    """Return a value for a parameter that mostly has its type."""
    if rng.random() < 0.1:
        return rng.choice((0, -1, True, None, b"", "", [], 2**64 - 1, bytes(16), "pawl:"))
    digest = Wrapped([[rng.choice((-16, -16, -16, -44, -43)), sha256(bytes([rng.randrange(2)])).digest()]])
    return {
        1: bytes(range(16)),
        2: bytes(range(16, 32)),
        3: digest,
        5: rng.choice((0, 1, 0, 1, 2)),
        14: rng.choice((90, 4096, 1)),
        21: "pawl:" + "A" * 43,
        27: rng.choice((-1, 0, 1, 2**64 - 1)),
        28: version_match(rng),
    }.get(key, 1)


def command(rng, *, may_try=True):
    """Return a command and an argument, of the profile or not."""
    number = rng.choice(PROFILE_COMMANDS if rng.random() < 0.8 else COMMANDS)
    if number == 12:
        return [12, rng.choice((0, 1, 2, 0, 1, 3, True, [0, 1], -1))]
    if number == 20:
        keys = sorted(rng.sample(PARAMETERS, rng.choice((0, 1, 1, 1, 2))))
        return [20, Map([[key, value_of(rng, key)] for key in keys])]
    if number == 15:
        if not may_try and rng.random() < 0.8:
            return [5, 2]
        return [15, [branch(rng) for _ in range(rng.choice((0, 1, 2, 2, 3, 4, 4, 5)))]]
    return [number, 2 if rng.random() < 0.8 else rng.choice(POLICIES)]


def asked(rng):
    """Return a condition with its parameter, right more often than not."""
    key = rng.choice((5, 27, 28, 28))
    return [20, Map([[key, value_of(rng, key)]]), key, 2]


def branch(rng):
    """Return a branch of conditions, settings and now and then something else; or none."""
    odd = rng.random()
    if odd < 0.05:
        return rng.choice((None, [], b"", Wrapped([[]]), Wrapped([[20]])))
    items = [12, rng.choice((0, 0, 1, 2))] if rng.random() < 0.4 else []
    for _ in range(rng.choice((1, 1, 2))):
        items += asked(rng) if rng.random() < 0.7 else command(rng, may_try=False)
    return Wrapped([items])
