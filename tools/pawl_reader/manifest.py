"""The manifest, followed for each slot along every way that its conditions leave open: what is fetched, matched, invoked.

Order and repetition within a sequence are free; the last setting of a parameter is in force.
"""

from dataclasses import dataclass
from typing import Any

from pawl_reader.strict import array, decode, digest, mapping, number, octets, require, text
from pawl_reader.verdict import Image

_ROLES = {("app",): 1, ("app", "data"): 1, ("app", "running"): 2, ("app", "running", "data"): 2}
_REQUIRED, _OPTIONAL = {1, 2, 3, 6, 7, 9, 20}, {4, 23}
_COMMANDS = {
    "shared": {1, 2, 5, 12, 15, 20},
    "install": {3, 5, 12, 15, 20, 21, 27, 28},
    "validate": {3, 12},
    "invoke": {12, 23},
}
_NOT_IN_A_BRANCH = {15, 21, 23}
_PARAMETERS = {"shared": {1, 2, 3, 5, 14}, "install": {5, 21, 27, 28}, "running": {3, 14, 27, 28}}
_NEEDS = {1: {1}, 2: {2}, 3: {3, 14}, 5: {5}, 21: {21}, 27: {27}, 28: {28}}
_KNOWN_AT_RUN_TIME = {1, 2, 3, 27, 28}
_WAYS_MAX = 64

Step = tuple[int, int, Any]  # component, command, argument
Way = list[Step]


@dataclass(frozen=True)
class Manifest:
    """What a manifest says; `text` is the digest of the severed text, if there is one."""

    sequence: int
    version: tuple[int, ...]
    role: int
    images: frozenset[Image]
    text: bytes | None


def read_manifest(raw: bytes) -> Manifest:
    """Return what a manifest says; refuse all that the profile doesn't name."""
    elements = mapping(decode(raw))
    require(elements.keys() >= _REQUIRED and elements.keys() <= _REQUIRED | _OPTIONAL, "manifest elements")
    require(number(elements[1]) == 1, "manifest version")
    require(len(text(elements.get(4, "")).encode()) <= 255, "a reference-uri too long")
    version = array(decode(octets(elements[6])), 1, 6)
    require(all(type(part) is int for part in version), "a version of other than numbers")
    common = mapping(decode(octets(elements[3])))
    require(list(common) == [2, 4], "elements of common")
    names = tuple(octets(array(one, 1, 1)[0]).decode("latin-1") for one in array(common[2], 1, 3))
    require(names in _ROLES, "components")
    sections = {"shared": common[4], "install": elements[20], "validate": elements[7], "invoke": elements[9]}
    images = [image for slot in (0, 1) for image in _images_in(sections, names, slot)]
    require(images, "it fits no slot")
    described = digest(elements[23]) if 23 in elements else None
    return Manifest(number(elements[2]), tuple(version), _ROLES[names], frozenset(images), described)


def _images_in(sections: dict[str, Any], names: tuple[str, ...], slot: int) -> list[Image]:
    """Return the images of a slot; refuse a way that leaves one out."""
    ways = {name: _Sequence(name, names, slot).ways(raw)[0] for name, raw in sections.items()}
    images = []
    for shared in ways["shared"]:
        require((0, 1) in _done(shared) and (0, 2) in _done(shared), "vendor and class are not checked")
        _require_complete(shared, shared)
        for name in ("validate", "invoke"):
            _require_complete(shared + ways[name][0], ways[name][0])
        for install in ways["install"]:
            in_force = _require_complete(shared + install, install)
            for component, name in enumerate(names):
                if name == "running":
                    require((component, 3) in _done(install), "it does not say what it recovers from")
                    continue
                required = [(component, 21) in _done(install), (component, 3) in _done(install)]
                require(all(required) and (component, 3) in _done(ways["validate"][0]), "an image unchecked")
                content, size, uri = (in_force[component, parameter] for parameter in (3, 14, 21))
                images.append(Image(component=name, slot=slot, digest=content, size=size, uri=uri))
    require((0, 23) in _done(ways["invoke"][0]), "nothing is invoked")
    return images


