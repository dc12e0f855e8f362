"""`pawl bridge`: carries the TLS bytes of boards without a network between their serial lines and the broker.

It holds no secret and reads nothing: whoever owns it can delay or drop what passes, and no more. It reaches the broker
and the anchor port and refuses everything else, whatever a board asks for. The frames are those of `pawl.line`.

    async with Bridge(["socket://127.0.0.1:5001"], ("127.0.0.1", 8883)) as bridge:
        ...
        bridge.counts("socket://127.0.0.1:5001").connections

    with BridgeThread(["/dev/ttyUSB0,921600"], ("updates.example", 8883)) as bridge: ...
"""

import asyncio
import dataclasses
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from pawl import line
from pawl_tools.bridge_carrier import Carrier, Limits, Tell
from pawl_tools.bridge_connection import Counts
from pawl_tools.bridge_wire import Address, LineError, Wire, check_name, parse, parse_address

__all__ = ["Address", "Bridge", "BridgeThread", "Counts", "Limits", "LineError", "parse_address", "table"]


def _silent(_line: str, _words: str, _counts: Counts) -> None:
    """Tell nobody."""


class Bridge:
    """Carries many lines at once, from `async with` on; raises LineError there if one can't ever work.

    `anchors` is the broker's port + 1 unless given. `tell` hears (line, words, counts) whenever something changes.
    """

    def __init__(
        self,
        lines: Sequence[str],
        broker: Address,
        anchors: Address | None = None,
        *,
        limits: Limits | None = None,
        tell: Tell = _silent,
    ) -> None:
        self._specs = [parse(one) for one in lines]
        if not self._specs or len({spec.name for spec in self._specs}) < len(self._specs):
            raise LineError("name one line at least, and none twice")
        self._targets = {line.BROKER: broker, line.ANCHORS: anchors or _beside(broker)}
        self._limits = limits or Limits()
        self._tell = tell
        self._carriers: dict[str, Carrier] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Check what can be checked, and begin."""
        for address in self._targets.values():
            await check_name(address)
        for spec, wire in zip(self._specs, await self._begin(), strict=True):
            carrier = Carrier(spec, self._targets, self._limits, self._tell)
            self._carriers[spec.name] = carrier
            self._tasks.append(asyncio.create_task(carrier.run(wire)))
        return self

    async def _begin(self) -> list[Wire | None]:
        wires: list[Wire | None] = []
        try:
            for spec in self._specs:
                wires.append(await spec.begin())  # noqa: PERF401  those before are closed if one fails
        except LineError:
            for wire in wires:
                if wire is not None:
                    wire.close()
            raise
        return wires

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every connection and close every line; raises what a line died of, which is a fault of ours."""
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for one in ended:
            if isinstance(one, Exception):
                raise one

    async def until(self, is_over: asyncio.Event) -> None:
        """Return when it is over, or when a line died of a fault of ours, which the end of `async with` raises."""
        waiting = asyncio.create_task(is_over.wait())
        await asyncio.wait({waiting, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    def counts(self, line_name: str) -> Counts:
        """Return what happened on a line, as of now."""
        return dataclasses.replace(self._carriers[line_name].counts)

    def all_counts(self) -> dict[str, Counts]:
        """Return the counts of every line."""
        return {name: self.counts(name) for name in self._carriers}


def _beside(broker: Address) -> Address:
    if broker[1] == 65535:
        raise LineError("there is no port above 65535: say where anchors are read")
    return broker[0], broker[1] + 1


class BridgeThread:
    """A bridge with an event loop of its own, for programs that have none; takes what Bridge takes."""

    def __init__(
        self,
        lines: Sequence[str],
        broker: Address,
        anchors: Address | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        self._bridge = Bridge(lines, broker, anchors, limits=limits)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pawl bridge", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Return when it carries; raises LineError, and then nothing is left running."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._bridge.__aenter__(), self._loop).result()
        except BaseException:
            self._end_loop()
            raise

    def stop(self) -> None:
        """Return when every line is closed; a second call does nothing."""
        if self._loop.is_closed():
            return
        try:
            asyncio.run_coroutine_threadsafe(self._bridge.__aexit__(None, None, None), self._loop).result()
        finally:
            self._end_loop()

    def counts(self, line_name: str) -> Counts:
        """Return what happened on a line; also after `stop`."""
        return self._bridge.counts(line_name)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


def table(counts: Mapping[str, Counts]) -> str:
    """Return the counts of all lines as aligned columns."""
    names = [field.name for field in dataclasses.fields(Counts)]
    rows = [["line", *(name.replace("_", " ") for name in names)]]
    rows += [[name, *(str(getattr(one, field)) for field in names)] for name, one in counts.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    )
