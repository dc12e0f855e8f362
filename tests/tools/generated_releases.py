"""Bundles around generated manifests: the images and indexes that they speak of, and all that is needed to sign them."""

from generated_manifests import AT, content, sample
from mutations import Map, Wrapped
from release_keys import RECOVERY, RELEASE
from release_shapes import Part, Release, parameters

_IMAGES = (1, 2, 3)


def generated(rng):
    """Return a release with a generated manifest; one of two components may become a recovery."""
    shared, install = sample(rng)
    is_one = shared[0] != AT
    parts = {f"uri {number}": Part(content(number)) for number in _IMAGES}
    release = Release(
        parts=[],
        components=[b"app"] if is_one else [b"app", b"data"],
        shared=_tree(shared, parts),
        install=_tree(install, parts),
        validate=[3, 2] if is_one else [12, 0, 3, 2, 12, 1, 3, 2],
        invoke=[23, 2] if is_one else [12, 0, 23, 2],
        signers=(rng.choice(RELEASE),),
    )
    if not is_one and rng.random() < 0.5:
        _recover(rng, release)
    release.parts = _fetched(release, parts)
    return release


def _tree(commands, parts):
    """Return a generated sequence as a tree, with the URIs of real indexes."""
    items = []
    for item in commands:
        if isinstance(item, dict):
            pairs = [[key, parts[value].uri if key == 21 else value] for key, value in sorted(item.items())]
            items.append(Map(pairs))
        elif isinstance(item, list):
            items.append([Wrapped([_tree(one, parts)]) for one in item])
        else:
            items.append(item)
    return items


def _recover(rng, release):
    """Put `running` between the components, and ask for it somewhere in install, once or twice."""
    release.components.insert(1, b"running")
    release.signers = (rng.choice(RECOVERY),)
    for items in (release.shared, release.install, release.validate):
        _move_data(items)
    for _ in range(rng.choice((1, 1, 1, 2))):
        at = 2 * rng.randrange(len(release.install) // 2 + 1)
        named = [[12, 1, *_running(rng), 3, 2] for _ in range(rng.choice((1, 2, 2, 3)))]
        question = named[0] if len(named) == 1 else [12, 1, 15, [Wrapped([one]) for one in named]]
        release.install[at:at] = [*question, *([12, rng.choice((0, 2))] if rng.random() < 0.8 else [])]


def _running(rng):
    return parameters(**Part(content(rng.choice((1, 1, 2)))).matched)


def _move_data(items):
    for at in range(0, len(items), 2):
        if items[at] == 12 and items[at + 1] == 1:
            items[at + 1] = 2
        elif items[at] == 15:
            for one in items[at + 1]:
                _move_data(one.held[0])


def _fetched(release, parts):
    """Return the parts of which a URI stands anywhere: of what is never fetched a bundle holds nothing."""
    text = repr(release.install)
    return [part for part in parts.values() if part.uri in text]
