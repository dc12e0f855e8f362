"""The manifest: every command of it read, then followed for each slot, on all ways at once that its conditions leave open."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pawl_reader.strict import decode, digest, of, require
from pawl_reader.verdict import Image, Verdict

_APP, _DATA, _RUNNING = b"app", b"data", b"running"
_ROLES = {(_APP,): 1, (_APP, _DATA): 1, (_APP, _RUNNING): 2, (_APP, _RUNNING, _DATA): 2}
_REQUIRED, _OPTIONAL = {1, 2, 3, 6, 7, 9, 20}, {4, 23}
_FETCHED = ({3, 5, 15, 20, 21, 27, 28}, {5, 21, 27, 28})
# By manifest element and component: which commands have a place there, and which parameters.
_PLACES: dict[int, dict[bytes, tuple[set[int], set[int]]]] = {
    3: {_APP: ({1, 2, 5, 15, 20}, {1, 2, 3, 5, 14}), _DATA: ({5, 15, 20}, {3, 5, 14})},
    20: {_APP: _FETCHED, _DATA: _FETCHED, _RUNNING: ({3, 15, 20, 27, 28}, {3, 14, 27, 28})},
    7: {_APP: ({3}, set()), _DATA: ({3}, set())},
    9: {_APP: ({23}, set())},
}
_IN_A_BRANCH, _NOT_SET_IN_A_BRANCH = {5, 20, 27, 28}, {1, 2}
_NEEDS = {1: [1], 2: [2], 3: [3, 14], 5: [5], 21: [3, 14, 21], 23: [], 27: [27], 28: [28]}
_DECIDED_WHEN_RUN, _OF_ONE_THING = {3, 27, 28}, {1, 2, 3, 21}
_NOTHING: frozenset[Any] = frozenset([None])

Step = tuple[int, int, Any]  # component, command, argument; of a try-each the branches, each a list of steps


class _OtherSlotError(Exception):
    """What is followed is not for this slot."""


def read_manifest(raw: bytes) -> tuple[Verdict, bytes | None]:
    """Return what a manifest says, and the digest of its severed text; refuse all that the profile doesn't name."""
    elements = of(dict, decode(raw))
    require(_REQUIRED <= elements.keys() <= _REQUIRED | _OPTIONAL, "manifest elements")
    require(of(int, elements[1]) == 1, "manifest version")
    require(len(of(str, elements.get(4, "")).encode()) <= 255, "a reference-uri too long")
    version = _numbers(decode(of(bytes, elements[6])))
    common = of(dict, decode(of(bytes, elements[3])))
    require(list(common) == [2, 4], "elements of common")
    names = tuple(of(bytes, *of(list, one, 1, 1)) for one in of(list, common[2], 1, 3))
    require(names in _ROLES, "components")
    raws = {3: common[4], 20: elements[20], 7: elements[7], 9: elements[9]}
    sequences = {element: _Sequence(names, element).read(one) for element, one in raws.items()}
    images = [image for slot in (0, 1) for image in _images(names, sequences, slot)]
    require(images, "it fits no slot")
    said = Verdict(True, "", b"", of(int, elements[2]), version, _ROLES[names], images=frozenset(images))
    return said, digest(elements[23]) if 23 in elements else None


def _numbers(item: Any) -> tuple[int, ...]:
    return tuple(of(int, part, -(2**64)) for part in of(list, item, 1, 6))


class _Sequence:
    """Reads a command sequence or a branch of one; `index` is the current component, None while that isn't known."""

    def __init__(self, names: tuple[bytes, ...], element: int, *, is_branch: bool = False) -> None:
        self._names, self._element, self._is_branch = names, element, is_branch
        self.index: int | None = 0 if len(names) == 1 else None
        self._own: set[tuple[int, int]] = set()

    def read(self, raw: Any) -> list[Step]:
        """Return the steps; each names its component, so that set-component-index is none."""
        items = of(list, decode(of(bytes, raw)), 2)
        require(len(items) % 2 == 0, "a command without argument")
        steps = []
        for command, argument in zip(items[::2], items[1::2], strict=True):
            if of(int, command) == 12:
                require(len(self._names) > 1, "a component index where there is one component")
                self.index = of(int, argument, 0, len(self._names) - 1)
                require(self._names[self.index] in _PLACES[self._element], "a component not allowed here")
            else:
                require(self.index is not None, "a sequence that does not begin with its component")
                steps.append(self._step(of(int, self.index), command, argument))
        return steps

    def _step(self, index: int, command: int, argument: Any) -> Step:
        name = self._names[index]
        commands, parameters = _PLACES[self._element][name]
        require(command in commands, "a command not allowed here")
        if self._is_branch:
            is_allowed = command in _IN_A_BRANCH or (command == 3 and name == _RUNNING)
            require(is_allowed, "a command not allowed in a branch")
            parameters = parameters - _NOT_SET_IN_A_BRANCH
        if command == 15:
            return index, command, self._branches(argument)
        if command == 20:
            require(of(dict, argument).keys() <= parameters, "a parameter not allowed here")
            self._own |= {(index, key) for key in argument}
            return index, command, {key: _value(key, value) for key, value in argument.items()}
        is_own = {(index, need) for need in _NEEDS[command]} <= self._own
        require(is_own or not self._is_branch, "a branch uses what it did not set")
        return index, command, of(int, argument, 0, 15)

    def _branches(self, argument: Any) -> list[list[Step]]:
        readers = [_Sequence(self._names, self._element, is_branch=True) for _ in of(list, argument, 2, 4)]
        branches = [reader.read(raw) for reader, raw in zip(readers, argument, strict=True)]
        ends = {reader.index for reader in readers}
        self.index = ends.pop() if len(ends) == 1 else None
        return branches


