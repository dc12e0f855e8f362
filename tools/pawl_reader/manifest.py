"""The manifest, followed for each slot along every way that its conditions leave open: what is fetched, matched, invoked."""

from typing import Any

from pawl_reader.strict import decode, digest, of, require
from pawl_reader.verdict import Image, Verdict

_ROLES = {(b"app",): 1, (b"app", b"data"): 1, (b"app", b"running"): 2, (b"app", b"running", b"data"): 2}
_REQUIRED, _OPTIONAL = {1, 2, 3, 6, 7, 9, 20}, {4, 23}
_COMMANDS = {3: {1, 2, 5, 12, 15, 20}, 20: {3, 5, 12, 15, 20, 21, 27, 28}, 7: {3, 12}, 9: {12, 23}}
_PARAMETERS = {3: {1, 2, 3, 5, 14}, 20: {5, 21, 27, 28}}
_PARAMETERS_OF_RUNNING = {3, 14, 27, 28}
_NOT_IN_A_BRANCH, _DECIDED_WHEN_RUN = {15, 21, 23}, {1, 2, 3, 27, 28}
_NEEDS = {1: {1}, 2: {2}, 3: {3, 14}, 5: {5}, 27: {27}, 28: {28}}
_WAYS_MAX = 64

Way = list[tuple[int, int, int, Any]]  # of manifest element, component, command, argument


def read_manifest(raw: bytes) -> tuple[Verdict, bytes | None]:
    """Return what a manifest says, and the digest of its severed text; refuse all that the profile doesn't name."""
    elements = of(dict, decode(raw))
    require(_REQUIRED <= elements.keys() <= _REQUIRED | _OPTIONAL, "manifest elements")
    require(of(int, elements[1]) == 1, "manifest version")
    require(len(of(str, elements.get(4, "")).encode()) <= 255, "a reference-uri too long")
    version = tuple(_numbers(decode(of(bytes, elements[6]))))
    common = of(dict, decode(of(bytes, elements[3])))
    require(list(common) == [2, 4], "elements of common")
    names = tuple(of(bytes, *of(list, one, 1, 1)) for one in of(list, common[2], 1, 3))
    require(names in _ROLES, "components")
    sequences = {3: common[4], 20: elements[20], 7: elements[7], 9: elements[9]}
    images = [image for slot in (0, 1) for image in _Slot(names, slot).images(sequences)]
    require(images, "it fits no slot")
    said = Verdict(True, "", b"", of(int, elements[2]), version, _ROLES[names], images=frozenset(images))
    return said, digest(elements[23]) if 23 in elements else None


def _numbers(item: Any) -> list[int]:
    return [of(int, part, -(2**64)) for part in of(list, item, 1, 6)]


