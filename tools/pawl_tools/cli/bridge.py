"""`pawl bridge`: serial lines of boards without a network, carried to the broker."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from pawl_tools.cli import files

if TYPE_CHECKING:
    from pawl_tools.bridge import Bridge, Counts


def bridge(
    lines: Annotated[
        list[str], typer.Argument(metavar="LINE...", help="/dev/ttyUSB0[,BAUD] or socket://HOST:PORT")
    ],
    *,
    broker: Annotated[str, typer.Option(help="HOST:PORT of the broker's port for devices")],
    anchors: Annotated[
        str | None, typer.Option(help="HOST:PORT of the anchor relay; the broker's port + 1 if not given")
    ] = None,
    limit: Annotated[float | None, typer.Option(min=1, help="Bytes a second of each line")] = None,
    connects_per_minute: Annotated[int, typer.Option(min=1, help="Connections of each line")] = 20,
    json: files.Json = False,
) -> None:
    """Carry the bytes of TLS between serial lines and the broker until interrupted; a lost line is opened again.

    Counts are printed at the end, and whenever the process gets SIGUSR1. It holds no key and reads nothing.
    """
    import asyncio

    from pawl_tools.bridge import Bridge, Limits, parse_address

    made = Bridge(
        lines,
        parse_address(broker),
        parse_address(anchors) if anchors else None,
        limits=Limits(bytes_per_s=limit, connects_per_minute=connects_per_minute),
        tell=_tell_json if json else _tell,
    )
    asyncio.run(_carry(made, is_json=json))


async def _carry(made: "Bridge", *, is_json: bool) -> None:
    """Carry until SIGINT or SIGTERM."""
    import asyncio
    import signal

    from pawl_tools.bridge import table

    def show() -> None:
        if is_json:
            _print_json({"counts": _plain(made.all_counts())})
        else:
            print(table(made.all_counts()), flush=True)

    loop = asyncio.get_running_loop()
    is_over = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, show)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, is_over.set)
    async with made:
        await made.until(is_over)
    show()


def _tell(line: str, words: str, _counts: "Counts") -> None:
    print(f"{line}: {words}", flush=True)


def _tell_json(line: str, words: str, counts: "Counts") -> None:
    _print_json({"line": line, "event": words, **dataclasses.asdict(counts)})


def _plain(counts: Mapping[str, "Counts"]) -> dict[str, object]:
    return {name: dataclasses.asdict(one) for name, one in counts.items()}


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value), flush=True)
