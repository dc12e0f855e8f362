"""What is said of a text that is no filter: what was expected, under the character where it was."""

import unicodedata

_SHOWN_BEFORE = 60
_SHOWN_AFTER = 40
_CUT = "…"


class FilterError(ValueError):
    """The text isn't a filter; `position` counts its characters from 0."""

    def __init__(self, text: str, position: int, message: str) -> None:
        super().__init__(text, position, message)
        self.text = text
        self.position = position
        self.message = message

    def __str__(self) -> str:
        """Return the filter in one line, a caret under the character, and the message."""
        start = max(0, self.position - _SHOWN_BEFORE)
        end = self.position + _SHOWN_AFTER
        before = (_CUT if start else "") + _shown(self.text[start : self.position])
        after = _shown(self.text[self.position : end]) + (_CUT if end < len(self.text) else "")
        return f"{before}{after}".rstrip() + f"\n{' ' * _columns(before)}^\n{self.message}"


def _shown(text: str) -> str:
    """Return one line that a terminal can show: spaces for newlines, a sign for what it would obey or can't encode."""
    return "".join(
        " " if char.isspace() else char if char.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def _columns(text: str) -> int:
    """Return how wide a terminal shows the text: two columns a wide character, none a combining one."""
    return sum(_width(char) for char in text)


def _width(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
