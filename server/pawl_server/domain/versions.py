"""Versions: how people write them, and bytes that sort as devices compare them.

A version has 1 to 6 integers. Negative ones mark what comes before a release (update-management, version match):
1.4-rc.1 is (1, 4, -1, 1). Devices compare element by element, the shorter version padded with zeros.
"""

import re
from collections.abc import Sequence

NUMBERS_MAX = 6
# What a CBOR integer can be, so what a device can report.
_NUMBER_MIN, _NUMBER_MAX = -(2**64), 2**64 - 1
_DIGITS_MAX = 20
_ZERO = 0x80
_WORDS = {"rc": -1, "beta": -2, "alpha": -3}
_WORD_OF = {number: word for word, number in _WORDS.items()}
_WRITTEN = re.compile(rf"-?[0-9]{{1,{_DIGITS_MAX}}}(\.-?[0-9]{{1,{_DIGITS_MAX}}}|-(rc|beta|alpha))*")
_PART = re.compile(r"\.?(-?[0-9]+)|-([a-z]+)")


class VersionError(ValueError):
    """The text isn't a version."""


def parse_version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version as people write it: 1.4, 1.4.0, 1.4-rc.1; VersionError if it is none."""
    if not _WRITTEN.fullmatch(text):
        raise VersionError(f"{text!r} is not a version: write numbers with dots, such as 1.4.0 or 1.4-rc.1")
    version = tuple(_WORDS[word] if word else int(number) for number, word in _PART.findall(text))
    if len(version) > NUMBERS_MAX or not all(_NUMBER_MIN <= number <= _NUMBER_MAX for number in version):
        raise VersionError(f"{text!r} is not a version: it has 1 to {NUMBERS_MAX} numbers of at most 64 bits")
    return version


def version_text(version: Sequence[int]) -> str:
    """Return a version as people write it."""
    return str(version[0]) + "".join(
        f"-{_WORD_OF[number]}" if number in _WORD_OF else f".{number}" for number in version[1:]
    )


def version_key(version: str | Sequence[int]) -> bytes:
    """Return bytes that compare as devices compare versions; equal ones for 1.4 and 1.4.0."""
    numbers = parse_version(version) if isinstance(version, str) else version
    if len(numbers) > NUMBERS_MAX:
        raise VersionError(f"a version has at most {NUMBERS_MAX} numbers")
    padding = bytes([_ZERO]) * (NUMBERS_MAX - len(numbers))
    return b"".join(map(_number_key, numbers)) + padding


def _number_key(number: int) -> bytes:
    """Return sign and length, then the digits; those of a negative number run backwards."""
    magnitude = abs(number)
    digits = magnitude.to_bytes((magnitude.bit_length() + 7) // 8)
    if number >= 0:
        return bytes([_ZERO + len(digits)]) + digits
    return bytes([_ZERO - len(digits)]) + bytes(0xFF - digit for digit in digits)
