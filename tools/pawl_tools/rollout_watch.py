"""Shows a rollout while it goes on: bars on a terminal, a line per change elsewhere."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pawl_tools import rollout_text

_BAR_CELLS = 30
_REFRESHES_PER_S = 4
# What a cell of a bar stands for, in this order; who is none of these has yet to be asked.
_CELLS = (
    (rollout_text.GOOD, "green", "█"),
    (rollout_text.BAD, "red", "█"),
    (rollout_text.IN_FLIGHT, "yellow", "▒"),
)


class _View(Protocol):
    def show(self, rollout: dict[str, Any]) -> None:
        """Show a rollout as it is now."""


def watch(changes: Iterable[dict[str, Any]], *, as_json: bool) -> bool:
    """Show every change until the rollout doesn't go on by itself; return whether it is done.

    `changes` has no end of its own.
    """
    rollout: dict[str, Any] = {}
    with _view(as_json=as_json) as view:
        for rollout in changes:
            view.show(rollout)
            if rollout["state"] in rollout_text.RESTING:
                break
    if not as_json:
        _say_how_it_ended(rollout)
    return bool(rollout["state"] == rollout_text.DONE)


def _say_how_it_ended(rollout: dict[str, Any]) -> None:
    # On a terminal it stands above the bars.
    if rollout["state"] != rollout_text.DONE and not sys.stdout.isatty():
        print(rollout_text.headline(rollout), file=sys.stderr)
    if step := rollout_text.next_step(rollout):
        print(f"next: {step}", file=sys.stderr)


@contextmanager
def _view(*, as_json: bool) -> Iterator[_View]:
    if as_json:
        yield _JsonLines()
    elif sys.stdout.isatty():
        bars = _Bars()
        with Live(get_renderable=bars.render, refresh_per_second=_REFRESHES_PER_S) as live:
            yield bars
            live.refresh()
    else:
        yield _Lines()


class _JsonLines:
    def show(self, rollout: dict[str, Any]) -> None:
        print(json.dumps(rollout), flush=True)


class _Lines:
    def __init__(self) -> None:
        self._said = ""

    def show(self, rollout: dict[str, Any]) -> None:
        phases = "; ".join(rollout_text.phase_line(phase) for phase in rollout["phases"])
        waits = rollout_text.waiting_for(rollout, int(time.time()))
        line = f"{rollout_text.headline(rollout)}: {phases}" + (f"; {waits}" if waits else "")
        # Most changes show; others, such as a phase that passed, are no news by themselves.
        if line != self._said:
            print(line, flush=True)
        self._said = line


class _Bars:
    """What `Live` draws again and again: counters of time go on between changes."""

    def __init__(self) -> None:
        self._rollout: dict[str, Any] | None = None

    def show(self, rollout: dict[str, Any]) -> None:
        """Take what is drawn from now on."""
        self._rollout = rollout

    def render(self) -> Group:
        """Return the state, a bar for each phase, and what the clock has to do with it."""
        rollout = self._rollout
        if rollout is None:
            return Group(Text("asks the server", style="dim"))
        grid = Table.grid(padding=(0, 2))
        for phase in rollout["phases"]:
            done = rollout_text.among(phase, "succeeded")
            share = f"{done}/{sum(phase['devices'].values())}"
            style = "" if phase["began_at_s"] is not None else "dim"
            grid.add_row(
                Text(phase["title"], style), bar(phase), share, Text(rollout_text.counts(phase), style)
            )
        waits = rollout_text.waiting_for(rollout, int(time.time()))
        below = [Text(waits, style="dim")] if waits else []
        return Group(Text(rollout_text.headline(rollout), style="bold"), grid, *below)


def bar(phase: dict[str, Any]) -> Text:
    """Return a bar of a phase's devices: succeeded, failed, in flight, the rest."""
    total = sum(phase["devices"].values())
    text, used, seen = Text(), 0, 0
    for progress, style, cell in _CELLS:
        seen += rollout_text.among(phase, *progress)
        # What is there at all is a cell at least, and what isn't whole never looks so.
        ends = max(used + bool(rollout_text.among(phase, *progress)), seen * _BAR_CELLS // max(total, 1))
        text.append(cell * (min(ends, _BAR_CELLS) - used), style)
        used = min(ends, _BAR_CELLS)
    text.append("░" * (_BAR_CELLS - used), "dim")
    return text
