r"""The console of a board: lines with the time they came, and waiting for one of them.

Bytes that aren't UTF-8 show as `\xff`. Nothing is lost over resets and power cuts; an unfinished line ends there.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pawl_boards.errors import BoardDiedError, BoardError, ConsoleTimeoutError

SHOWN_LINES = 40
LINE_BYTES_MAX = 4096  # what has no end by then is cut there

Wanted = str | Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Line:
    """One line: seconds since the console was opened, which start of the board printed it, and its text."""

    seconds: float
    start: int
    text: str

    def __str__(self) -> str:
        """Return it as the log has it."""
        return f"[{self.start}] {self.seconds:9.3f} {self.text}"


class Console:
    """Lines of a board; fed by the thread that reads them, asked by tests. `log` receives the same lines."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("a", encoding="utf-8", buffering=1)
        self._opened = time.monotonic()
        self._changed = threading.Condition()
        self._lines: list[Line] = []
        self._callbacks: list[Callable[[Line], object]] = []
        self._unfinished = b""
        self._start = 0
        self._next = 0  # the line where the next wait begins
        self._death = ""
        self._fault: Exception | None = None
        self._calling: int | None = None  # the thread that calls back, while it does

    # --- for tests ---

    @property
    def lines(self) -> list[Line]:
        """All lines so far."""
        with self._changed:
            return list(self._lines)

    @property
    def text(self) -> str:
        """All lines so far, as one text."""
        return "\n".join(line.text for line in self.lines)

    @property
    def death(self) -> str:
        """How the board ended by itself, or an empty string."""
        return self._death

    @property
    def is_calling_back(self) -> bool:
        """Whether this is asked from within a callback."""
        return self._calling == threading.get_ident()

    def on_line(self, callback: Callable[[Line], object]) -> None:
        """Call back with each new line, from the thread that reads; what it raises is raised by the next wait."""
        with self._changed:
            self._callbacks.append(callback)

    def skip(self) -> None:
        """Let the next wait begin here, whatever was printed before."""
        with self._changed:
            self._next = len(self._lines)

    def wait_for(self, wanted: Wanted, timeout_s: float = 30.0) -> Line:
        """Return the first line, after the one found last, that contains the text or satisfies the predicate.

        Raises:
            ConsoleTimeoutError: it didn't come in time; the message ends with the console's last lines.
            BoardDiedError: the board ended by itself before.

        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while (found := self._find(wanted)) is None:
                self._raise_fault(wanted)
                if not self._changed.wait(deadline - time.monotonic()):
                    raise ConsoleTimeoutError(self._told(f"no line in {timeout_s:g} s with {_named(wanted)}"))
            return found

    def tail(self) -> str:
        """Return the last lines as one text."""
        with self._changed:
            shown = [str(line) for line in self._lines[-SHOWN_LINES:]]
        return "\n".join(shown) or "(the console is empty)"

    # --- for the driver of the board ---

    def begin(self, start: int) -> None:
        """Let what follows belong to this start of the board."""
        with self._changed:
            self._start = start
            self._death = ""
            self._log.write(f"--- start {start}\n")

    def feed(self, data: bytes) -> None:
        """Take bytes as they came from the UART."""
        with self._changed:
            *finished, self._unfinished = (self._unfinished + data).split(b"\n")
            while len(self._unfinished) > LINE_BYTES_MAX:
                finished.append(self._unfinished[:LINE_BYTES_MAX])
                self._unfinished = self._unfinished[LINE_BYTES_MAX:]
            new = [self._add(raw) for raw in finished]
            self._changed.notify_all()
        for line in new:
            self._call_back(line)

    def end(self, death: str = "") -> None:
        """End the unfinished line; `death` says how the board ended, if nobody switched it off."""
        if self._unfinished:
            self.feed(b"\n")
        with self._changed:
            self._death = death
            self._log.write(f"--- {death or 'over'}\n")
            self._changed.notify_all()

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    # --- within ---

    def _add(self, raw: bytes) -> Line:
        text = raw.rstrip(b"\r").decode(errors="backslashreplace")
        line = Line(time.monotonic() - self._opened, self._start, text)
        self._log.write(f"{line}\n")
        self._lines.append(line)
        return line

    def _call_back(self, line: Line) -> None:
        self._calling = threading.get_ident()
        for callback in list(self._callbacks):
            self._call(callback, line)
        self._calling = None

    def _call(self, callback: Callable[[Line], object], line: Line) -> None:
        try:
            callback(line)
        except Exception as fault:  # noqa: BLE001 (the reader must go on; the next wait raises it)
            self._fault = fault

    def _find(self, wanted: Wanted) -> Line | None:
        matches = wanted if callable(wanted) else lambda text: wanted in text
        for number in range(self._next, len(self._lines)):
            if matches(self._lines[number].text):
                self._next = number + 1
                return self._lines[number]
        return None

    def _raise_fault(self, wanted: Wanted) -> None:
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise BoardError(self._told(f"a callback of the console failed: {fault!r}")) from fault
        if self._death:
            raise BoardDiedError(self._told(f"{self._death}; waited for {_named(wanted)}"))

    def _told(self, what: str) -> str:
        return f"{what}; the console's last lines:\n{self.tail()}"


def _named(wanted: Wanted) -> str:
    return repr(wanted) if isinstance(wanted, str) else getattr(wanted, "__name__", repr(wanted))
