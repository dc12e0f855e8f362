"""Shows a rollout while it goes on: bars on a terminal, a line per change elsewhere."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pawl_tools.errors import ToolError

_GOES_ON = ("awaiting-approval", "running", "rolling-back")


class _View(Protocol):
    def show(self, rollout: dict[str, Any]) -> None:
        """Show a rollout as it is now."""


def watch(changes: Iterable[dict[str, Any]], *, as_json: bool) -> bool:
    """Show every change until the rollout no longer runs; return whether it is done."""
    with _view(as_json=as_json) as view:
        for rollout in changes:
            view.show(rollout)
            if rollout["state"] not in _GOES_ON:
                break
        else:
            raise ToolError("the server ended the stream before the rollout: watch it again")
    if rollout["reason"] and not as_json:
        print(f"{rollout['name']} is {rollout['state']}: {rollout['reason']}", file=sys.stderr)
    return bool(rollout["state"] == "done")


@contextmanager
def _view(*, as_json: bool) -> Iterator[_View]:
    if as_json:
        yield _JsonLines()
    elif sys.stdout.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns) as progress:
            yield _Bars(progress)
    else:
        yield _Lines()


class _JsonLines:
    def show(self, rollout: dict[str, Any]) -> None:
        print(json.dumps(rollout), flush=True)


class _Lines:
    def show(self, rollout: dict[str, Any]) -> None:
        phases = "; ".join(f"{phase['title']}: {_told(phase)}" for phase in rollout["phases"])
        print(f"{rollout['name']} {rollout['state']}: {phases}", flush=True)


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}

    def show(self, rollout: dict[str, Any]) -> None:
        for phase in rollout["phases"]:
            title, devices = phase["title"], phase["devices"]
            if title not in self._tasks:
                self._tasks[title] = self._progress.add_task(title)
            self._progress.update(
                self._tasks[title],
                total=sum(devices.values()),
                completed=devices["succeeded"],
                description=f"{title}: {_told(phase)}",
            )


def _told(phase: dict[str, Any]) -> str:
    """Return how many devices are how far, without those that are nowhere."""
    return ", ".join(f"{count} {progress}" for progress, count in phase["devices"].items() if count)