def _done(way: Way) -> set[tuple[int, int]]:
    return {(component, command) for component, command, _ in way}


def _in_force(way: Way) -> dict[tuple[int, int], Any]:
    settings = [(component, argument) for component, command, argument in way if command == 20]
    return {(component, key): value for component, values in settings for key, value in values.items()}


def _require_complete(before: Way, way: Way) -> dict[tuple[int, int], Any]:
    """Return the parameters in force; refuse a command whose parameters nothing sets."""
    in_force = _in_force(before)
    for component, command in _done(way):
        require(all((component, need) in in_force for need in _NEEDS.get(command, ())), "a parameter unset")
    return in_force


class _Sequence:
    """Reads the command sequences of one section, its branches too."""

    def __init__(self, section: str, names: tuple[str, ...], slot: int) -> None:
        self._section, self._names, self._slot = section, names, slot

    def ways(self, raw: Any, *, is_branch: bool = False) -> tuple[list[Way], int | None]:
        """Return every way through a sequence that this slot leaves open, and the component index after it."""
        items = array(decode(octets(raw)), 2, 1024)
        require(len(items) % 2 == 0, "a command without argument")
        index = 0 if len(self._names) == 1 else None
        ways: list[Way] = [[]]
        for command, argument in zip(items[::2], items[1::2], strict=True):
            require(
                type(command) is int and command in _COMMANDS[self._section], "a command not allowed here"
            )
            require(not (is_branch and command in _NOT_IN_A_BRANCH), "a command not allowed in a branch")
            require(command == 12 or index is not None, "a sequence that does not begin with its component")
            if command == 12:
                index = self._index(argument)
            elif command == 15:
                branches, index = self._branches(argument)
                ways = [way + branch for way in ways for branch in branches]
                require(len(ways) <= _WAYS_MAX, "too many ways through it")
            else:
                step = self._step(index or 0, command, argument)
                ways = [[*way, step] for way in ways]
        return [way for way in ways if self._is_open(way)], index

    def _index(self, argument: Any) -> int:
        require(len(self._names) > 1, "a component index where there is one component")
        index = number(argument, len(self._names) - 1)
        require(self._names[index] != "running" or self._section == "install", "running outside of install")
        return index

    def _branches(self, argument: Any) -> tuple[list[Way], int | None]:
        """Return the branches that may be taken: up to the first one that can't fail."""
        taken: list[Way] = []
        is_decided, indices = False, set()
        for raw in array(argument, 2, 4):
            ways, index = self.ways(raw, is_branch=True)
            indices.add(index)
            for way in ways if not is_decided else []:
                is_decided = not any(command in _KNOWN_AT_RUN_TIME for _, command, _ in way)
                taken.append(way)
        return taken, indices.pop() if len(indices) == 1 else None

    def _is_open(self, way: Way) -> bool:
        in_force = _in_force(way)
        slots = [in_force.get((component, 5)) for component, command, _ in way if command == 5]
        return all(slot == self._slot for slot in slots)

    def _step(self, component: int, command: int, argument: Any) -> Step:
        is_running = self._names[component] == "running"
        require(command not in {21, 23} or not is_running, "nothing is fetched into what runs")
        require(command != 23 or component == 0, "only the application is invoked")
        if command != 20:
            return component, command, number(argument, 15)
        allowed = _PARAMETERS["running" if is_running else self._section]
        values = mapping(argument)
        require(values.keys() <= allowed, "a parameter not allowed here")
        return component, command, {key: _value(key, value) for key, value in values.items()}


def _value(key: int, value: Any) -> Any:
    """Return a parameter's value, read."""
    if key in {1, 2}:
        return octets(value, 16)
    if key == 3:
        return digest(decode(octets(value)))
    if key == 21:
        return text(value)
    if key == 28:
        comparison, wanted = array(decode(octets(value)), 2, 2)
        require(1 <= number(comparison) <= 5, "an unknown comparison")
        require(all(type(part) is int for part in array(wanted, 1, 6)), "a version of other than numbers")
    elif key == 27:
        require(type(value) is int, "a priority is a number")
    else:
        return number(value)
    return value
