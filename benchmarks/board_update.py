"""What a whole update costs an emulated board with our firmware: size, heap, TLS memory, time, and where the time goes.

Four updates over TLS through the bridge, each of a new board: with the shipped firmware for the seconds, with one that looks
at the heap all the time, and two with one that charges every moment to a bucket: on the wall clock, and with QEMU counting
instructions. The buckets of the last two include what charging costs. Instructions leave out the idle time. Keys are new in
each run, and how many are tried before one fits follows their order: so instructions repeat to about a tenth only.
"""

from collections.abc import Sequence
from typing import Protocol, cast

from benchmarks import boards, shares
from benchmarks.figures import Figure
from benchmarks.fleet import ROOMY_HEAP, Fleet, Trip
from pawl_boards import maps
from pawl_boards.board import BoardPlan
from pawl_boards.qemu import QemuOptions

_GOAL_S = {"virt_rv32": 5.0}
_BUCKETS = {
    "verify": "signatures: checked",
    "signature": "signatures: made, keys decompressed",
    "hash": "SHA-256",
    "inflate": "inflate",
    "flash": "flash",
    "tls": "link: TLS and the line",
    "interpreter": "all other code of the agent",
    "restart": "restart, up to the first code",
}
_IDLE = {"waiting": "idle: waiting for the broker", "trial": "idle: watching the trial run"}
_STAGES = {
    "boot 1": "once its slots are judged",
    "state IDLE": "before it connects",
    "state DOWNLOAD": "connected, an offer accepted",
    "blocks": "between blocks",
    "state INSTALL": "all blocks there",
    "state REBOOT": "before the restart",
    "state VERIFY": "trial",
    "state CONFIRM": "trial, connected",
    "state CLEANUP": "confirmed",
}


class _Memory(Protocol):
    """What of a memory map is a limit here."""

    HEAP_BYTES: int
    TLS_BYTES: int


async def measure(fleet: Fleet, kinds: Sequence[str] = boards.KINDS) -> list[Figure]:
    """Return the figures of each kind of board."""
    unix_ms = await _unix_ms(fleet)
    figures = []
    for kind in kinds:
        figures += sizes(kind)
        figures.append(await _seconds(fleet, kind, unix_ms))
        figures += await _memory(fleet, kind)
        figures += await _shares(fleet, kind)
    return figures


async def _unix_ms(fleet: Fleet) -> float:
    trip = Trip(name="board-update-reference")
    await fleet.update(trip, await fleet.device(trip, heap=ROOMY_HEAP))
    moments = {line: moment for moment, line in reversed(trip.require_success().lines)}
    return (moments[boards.LAST] - moments[boards.FIRST]) * 1000


def sizes(kind: str) -> list[Figure]:
    """Return the firmware's sizes beside those without the agent."""
    whole, bare = boards.build(kind, "--sizes")
    return [
        Figure(
            name=f"{kind}: firmware, {words}",
            value=value / 1024,
            unit="KB",
            reference="without the agent",
            reference_value=reference / 1024,
        )
        for words, value, reference in zip(
            ("code and constants", "data", "zeroed RAM"), whole, bare, strict=True
        )
        if words != "data"
    ]


def _plan(kind: str, *first_code: str) -> BoardPlan:
    return BoardPlan(layout=maps.load(kind), firmware=boards.firmware(kind, *first_code))


async def _seconds(fleet: Fleet, kind: str, unix_ms: float) -> Figure:
    lines = await boards.update(fleet, "plain", _plan(kind), QemuOptions())
    return Figure(
        name=f"{kind}: offer to confirmed",
        value=boards.span_ms(lines) / 1000,
        unit="s",
        reference="unix board, same update",
        reference_value=unix_ms / 1000,
        goal=_GOAL_S.get(kind),
    )


async def _memory(fleet: Fleet, kind: str) -> list[Figure]:
    lines = await boards.update(fleet, "heap", _plan(kind, "board_heap"), QemuOptions())
    heap, tls = memory_of([line.text for line in lines])
    layout = cast("_Memory", maps.load(kind))
    figures = [
        _kilobytes(f"{kind}: heap, {words}", heap[stage], "its heap", layout.HEAP_BYTES)
        for stage, words in _STAGES.items()
    ]
    figures.append(
        _kilobytes(f"{kind}: heap, most of an update", max(heap.values()), "its heap", layout.HEAP_BYTES)
    )
    figures.append(_kilobytes(f"{kind}: TLS memory, most", tls, "its TLS memory", layout.TLS_BYTES))
    return figures


def _kilobytes(name: str, value: int, reference: str, reference_value: int) -> Figure:
    return Figure(
        name=name, value=value / 1024, unit="KB", reference=reference, reference_value=reference_value / 1024
    )


def memory_of(console: Sequence[str]) -> tuple[dict[str, int], int]:
    """Return the most heap in use up to each stage's lines, with what other lines told under "", and the most of TLS."""
    heap = dict.fromkeys([*_STAGES, ""], 0)
    used = tls = 0
    for line in console:
        if line.startswith("bench: heap "):
            used = int(line.split()[-1])
        elif line.startswith("bench: tls "):
            tls = max(tls, int(line.split()[-1]))
        elif used:
            told = line.removeprefix("pawl: ")
            stage = next((stage for stage in _STAGES if told.startswith(stage)), "")
            heap[stage] = max(heap[stage], used)
            used = 0
    return heap, tls


async def _shares(fleet: Fleet, kind: str) -> list[Figure]:
    plan = _plan(kind, "board_profile", "time_probe")
    lines = await boards.update(fleet, "profile", plan, QemuOptions())
    spent = shares.spent_ms([line.text for line in lines])
    total_ms = boards.span_ms(lines)
    spent["restart"] += total_ms - sum(spent.values())
    figures = _parts(f"{kind}: time", spent, _BUCKETS | _IDLE, "ms")
    lines = await boards.update(fleet, "icount", plan, QemuOptions(icount=True))
    counted = shares.spent_ms([line.text for line in lines])  # a millisecond is a million instructions
    return figures + _parts(f"{kind}: instructions", counted, _BUCKETS, "M")


def _parts(name: str, spent: dict[str, float], buckets: dict[str, str], unit: str) -> list[Figure]:
    whole = sum(spent[bucket] for bucket in buckets)
    return [
        Figure(
            name=f"{name}: {words}",
            value=spent[bucket],
            unit=unit,
            reference="whole update",
            reference_value=whole,
        )
        for bucket, words in buckets.items()
    ]
