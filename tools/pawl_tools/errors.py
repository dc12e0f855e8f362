"""What a command says when it can't go on: one line with the cause and the next step."""


class ToolError(Exception):
    """An unusable argument, file or environment; its text is for the person at the terminal."""
