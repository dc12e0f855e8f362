"""What goes wrong with a board: each message names the cause and the next step."""


class BoardError(Exception):
    """A board can't be used as asked."""


class BoardDiedError(BoardError):
    """A board's emulator ended without being switched off."""


class ConsoleTimeoutError(BoardError):
    """A board didn't print in time what was waited for."""


class NotPossibleError(BoardError):
    """A kind of board can't do this at all."""
