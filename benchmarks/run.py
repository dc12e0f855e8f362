"""Measures everything and prints one table.

python -m benchmarks.run
python -m benchmarks.run --json
python -m benchmarks.run heap resume
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from benchmarks import (
    authorisation,
    boot_time,
    bridge,
    download,
    flash_wear,
    heap,
    resume,
    root_walk,
    shares,
    signature_check,
)
from benchmarks.figures import Figure, table
from benchmarks.fleet import Fleet
from pawl_tools import toolchain
from pawl_tools.toolchain import Toolchain

ALONE: dict[str, Callable[[Toolchain], list[Figure]]] = {
    "authorisation": authorisation.measure,
    "download": download.measure,
    "signature_check": signature_check.measure,
    "root_walk": root_walk.measure,
    "boot_time": boot_time.measure,
    "flash_wear": flash_wear.measure,
    "bridge": bridge.measure,
}
WITH_FLEET: dict[str, Callable[[Fleet], Awaitable[list[Figure]]]] = {
    "shares": shares.measure,
    "resume": resume.measure,
    "heap": heap.measure,
}


def measure(wanted: Sequence[str]) -> list[Figure]:
    """Return the figures of the benchmarks named, or of all, one after the other."""
    programs = toolchain.find()
    figures = []
    for name, alone in ALONE.items():
        if name in wanted:
            say(name)
            figures += alone(programs)
    if any(name in wanted for name in WITH_FLEET):
        figures += asyncio.run(_measure_fleet(programs, wanted))
    return figures


async def _measure_fleet(programs: Toolchain, wanted: Sequence[str]) -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory(prefix="pawl-bench-") as folder:
        fleet = Fleet(Path(folder), programs)
        await fleet.start()
        try:
            for name, with_fleet in WITH_FLEET.items():
                if name in wanted:
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
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    began = time.monotonic()
    figures = measure(arguments.names or names)
    if arguments.json:
        print(json.dumps([figure.as_json() for figure in figures], indent=2))
    else:
        print(table(figures))
    say(f"took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