def _value(key: int, value: Any) -> Any:
    if key in {1, 2}:
        return of(bytes, value, 16, 16)
    if key == 3:
        return digest(decode(of(bytes, value)))
    if key == 28:
        comparison, wanted = of(list, decode(of(bytes, value)), 2, 2)
        return of(int, comparison, 1, 5), _numbers(wanted)
    return of(str, value) if key == 21 else of(int, value, -(2**64) if key == 27 else 0)


def _images(names: tuple[bytes, ...], sequences: dict[int, list[Step]], slot: int) -> Iterator[Image]:
    """Yield the images of a slot, none if it doesn't fit; refuse a way that leaves something unchecked."""
    walks = {element: _Walk(slot, {}, {}) for element in (20, 7, 9)}
    try:
        for element, walk in walks.items():
            walk.follow(sequences[3] + sequences[element])
    except _OtherSlotError:
        return
    demanded = {(9, 0, 1), (9, 0, 2), (9, 0, 23)}
    for component, name in enumerate(names):
        of_image = {(20, component, 21), (7, component, 3)} if name != _RUNNING else set()
        demanded |= {(20, component, 3), *of_image}
    done = {(element, *one) for element, walk in walks.items() for one in walk.done}
    require(demanded <= done, "not everything is fetched, matched and invoked")
    for component, name in enumerate(names):
        if name != _RUNNING:
            [[sha], [size], [uri]] = walks[20].done[component, 21]
            yield Image(name.decode(), slot, sha, size, uri)


class _Walk(NamedTuple):
    """All ways to one point of the sequences, in one slot.

    `values`: what a parameter of a component may be there (None: not set); `done`: what a command of a component used,
    of those that were run on every way.
    """

    slot: int
    values: dict[tuple[int, int], frozenset[Any]]
    done: dict[tuple[int, int], list[frozenset[Any]]]

    def follow(self, steps: list[Step]) -> None:
        """Go on to the end of these steps; stop where they are for the other slot."""
        for component, command, argument in steps:
            if command == 20:
                self.values.update({(component, key): frozenset([argument[key]]) for key in argument})
            elif command == 15:
                self._meet(list(self._taken(argument)))
            else:
                self._run(component, command)

    def _run(self, component: int, command: int) -> None:
        used = [self.values.get((component, need), _NOTHING) for need in _NEEDS[command]]
        is_known = all(len(one) == 1 and one != _NOTHING for one in used)
        require(is_known, "a command whose parameter is not set, or depends on the way")
        if command == 5 and used != [{self.slot}]:
            raise _OtherSlotError
        is_same = self.done.setdefault((component, command), used) == used
        require(is_same or command not in _OF_ONE_THING, "done twice, to different things")
        if command == 21:
            self.done.pop((component, 3), None)  # what was matched before is gone

    def _taken(self, branches: list[list[Step]]) -> Iterator["_Walk"]:
        """Yield the walk through each branch that may be taken: up to the first one that can't fail."""
        for branch in branches:
            walk = _Walk(self.slot, dict(self.values), dict(self.done))
            try:
                walk.follow(branch)
            except _OtherSlotError:
                pass
            else:
                yield walk
                if not any(command in _DECIDED_WHEN_RUN for _, command, _ in branch):
                    return
            for component, command, argument in branch:  # it failed: nothing may build on what it set
                if command == 20:
                    self.values.update(dict.fromkeys([(component, key) for key in argument], _NOTHING))

    def _meet(self, walks: list["_Walk"]) -> None:
        """Go on from where these walks end."""
        if not walks:
            raise _OtherSlotError
        keys = {key for walk in walks for key in walk.values}
        for key in keys:
            self.values[key] = frozenset().union(*(walk.values.get(key, _NOTHING) for walk in walks))
        common = set.intersection(*(set(walk.done) for walk in walks))
        for one in common:
            places = zip(*(walk.done[one] for walk in walks), strict=True)
            self.done[one] = [frozenset().union(*place) for place in places]