class _Slot:
    """Follows the sequences of a manifest as the device does that installs it into this slot."""

    def __init__(self, names: tuple[bytes, ...], slot: int) -> None:
        self._names, self._slot = names, slot
        self._demanded = {(3, 0, 1), (3, 0, 2), (9, 0, 23)}
        for component, name in enumerate(names):
            of_image = {(20, component, 21), (7, component, 3)} if name != b"running" else set()
            self._demanded |= {(20, component, 3), *of_image}

    def images(self, sequences: dict[int, Any]) -> list[Image]:
        """Return the images of the slot, none if it doesn't fit; refuse a way that leaves something unchecked."""
        ways = {element: self._ways(element, raw)[0] for element, raw in sequences.items()}
        [validate], [invoke] = ways[7], ways[9]
        images = []
        for shared, install in ((one, other) for one in ways[3] for other in ways[20]):
            _run(shared + validate)
            in_force = _run(shared + install)
            done = {step[:3] for step in shared + install + validate + invoke}
            require(self._demanded <= done, "not everything is fetched, matched and invoked")
            for component, name in enumerate(self._names):
                if name != b"running":
                    facts: Any = [in_force.get((component, parameter)) for parameter in (3, 14, 21)]
                    require(None not in facts, "an image without digest, size or uri")
                    images.append(Image(name.decode(), self._slot, *facts))
        return images

    def _ways(self, element: int, raw: Any, *, is_branch: bool = False) -> tuple[list[Way], int | None]:
        """Return every way through a sequence that this slot leaves open, and the component index after it."""
        items = of(list, decode(of(bytes, raw)), 2)
        require(len(items) % 2 == 0, "a command without argument")
        ways: list[Way] = [[]]
        index: Any = 0 if len(self._names) == 1 else None
        for command, argument in zip(items[::2], items[1::2], strict=True):
            require(of(int, command) in _COMMANDS[element], "a command not allowed here")
            require(not (is_branch and command in _NOT_IN_A_BRANCH), "a command not allowed in a branch")
            if command == 12:
                require(len(self._names) > 1, "a component index where there is one component")
                index = of(int, argument, 0, len(self._names) - 1)
                require(element == 20 or self._names[index] != b"running", "running outside of install")
                continue
            require(index is not None, "a sequence that does not begin with its component")
            if command == 15:
                branches, index = self._branches(element, argument)
                ways = [way + branch for way in ways for branch in branches]
                require(len(ways) <= _WAYS_MAX, "too many ways through it")
            else:
                step = (element, index, command, self._argument(element, index, command, argument))
                ways = [[*way, step] for way in ways]
        return [way for way in ways if self._is_open(way)], index

    def _branches(self, element: int, argument: Any) -> tuple[list[Way], int | None]:
        """Return the branches that may be taken: up to the first one that can't fail."""
        taken: list[Way] = []
        indices, is_decided = set(), False
        for raw in of(list, argument, 2, 4):
            ways, index = self._ways(element, raw, is_branch=True)
            indices.add(index)
            for way in ways if not is_decided else []:
                _run(way)  # a branch sets what it uses: what a failed one set stays
                is_decided = not any(command in _DECIDED_WHEN_RUN for _, _, command, _ in way)
                taken.append(way)
        return taken, indices.pop() if len(indices) == 1 else None

    def _is_open(self, way: Way) -> bool:
        settings = [argument[5] for _, _, command, argument in way if command == 20 and 5 in argument]
        return all(slot == self._slot for slot in settings)

    def _argument(self, element: int, index: int, command: int, argument: Any) -> Any:
        is_running = self._names[index] == b"running"
        require(command != 21 or not is_running, "a fetch into what runs")
        require(command != 23 or index == 0, "only the application is invoked")
        if command != 20:
            return of(int, argument, 0, 15)
        allowed = _PARAMETERS_OF_RUNNING if is_running else _PARAMETERS[element]
        require(of(dict, argument).keys() <= allowed, "a parameter not allowed here")
        return {key: _value(key, value) for key, value in argument.items()}


def _value(key: int, value: Any) -> Any:
    if key in {1, 2}:
        return of(bytes, value, 16, 16)
    if key == 3:
        return digest(decode(of(bytes, value)))
    if key == 28:
        comparison, wanted = of(list, decode(of(bytes, value)), 2, 2)
        return of(int, comparison, 1, 5), _numbers(wanted)
    return of(str, value) if key == 21 else of(int, value, -(2**64) if key == 27 else 0)


def _run(way: Way) -> dict[tuple[int, int], Any]:
    """Return the parameters in force at the end; a condition needs its own before it, and as they stay."""
    in_force: dict[tuple[int, int], Any] = {}
    used = []
    for _, component, command, argument in way:
        if command == 20:
            in_force |= {(component, key): value for key, value in argument.items()}
        for need in _NEEDS.get(command, ()):
            require((component, need) in in_force, "a condition without its parameter")
            used.append((component, need, in_force[component, need]))
    require(all(in_force[component, need] == value for component, need, value in used), "a parameter changed")
    return in_force
