"""QEMU's monitor protocol (QMP): one JSON object a line; answers come in the order of commands, events between them."""

import contextlib
import json
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

from pawl_boards.errors import BoardError

ANSWER_TIMEOUT_S = 30.0
AWAKE_S = 0.1

Message = dict[str, Any]


class Monitor:
    """One connection to a QEMU. `on_event` is called with an event's name, from the thread that reads."""

    def __init__(self, connection: socket.socket, on_event: Callable[[str], None]) -> None:
        self._connection = connection
        self._on_event = on_event
        self._answers: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._reader = connection.makefile("rb")
        self._one_at_a_time = threading.Lock()
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True, name="qmp")
        self._thread.start()
        self._awake = threading.Thread(target=self._keep_awake, daemon=True, name="qmp awake")

    def greet(self) -> None:
        """Take QEMU's greeting and switch to commands."""
        self._answer("start")
        self.execute("qmp_capabilities")
        self._awake.start()

    def _keep_awake(self) -> None:
        """Ask for something all the time.

        QEMU 7.2 on a loaded host misses timers of a board that writes to its flash: its main loop sleeps on until anything
        else happens (seen: until the watchdog's end, 30 s later). A question is something else.
        """
        with contextlib.suppress(BoardError):
            while not self._is_closed.wait(AWAKE_S):
                self.execute("query-status")

    def execute(self, command: str) -> None:
        """Run a command without arguments; BoardError if QEMU refuses it, is gone, or doesn't answer."""
        with self._one_at_a_time:
            try:
                self._connection.sendall(json.dumps({"execute": command}).encode() + b"\n")
            except OSError as error:
                raise BoardError(f"QEMU is gone, it can't be asked for {command}: {error}") from error
            answer = self._answer(command)
        if "error" in answer:
            raise BoardError(f"QEMU refuses {command}: {answer['error']['desc']}")

    def close(self) -> None:
        """Let go of a QEMU that is gone."""
        self._is_closed.set()
        self._connection.close()
        self._thread.join()
        if self._awake.ident is not None:
            self._awake.join()
        self._reader.close()

    def _answer(self, command: str) -> Message:
        try:
            answer = self._answers.get(timeout=ANSWER_TIMEOUT_S)
        except queue.Empty:
            raise BoardError(f"QEMU doesn't answer {command} in {ANSWER_TIMEOUT_S:g} s") from None
        if answer is None:
            raise BoardError(f"QEMU is gone, it can't be asked for {command}")
        return answer

    def _read(self) -> None:
        try:
            for line in self._reader:
                message = json.loads(line)
                if "event" in message:
                    self._on_event(message["event"])
                else:
                    self._answers.put(message)
        except (OSError, ValueError):
            pass  # cut in the middle of a message: the board was switched off
        self._answers.put(None)
