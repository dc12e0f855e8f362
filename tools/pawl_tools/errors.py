"""What a command says when it can't go on: one line with the cause and the next step."""


class ToolError(Exception):
    """An unusable argument, file or environment; its text is for the person at the terminal."""

    exit_code = 2


class RefusedError(ToolError):
    """What was asked was understood and refused, by the fleet server or by a rule."""

    exit_code = 1
