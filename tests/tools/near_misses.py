"""Edits that know the profile: a release that is right but for a command, a branch, a parameter, a line of its text, or two.

Each edit takes (rng, release) and changes the release in place, before it is signed; some leave it right.
"""

from copy import deepcopy

import cbor2
from mutations import Map, Wrapped
from near_commands import PARAMETERS, POLICIES, asked, branch, command, value_of
from near_texts import text
from release_keys import EVERYONE

SEQUENCES = ("shared", "install", "validate", "invoke")


def _places(release):
    """Return every sequence and every branch as lists."""
    found = [getattr(release, name) for name in SEQUENCES]
    for items in list(found):
        for item in items:
            if isinstance(item, list):
                found += [one.held[0] for one in item if isinstance(one, Wrapped)]
    return [one for one in found if isinstance(one, list)]


def _even(rng, items):
    return 2 * rng.randrange(len(items) // 2 + 1)


def stray_command(rng, release):
    """A command where it may not belong."""
    items = rng.choice(_places(release))
    at = _even(rng, items)
    items[at:at] = command(rng)


def stray_condition(rng, release):
    """A condition with its parameter, somewhere."""
    items = rng.choice(_places(release)) if rng.random() < 0.5 else release.install
    at = _even(rng, items)
    items[at:at] = asked(rng)


def stray_choice(rng, release):
    """A try-each, somewhere, once or twice."""
    items = release.install if rng.random() < 0.7 else rng.choice(_places(release))
    choice = [15, [branch(rng) for _ in range(rng.choice((1, 2, 2, 2, 3, 4, 5)))]]
    for _ in range(rng.choice((1, 1, 2))):
        at = _even(rng, items)
        items[at:at] = choice


def lost_command(rng, release):
    """A command and its argument are gone, or a half of them."""
    items = rng.choice(_places(release))
    if items:
        at = _even(rng, items)
        del items[at : at + rng.choice((2, 2, 2, 2, 1))]


def moved_command(rng, release):
    """A command stands elsewhere, in its sequence or in another one; or twice."""
    items, there = rng.choice(_places(release)), rng.choice(_places(release))
    if rng.random() < 0.6:
        there = items
    at = _even(rng, items)
    taken = deepcopy(items[at : at + 2])
    if rng.random() < 0.7:
        del items[at : at + 2]
    to = _even(rng, there)
    there[to:to] = taken


def reversed_commands(rng, release):
    """The commands of a sequence in another order."""
    items = rng.choice(_places(release))
    pairs = [items[at : at + 2] for at in range(0, len(items), 2)]
    rng.shuffle(pairs)
    items[:] = [one for pair in pairs for one in pair]


def chosen_commands(rng, release):
    """Some commands of a sequence become the branches of a try-each, or one branch of two."""
    items = rng.choice(_places(release))
    start, end = sorted((_even(rng, items), _even(rng, items)))
    inner = items[start:end]
    other = rng.choice((inner, [], [5, 2], asked(rng)))
    branches = [Wrapped([deepcopy(inner)]), Wrapped([deepcopy(other)])]
    rng.shuffle(branches)
    items[start:end] = [15, branches]


def _choices(release):
    return [
        item
        for name in SEQUENCES
        for item in getattr(release, name)
        if isinstance(item, list) and item and isinstance(item[0], Wrapped)
    ]


def other_branches(rng, release):
    """Branches of a try-each: dropped, doubled, swapped, replaced, nested."""
    choices = _choices(release)
    if not choices:
        stray_choice(rng, release)
        return
    branches = rng.choice(choices)
    kind = rng.randrange(6)
    if kind == 0:
        del branches[rng.randrange(len(branches))]
    elif kind == 1:
        branches.insert(rng.randrange(len(branches) + 1), deepcopy(rng.choice(branches)))
    elif kind == 2:
        branches.reverse()
    elif kind == 3:
        branches[rng.randrange(len(branches))] = branch(rng)
    elif kind == 4:
        branches.insert(rng.randrange(len(branches) + 1), branch(rng))
    else:
        branches[0] = Wrapped([[15, list(branches)]])


def other_parameters(rng, release):
    """A map of parameters: one more, one less, one twice, another value."""
    maps = [item for items in _places(release) for item in items if isinstance(item, Map)]
    if not maps:
        return
    pairs = rng.choice(maps).pairs
    kind = rng.randrange(4)
    key = rng.choice(PARAMETERS)
    if kind == 0 and pairs:
        del pairs[rng.randrange(len(pairs))]
    elif kind == 1 and pairs:
        pairs.append(list(rng.choice(pairs)))
    elif kind == 2 and pairs:
        pair = rng.choice(pairs)
        pair[1] = value_of(rng, pair[0])
    elif key not in [pair[0] for pair in pairs]:
        pairs.append([key, value_of(rng, key)])
    if rng.random() < 0.9:
        pairs.sort(key=lambda pair: cbor2.dumps(pair[0]))


def set_again(rng, release):
    """A parameter is set again, to the same value or another's, before or after its use."""
    items = rng.choice(_places(release))
    maps = [item for one in _places(release) for item in one if isinstance(item, Map) and item.pairs]
    if not maps:
        return
    pair = rng.choice(rng.choice(maps).pairs)
    at = _even(rng, items)
    items[at:at] = [20, Map([list(pair)])]


def other_components(rng, release):
    """Components: doubled, in another order, of other names, none."""
    names = [b"app", b"running", b"data", b"firmware", b"payload", b"", "app"]
    release.components = rng.choice(
        (
            [*release.components, b"running"],
            [*release.components, b"data"],
            [b"running", *release.components],
            release.components[::-1],
            [],
            [rng.choice(names) for _ in range(rng.randrange(1, 5))],
        )
    )


def other_policies(rng, release):
    """A reporting policy is another one, or every one."""
    items = rng.choice(_places(release))
    places = [at for at in range(1, len(items), 2) if type(items[at]) is int and items[at - 1] != 12]
    for at in places if rng.random() < 0.3 else places[:1]:
        items[at] = rng.choice(POLICIES)


def empty_sequence(rng, release):
    """A sequence is empty, of odd length, or no sequence."""
    name = rng.choice(SEQUENCES)
    items = getattr(release, name)
    kind = rng.randrange(3)
    if kind == 0:
        items.clear()
    elif kind == 1:
        items.append(rng.choice((2, 3, 20, None)))
    else:
        element = {"validate": 7, "invoke": 9, "install": 20, "shared": 9}[name]
        release.elements[element] = rng.choice((b"", b"\x80", None, list(items), Wrapped([Map([])])))


def other_elements(rng, release):
    """Reference URI, set-version, sequence number, manifest version and elements that have no place."""
    key, value = rng.choice(
        (
            (4, "u" * rng.choice((0, 1, 254, 255, 256))),
            (4, "\u00fc" * rng.choice((127, 128))),
            (4, rng.choice((b"u", None, 1, ["u"]))),
            (
                6,
                Wrapped(
                    [rng.choice(([], [0], [1] * 6, [1] * 7, [-1], [-3, 2], ["1"], [True], [[1]], 1, Map([])))]
                ),
            ),
            (6, rng.choice(([1, 2], None, b"", b"\x81\x00\x00"))),
            (2, rng.choice((0, 2**32, 2**64 - 1, -1, True, "1"))),
            (1, rng.choice((0, 1, 2, True))),
            (
                rng.choice((5, 8, 10, 13, 14, 15, 16, 17, 18, 19, 21, 22, 24, 25)),
                rng.choice((b"", 1, [-16, bytes(32)])),
            ),
            (23, rng.choice(([-16, bytes(32)], [-44, bytes(32)], bytes(32), None))),
            (20, [-16, bytes(32)]),
        )
    )
    release.elements[key] = value


def other_signers(rng, release):
    """Signed by others, by more, by another role, by nine."""
    count = rng.choice((0, 1, 1, 2, 2, 3, 4, 8, 9))
    chosen = tuple(rng.sample(EVERYONE, count))
    release.signers = (
        chosen
        if rng.random() < 0.5
        else (*release.signers, *(one for one in chosen if one not in release.signers))
    )


def shared_index(rng, release):
    """Two images by one index, or an image of another size or content under an index."""
    if len(release.parts) < 2:
        return
    one, other = rng.sample(release.parts, 2)
    for items in _places(release):
        for item in items:
            for pair in item.pairs if isinstance(item, Map) else []:
                is_index = pair == [21, one.uri]
                if is_index:
                    pair[1] = other.uri
                elif (
                    rng.random() < 0.3
                    and pair[0] in {3, 14}
                    and pair[1] == one.matched[{3: "digest", 14: "size"}[pair[0]]]
                ):
                    pair[1] = other.matched[{3: "digest", 14: "size"}[pair[0]]]
    if rng.random() < 0.7:
        release.parts = [other]


EDITS = [
    *[stray_command] * 3,
    *[stray_condition] * 3,
    *[stray_choice] * 3,
    lost_command,
    *[moved_command] * 2,
    reversed_commands,
    *[chosen_commands] * 2,
    *[other_branches] * 4,
    *[other_parameters] * 2,
    *[set_again] * 2,
    other_components,
    other_policies,
    empty_sequence,
    *[other_elements] * 2,
    *[other_signers] * 2,
    *[shared_index] * 2,
    *[text] * 3,
]


def edit(rng, release):
    """Change a release at one to three places."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        rng.choice(EDITS)(rng, release)
