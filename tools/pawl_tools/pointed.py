"""A text that somebody wrote, its parts, and the character at which it stops making sense."""

from collections.abc import Iterator

from pawl_tools.errors import ToolError


class PointedError(ToolError):
    """The text is refused at a position, counted from 0: printed with a caret under the character."""

    def __init__(self, text: str, position: int, message: str) -> None:
        shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
        super().__init__(f"{message}\n  {shown}\n  {' ' * position}^")
        self.text = text
        self.position = position
        self.message = message


class Part:
    """A stretch of a text, which knows where it is."""

    def __init__(self, whole: str, text: str, position: int) -> None:
        self.whole = whole
        self.text = text
        self.position = position

    def partition(self, separator: str) -> "tuple[Part, Part | None]":
        """Return what is before the separator, and what is behind it, None without one."""
        before, found, after = self.text.partition(separator)
        rest = Part(self.whole, after, self.position + len(before) + len(separator)) if found else None
        return Part(self.whole, before, self.position), rest

    def split(self, separator: str) -> "Iterator[Part]":
        """Yield what separators divide."""
        rest: Part | None = self
        while rest is not None:
            first, rest = rest.partition(separator)
            yield first

    def refuse(self, expected: str) -> PointedError:
        """Return the error that says what should stand here."""
        return PointedError(self.whole, self.position, f"expected {expected}")
