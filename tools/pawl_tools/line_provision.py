"""Provisioning over a serial line: the host's half. A blank board gets its flash image; `pawl.blank` is the board's half.

    provision("socket://127.0.0.1:5001", layout, lambda: image)

Why this opens no door on a device in use: only a board whose region `identity_a` is erased as a whole listens at all. That
region is written once, by the board itself, as the last step of provisioning, and no code of the agent erases it. Who can
erase it from outside can write the flash anyway, and gets a board without the keys that it had: before the first byte is
taken, everything is erased. The line carries the device's private keys in clear: use a cable that you can see.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from pawl import line
from pawl_tools import bridge_wire
from pawl_tools.errors import ToolError
from pawl_tools.layouts import Layout

SILENT_MAX = 5  # sendings without any answer
ERASING_MAX = 150  # sendings of the first span, while the board erases
ATTEMPTS = 3
_OFFSET_BYTES = 4

Tell = Callable[[str], None]
Frame = tuple[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a board to say that it is blank, and for an answer until the frame is sent again."""

    blank_s: float = 10.0
    answer_s: float = 2.0


PATIENT = Patience()


class _StartedOverError(Exception):
    """The board is blank again, in the middle: its power was cut, or it waited for too long."""


def provision(
    name: str,
    layout: Layout,
    make_image: Callable[[], bytes],
    tell: Tell,
    patience: Patience = PATIENT,
) -> None:
    """Write a flash image into the blank board on a line; it is made when the board was found to be the right one."""
    asyncio.run(_provision(name, make_image, Desk(name, layout, tell, patience)))


async def _provision(name: str, make_image: Callable[[], bytes], desk: "Desk") -> None:
    spec = bridge_wire.parse(name)
    try:
        wire = await spec.begin() or await spec.open()
    except OSError as error:
        raise ToolError(f"{name} can't be opened ({error}): is the board powered on?") from None
    with contextlib.closing(wire):
        await desk.meet(wire)
        await desk.write(make_image())


def spans(layout: Layout, image: bytes) -> list[tuple[int, bytes]]:
    """Return (offset, bytes) of what isn't erased in an image, in the order that a board takes; `identity_a` it copies itself."""
    regions = dict(layout.REGIONS)
    last = regions.pop("identity_b")
    first = regions.pop("identity_a")
    copies = [image[start : start + size].rstrip(b"\xff") for start, size in (first, last)]
    if copies[0] != copies[1]:
        raise ToolError("the image's two identity records differ: a board that was in use? make a new one")
    return [span for region in [*sorted(regions.values()), last] for span in _spans(layout, image, *region)]


def _spans(layout: Layout, image: bytes, start: int, size: int) -> Iterator[tuple[int, bytes]]:
    unit = layout.PROGRAM_BYTES
    most = (line.PAYLOAD_MAX - _OFFSET_BYTES) // unit * unit
    for at in range(start, start + size, most):
        data = image[at : min(at + most, start + size)]
        used = len(data.rstrip(bytes([layout.ERASED])))
        if used:
            yield at, data[: -(-used // unit) * unit]


class Desk:
    """The host's side of a line."""

    _wire: bridge_wire.Wire

    def __init__(self, name: str, layout: Layout, tell: Tell, patience: Patience) -> None:
        self._name = name
        self._patience = patience
        self._layout = layout
        self._tell = tell
        self._frames = line.Frames()
        self._held = b""

    async def meet(self, wire: bridge_wire.Wire) -> None:
        """Wait for a blank board on an open line; ToolError if none says that it is, or it is another one than wanted."""
        self._wire = wire
        try:
            async with asyncio.timeout(self._patience.blank_s):
                while (frame := await self._frame())[0] != line.BLANK:
                    pass
        except TimeoutError:
            self._nobody()
        self._require_right(frame[1])

    def _require_right(self, name: bytes) -> None:
        if name != self._layout.NAME.encode():
            said = ascii(name.decode(errors="replace"))
            raise ToolError(
                f"the board on {self._name} is {said}, the image is for {self._layout.NAME!r}: "
                "give --board its name, or connect the other one"
            )

    def _nobody(self) -> NoReturn:
        raise ToolError(
            f"no blank board answers on {self._name}: is it powered on, with its line there, and no other program "
            "on it? A board that is provisioned never answers"
        )

    async def write(self, image: bytes) -> None:
        """Write an image into the board that was met; begins anew if the board did."""
        parts = spans(self._layout, image)
        for _ in range(ATTEMPTS):
            try:
                await self._write(parts)
            except _StartedOverError:
                self._tell("the board started over: its power was cut, or the line was silent for too long")
                continue
            self._tell("the board has everything, and starts with it")
            return
        raise ToolError(
            f"the board on {self._name} started over {ATTEMPTS} times: look at its power and its console"
        )

    async def _write(self, parts: list[tuple[int, bytes]]) -> None:
        digest = hashlib.sha256()
        told = 0
        for number, (offset, data) in enumerate(parts):
            payload = offset.to_bytes(_OFFSET_BYTES, "big") + data
            digest.update(payload)
            answer = (line.WRITTEN, payload[:_OFFSET_BYTES])
            if not await self._ask((line.WRITE, payload), answer, is_first=number == 0):
                raise ToolError(
                    f"the board on {self._name} stopped answering: look at its power, then try again"
                )
            if (done := (number + 1) * 10 // len(parts)) > told:
                told = done
                self._tell(f"written: {done * 10} %")
        if not await self._ask((line.DONE, digest.digest()), (line.DONE, b"")):
            raise ToolError(
                f"the board on {self._name} has everything, but didn't say that it is complete: if it is still "
                "blank, `pawl device write` finds it again; if it isn't, it is complete"
            )

    async def _ask(self, frame: Frame, wanted: Frame, *, is_first: bool = False) -> bool:
        """Send a frame until it is answered; False if the board stays silent."""
        raw = line.frame(frame[0], 0, 0, frame[1])
        silent = 0
        for _ in range(ERASING_MAX if is_first else SILENT_MAX):
            await self._send(raw)
            is_alive = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience.answer_s):
                    while (got := await self._frame()) != wanted:
                        self._judge(got, is_first=is_first)
                        is_alive = True
                return True
            self._frames.forget()
            silent = 0 if is_alive else silent + 1
            if silent == SILENT_MAX:
                break
        return False

    def _judge(self, frame: Frame, *, is_first: bool) -> None:
        kind, payload = frame
        if kind == line.FAULT:
            words = ascii(payload.decode(errors="replace"))[1:-1]
            raise ToolError(f"the board on {self._name} refuses: {words}; it is blank still")
        # Before the first answer it was said before, or means that the board is busy erasing.
        if kind == line.BLANK and not is_first:
            raise _StartedOverError

    async def _frame(self) -> Frame:
        """Return the next frame, however long it takes."""
        while (found := self._frames.next()) is None:
            if not self._held:
                self._held = await self._read()
            room = self._frames.room()
            part = self._held[: len(room)]
            room[: len(part)] = part
            self._frames.add(len(part))
            self._held = self._held[len(part) :]
        return found[0], bytes(found[3])

    async def _read(self) -> bytes:
        try:
            return await self._wire.read() or self._lost("closed at the other end")
        except OSError as error:
            self._lost(error)

    async def _send(self, raw: bytes) -> None:
        try:
            await self._wire.write(raw)
        except OSError as error:
            self._lost(error)

    def _lost(self, why: object) -> NoReturn:
        raise ToolError(
            f"{self._name} was lost ({why}): connect it again; `pawl device write` goes on from there"
        )
