"""What a device fetches again after kill -9 in mid-download, beside a client that begins again.

Blocks are counted on the device's console, bytes in front of the broker: those that it sent and that the device never
read are among them, and so are the second TLS handshake, envelope and index.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.figures import Figure
from benchmarks.fleet import ROOMY_HEAP, Fleet, Trip
from pawl_tools.launcher import Device
from pawl_tools.site import HOST

_CUT_AT_BLOCKS = (3, 12, 21)  # of 25: each in the middle of a window of 8
_BLOCK = "bench: block "
_BOOT = "pawl: boot "
_DOWNLOADED = "pawl: state INSTALL"
_CHUNK_BYTES = 65536


class Relay:
    """Passes a device's connections on to the broker; `sent_bytes` is what came back, one number a connection."""

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self.sent_bytes: list[int] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, HOST, 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.sent_bytes)
        self.sent_bytes.append(0)
        back_reader, back_writer = await asyncio.open_connection(HOST, self._broker_port)
        ways = (self._pump(reader, back_writer, None), self._pump(back_reader, writer, number))
        await asyncio.gather(*ways)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int | None
    ) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK_BYTES):
                if number is not None:
                    self.sent_bytes[number] += len(chunk)
                writer.write(chunk)
                await writer.drain()
        writer.close()


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a device fetched up to some moment."""

    blocks: int = 0
    sent_bytes: int = 0


class Download:
    """One device's download, cut after `cut_at` blocks arrived; 0 is never."""

    def __init__(self, cut_at: int) -> None:
        self.trip = Trip(name=f"cut-at-{cut_at}", hook=self._on_line)
        self.before_cut = Fetched()
        self.whole = Fetched()
        self._cut_at = cut_at
        self._blocks = 0
        self._relay: Relay
        self._device: Device

    async def run(self, fleet: Fleet, agent: Path) -> "Download":
        """Update the device."""
        async with Relay(fleet.site.ports.devices) as self._relay:
            self._device = await fleet.device(self.trip, agent=agent, heap=ROOMY_HEAP, port=self._relay.port)
            await fleet.update(self.trip, self._device)
        self.trip.require_success()
        return self

    def _on_line(self, line: str) -> None:
        if line.startswith(_BLOCK):
            self._blocks += 1
            if self._blocks == self._cut_at:
                self._device.kill()
        elif line.startswith(_BOOT) and self._blocks and not self.whole.blocks:
            self.before_cut = self._fetched()
        elif line == _DOWNLOADED:
            self.whole = self._fetched()

    def _fetched(self) -> Fetched:
        return Fetched(self._blocks, sum(self._relay.sent_bytes))


async def measure(fleet: Fleet) -> list[Figure]:
    """Return blocks and bytes of the worst of some cuts; who begins again from zero loses all that came before."""
    agent = fleet.agent_with("block_probe")
    uncut = (await Download(0).run(fleet, agent)).whole
    cuts = [await Download(at).run(fleet, agent) for at in _CUT_AT_BLOCKS]
    blocks = [(cut.whole.blocks - uncut.blocks, cut.before_cut.blocks) for cut in cuts]
    sent_bytes = [(cut.whole.sent_bytes - uncut.sent_bytes, cut.before_cut.sent_bytes) for cut in cuts]
    return [
        _figure("blocks fetched again, worst cut", "blocks", max(blocks), 1),
        _figure("sent again, worst cut", "B", max(sent_bytes), None),
    ]


def _figure(name: str, unit: str, again_and_lost: tuple[int, int], goal: int | None) -> Figure:
    again, lost = again_and_lost
    return Figure(
        name=name, value=again, unit=unit, reference="begins again from zero", reference_value=lost, goal=goal
    )
