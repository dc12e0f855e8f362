"""The manifest: every command of it read, then followed for each slot, on all ways at once that its conditions leave open."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from pawl_reader.strict import decode, of, require, suit_digest
from pawl_reader.verdict import Image, Verdict

Names = tuple[bytes, ...]
Places = dict[int, dict[bytes, tuple[set[int], set[int]]]]

_APP, _DATA, _RUNNING = b"app", b"data", b"running"
_ROLES = {(_APP,): 1, (_APP, _DATA): 1, (_APP, _RUNNING): 2, (_APP, _RUNNING, _DATA): 2}
_REQUIRED, _OPTIONAL = {1, 2, 3, 6, 7, 9, 20}, {4, 23}
_FETCHED, _ASKED = ({3, 5, 15, 20, 21, 27, 28}, {5, 21, 27, 28}), ({5, 20, 27, 28}, {5, 21, 27, 28})
# By manifest element and component: which commands have a place there, and which parameters; then the same of branches.
_PLACES: Places = {
    3: {_APP: ({1, 2, 5, 15, 20}, {1, 2, 3, 5, 14}), _DATA: ({5, 15, 20}, {3, 5, 14})},
    20: {_APP: _FETCHED, _DATA: _FETCHED, _RUNNING: ({3, 15, 20, 27, 28}, {3, 14, 27, 28})},
    7: {_APP: ({3}, set()), _DATA: ({3}, set())},
    9: {_APP: ({23}, set())},
}
_BRANCHES: Places = {
    3: dict.fromkeys((_APP, _DATA), ({5, 20}, {3, 5, 14})),
    20: {_APP: _ASKED, _DATA: _ASKED, _RUNNING: ({3, 20, 27, 28}, {3, 14, 27, 28})},
}
_NEEDS = {1: [1], 2: [2], 3: [3, 14], 5: [5], 21: [3, 14, 21], 27: [27], 28: [28]}
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
    elements[3] = common[4]  # sequences are called by the element that they stand in
    sequences = {one: _read(names, one, elements[one])[0] for one in (3, 20, 7, 9)}
    images = [image for slot in (0, 1) for image in _images(names, sequences, slot)]
    require(images, "it fits no slot")
    said = Verdict(True, "", b"", of(int, elements[2]), version, _ROLES[names], images=frozenset(images))
    return said, suit_digest(elements[23]) if 23 in elements else None


def _numbers(item: Any) -> tuple[int, ...]:
    return tuple(of(int, part, -(2**64)) for part in of(list, item, 1, 6))


def _read(names: Names, element: int, raw: Any, *, is_branch: bool = False) -> tuple[list[Step], Any]:
    """Return the steps of a sequence or branch, and the component that is current after it, None if that isn't known."""
    items = of(list, decode(of(bytes, raw)), 2)
    require(len(items) % 2 == 0, "a command without argument")
    steps: list[Step] = []
    index: Any = 0 if len(names) == 1 else None
    for command, argument in zip(items[::2], items[1::2], strict=True):
        if of(int, command) == 12:
            index = of(int, argument, 0, len(names) - 1)
            require(len(names) > 1 and names[index] in _PLACES[element], "a component not allowed here")
            continue
        require(index is not None, "a sequence that does not begin with its component")
        commands, parameters = (_BRANCHES if is_branch else _PLACES)[element][names[index]]
        require(command in commands, "a command not allowed here")
        if command == 15:
            read = [_read(names, element, one, is_branch=True) for one in of(list, argument, 2, 4)]
            steps.append((index, command, [branch for branch, _ in read]))
            index = read[0][1] if all(end == read[0][1] for _, end in read) else None
        elif command == 20:
            require(of(dict, argument).keys() <= parameters, "a parameter not allowed here")
            steps.append((index, command, {key: _value(key, argument[key]) for key in argument}))
        else:
            own = {key for at, before, held in steps if (at, before) == (index, 20) for key in held}
            require(not is_branch or own >= {*_NEEDS.get(command, [])}, "a branch uses what it did not set")
            steps.append((index, command, of(int, argument, 0, 15)))
    return steps, index


