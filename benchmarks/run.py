"""Measures everything and prints one table.

python -m benchmarks.run
python -m benchmarks.run --json
python -m benchmarks.run heap resume
python -m benchmarks.run board_update --board virt_rv32
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks import (
    authorisation,
    board_update,
    boards,
    boot_time,
    bridge,
    download,
    flash_wear,
    heap,
    resume,
    rollout_engine,
    root_walk,
    shares,
    signature_check,
)
from benchmarks.figures import Figure, table
from benchmarks.fleet import Fleet
from pawl_tools import toolchain
from pawl_tools.toolchain import Toolchain

FleetBenchmark = Callable[[Fleet], Awaitable[list[Figure]]]

ALONE: dict[str, Callable[[Toolchain], list[Figure]]] = {
    "authorisation": authorisation.measure,
    "download": download.measure,
    "signature_check": signature_check.measure,
    "root_walk": root_walk.measure,
    "rollout_engine": rollout_engine.measure,
    "boot_time": boot_time.measure,
    "flash_wear": flash_wear.measure,
    "bridge": bridge.measure,
}
WITH_FLEET: dict[str, FleetBenchmark] = {
    "shares": shares.measure,
    "resume": resume.measure,
    "heap": heap.measure,
    "board_update": board_update.measure,
}


def measure(wanted: Sequence[str], kinds: Sequence[str] = boards.KINDS) -> list[Figure]:
    """Return the figures of the benchmarks named, or of all, one after the other; on these kinds of boards."""
    programs = toolchain.find()
    figures = []
    for name, alone in ALONE.items():
        if name in wanted:
            say(name)
            figures += alone(programs)
    with_fleet: dict[str, FleetBenchmark] = {
        **WITH_FLEET,
        "board_update": partial(board_update.measure, kinds=kinds),
    }
    chosen = {name: one for name, one in with_fleet.items() if name in wanted}
    if chosen:
        figures += asyncio.run(_measure_fleet(programs, chosen))
    return figures


async def _measure_fleet(programs: Toolchain, chosen: dict[str, FleetBenchmark]) -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory(prefix="pawl-bench-") as folder:
        fleet = Fleet(Path(folder), programs)
        await fleet.start()
        try:
            for name, with_fleet in chosen.items():
                say(name)
                figures += await with_fleet(fleet)
        finally:
            await fleet.stop()
    return figures


def say(text: str) -> None:
    """Tell what is going on, beside the results."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Print the table, or JSON."""
    names = [*ALONE, *WITH_FLEET]
    parser = argparse.ArgumentParser(description="Measure Pawl beside its references.")
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"of {', '.join(names)}; all if none is given"
    )
    parser.add_argument(
        "--board",
        choices=boards.KINDS,
        action="append",
        help="of board_update; may be repeated, all if not given",
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    began = time.monotonic()
    figures = measure(arguments.names or names, arguments.board or boards.KINDS)
    if arguments.json:
        print(json.dumps([figure.as_json() for figure in figures], indent=2))
    else:
        print(table(figures))
    say(f"took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
