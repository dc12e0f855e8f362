"""What `pawl sim` says: the progress of an exploration, its figures, and the story of one trace."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pawl_sim.explorer import Tally
from pawl_sim.geometry import Plan
from pawl_sim.parallel import Job
from pawl_sim.trace import Moment, Stretch

_FAILURES_SHOWN = 20


def follow(done: Iterable[tuple[Job, Tally]], count: int) -> tuple[Tally, float]:
    """Show the jobs as they end, on stderr; return what they found together, and the seconds it took."""
    total = Tally()
    started = time.monotonic()
    for job, tally in _shown(done, count):
        total.add(tally)
        for failure in tally.failures[:1]:
            _note(f"{len(tally.failures)} failures in {job.scenario} on {job.geometry}: {failure.seed}")
    return total, time.monotonic() - started


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _shown(done: Iterable[tuple[Job, Tally]], count: int) -> Iterator[tuple[Job, Tally]]:
    console = Console(stderr=True)
    if not console.is_terminal:
        for number, (job, tally) in enumerate(done, 1):
            cuts = sum(tally.cuts.values())
            _note(
                f"{number}/{count} {job.scenario} on {job.geometry}: {cuts} cut points, {tally.states} states"
            )
            yield job, tally
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("exploring", total=count)
        cuts = 0
        for job, tally in done:
            cuts += sum(tally.cuts.values())
            progress.update(task, advance=1, description=f"{cuts} cut points")
            yield job, tally


def figures(total: Tally, jobs: list[Job], seconds: float, processes: int) -> dict[str, Any]:
    """Return the figures of an exploration as plain values."""
    return {
        "scenarios": len({job.scenario for job in jobs}),
        "geometries": len({job.geometry for job in jobs}),
        "operations": total.operations,
        "cut_points": sum(total.cuts.values()),
        "single_cuts": total.cuts[0],
        "double_cuts": total.cuts[1],
        "more_cuts": sum(count for depth, count in total.cuts.items() if depth > 1),
        "tears": dict(sorted(total.tears.items())),
        "distinct_states": total.states,
        "boots": total.boots,
        "seconds": round(seconds, 1),
        "processes": processes,
        "failures": [{"seed": str(failure.seed), "says": failure.says} for failure in total.failures],
    }


def tell(found: dict[str, Any]) -> None:
    """Print the figures for people."""
    tears = ", ".join(f"{name} {count}" for name, count in found["tears"].items())
    rows = {
        "explored": f"{found['scenarios']} scenarios on {found['geometries']} flash parts, {found['operations']} operations",
        "cut points": f"{found['cut_points']}: {found['single_cuts']} single, {found['double_cuts']} double",
        "tears": tears,
        "states": f"{found['distinct_states']} distinct, {found['boots']} boots",
        "time": f"{found['seconds']} s in {found['processes']} processes",
        "failures": str(len(found["failures"])),
    }
    for name, text in rows.items():
        print(f"{name:<11} {text}")
    for failure in found["failures"][:_FAILURES_SHOWN]:
        print(f"  {failure['seed']}  {failure['says']}")
    if found["failures"]:
        print("look at one with `pawl sim replay SEED`, make it shorter with `pawl sim shrink SEED`")


def tell_stretch(stretch: Stretch, plan: Plan) -> None:
    """Print what a device did from one power-on to its rest."""
    print(f"power on: {stretch.seed}")
    for boot in stretch.boots:
        runs = "the recovery agent" if boot.slot is None else f"slot {'AB'[boot.slot]}"
        print(f"  boot by row {boot.row}: {runs}; " + "; ".join(boot.lines))
    for number, moment in enumerate(stretch.moments):
        print(f"  {number:>3}  {_operation(moment, plan)}")
    print(f"  {stretch.fault or 'at rest, and all that must hold does'}")


def _operation(moment: Moment, plan: Plan) -> str:
    offset, data = moment.operation
    region = plan.region_at(offset)
    at = offset - plan.regions[region][0]
    done = f"erase {plan.sectors[offset]} bytes" if data is None else f"program {len(data)} bytes"
    return f"{region} + {at}: {done}"