def _value(key: int, value: Any) -> Any:
    if key in {1, 2}:
        return of(bytes, value, 16, 16)
    if key == 3:
        return suit_digest(decode(of(bytes, value)))
    if key == 28:
        comparison, wanted = of(list, decode(of(bytes, value)), 2, 2)
        return of(int, comparison, 1, 5), _numbers(wanted)
    return of(str, value) if key == 21 else of(int, value, -(2**64) if key == 27 else 0)


def _images(names: Names, sequences: dict[int, list[Step]], slot: int) -> Iterator[Image]:
    """Yield the images of a slot, none if it doesn't fit; refuse a way that leaves something unchecked."""
    with suppress(_OtherSlotError):
        walks = [_Walk(slot, {}).follow(sequences[3] + sequences[one]) for one in (20, 7, 9)]
        install, validate, invoke = walks
        invoke.require_run(0, 1, 2, 23)
        for component, name in enumerate(names):
            install.require_run(component, 3)
            if name != _RUNNING:
                install.require_run(component, 21)
                validate.require_run(component, 3)
                [fetched] = install.facts[component, -21]
                yield Image(name.decode(), slot, *fetched)


class _Walk(NamedTuple):
    """All ways to one point of the sequences, in one slot.

    `facts`, by component: under a parameter each value that it may have there, under a command's negative each tuple of
    parameters that it may have used; None stands for not set, or not run.
    """

    slot: int
    facts: dict[tuple[int, int], frozenset[Any]]

    def require_run(self, component: int, *commands: int) -> None:
        """Refuse a manifest that leaves one of these commands out on any way."""
        run = [one for one in commands if None not in self.facts.get((component, -one), _NOTHING)]
        require(len(run) == len(commands), "something is not checked, fetched, matched or invoked")

    def follow(self, steps: list[Step]) -> "_Walk":
        """Go on to the end of these steps, and return it; stop where they are for the other slot."""
        for component, command, argument in steps:
            if command == 20:
                self.facts.update({(component, key): frozenset([argument[key]]) for key in argument})
            elif command == 15:
                self._meet(list(self._taken(argument)))
            else:
                self._run(component, command)
        return self

    def _run(self, component: int, command: int) -> None:
        known = [self.facts.get((component, need), _NOTHING) for need in _NEEDS.get(command, ())]
        used = tuple(value for one in known for value in one)
        require(len(used) == len(known) and None not in used, "a parameter is not set, or depends on the way")
        if command == 5 and used != (self.slot,):
            raise _OtherSlotError
        before = self.facts.get((component, -command), _NOTHING)
        require(None in before or before == {used} or command not in _OF_ONE_THING, "run on two things")
        self.facts[component, -command] = frozenset([used])
        if command == 21:
            self.facts[component, -3] = _NOTHING  # what was matched before is gone

    def _taken(self, branches: list[list[Step]]) -> Iterator["_Walk"]:
        """Yield the walk through each branch that may be taken: up to the first one that can't fail."""
        for branch in branches:
            with suppress(_OtherSlotError):
                yield _Walk(self.slot, dict(self.facts)).follow(branch)
                if not any(command in _DECIDED_WHEN_RUN for _, command, _ in branch):
                    return
            # It failed: nothing may build on what it set.
            self.facts.update({(at, key): _NOTHING for at, one, held in branch if one == 20 for key in held})

    def _meet(self, walks: list["_Walk"]) -> None:
        """Go on from where these walks end."""
        if not walks:
            raise _OtherSlotError
        for fact in {fact for walk in walks for fact in walk.facts}:
            self.facts[fact] = frozenset().union(*(walk.facts.get(fact, _NOTHING) for walk in walks))
