"""`pawl sim`: power cuts inside every flash operation of the device's own code, on simulated flash."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from pawl_tools.cli import api, files
from pawl_tools.errors import RefusedError, ToolError

if TYPE_CHECKING:
    from pawl_sim.seeds import Seed

app = typer.Typer(help="Power cuts inside flash operations, on simulated flash.", no_args_is_help=True)

_SLICE_STRIDE = 4
_SLICE_SHARE = 0.01

_Trace = Annotated[str, typer.Argument(metavar="SEED", help="Such as update:unix:9-half:3-bits")]


@app.command()
def explore(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Every scenario on every flash, every second cut: hours")
    ] = False,
    scenario: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated")] = None,
    flash: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated")] = None,
    depth: Annotated[int, typer.Option(min=1, max=4, help="How often the power goes")] = 2,
    share: Annotated[float | None, typer.Option(min=0, max=1, help="Of the cuts after the first one")] = None,
    processes: Annotated[int, typer.Option(min=1, help="As many as cores by default")] = os.cpu_count() or 1,
    json: files.Json = False,
) -> None:
    """Cut the power everywhere; without --all in a slice of all that takes minutes. Exit code 1 if a rule was broken."""
    from pawl_sim import parallel
    from pawl_tools import sim_report, sim_supply

    chosen = _chosen(scenario, flash)
    is_slice = not (everything or scenario or flash)
    part = (_SLICE_SHARE if is_slice else 1.0) if share is None else share
    plan = parallel.jobs(*chosen, depth=depth, share=part)
    if is_slice:
        plan = parallel.slice_of(plan, _SLICE_STRIDE)
    total, seconds = sim_report.follow(parallel.explore(sim_supply.make, plan, processes), len(plan))
    found = sim_report.figures(total, plan, seconds, processes)
    if json:
        api.print_json(found)
    else:
        sim_report.tell(found)
    if found["failures"]:
        raise RefusedError(f"{len(found['failures'])} traces broke a rule")


def _chosen(scenarios: list[str] | None, geometries: list[str] | None) -> tuple[list[str], list[str]]:
    from pawl_sim.geometry import GEOMETRIES
    from pawl_sim.scenarios import SCENARIOS

    for name in scenarios or ():
        if name not in SCENARIOS:
            raise ToolError(f"no scenario {name!r}: `pawl sim list` names them")
    for name in geometries or ():
        if name not in GEOMETRIES:
            raise ToolError(f"no flash {name!r}: `pawl sim list` names them")
    return scenarios or list(SCENARIOS), geometries or list(GEOMETRIES)


@app.command("list")
def list_all(*, json: files.Json = False) -> None:
    """Print the scenarios and the flash parts."""
    from pawl_sim.geometry import GEOMETRIES
    from pawl_sim.scenarios import SCENARIOS

    rows = [("scenario", one.name, one.says) for one in SCENARIOS.values()]
    rows += [("flash", one.name, one.says) for one in GEOMETRIES.values()]
    if json:
        api.print_json([{"kind": kind, "name": name, "says": says} for kind, name, says in rows])
        return
    api.print_table(("KIND", "NAME", "WHAT IT IS"), rows)


@app.command()
def replay(seed: _Trace) -> None:
    """Follow one trace and tell every boot and every flash operation. Exit code 1 if it breaks a rule."""
    from pawl_sim.geometry import GEOMETRIES, lay_out
    from pawl_sim.replay import replay as follow
    from pawl_tools import sim_report, sim_supply

    wanted = _parsed(seed)
    plan = lay_out(GEOMETRIES[wanted.geometry])
    fault = None
    try:
        for stretch in follow(sim_supply.make(), wanted):
            sim_report.tell_stretch(stretch, plan)
            fault = stretch.fault
    except ValueError as error:
        raise ToolError(f"{seed} can't be followed: {error}") from None
    if fault:
        raise RefusedError(f"{seed} breaks a rule: {fault}")


@app.command()
def shrink(seed: _Trace) -> None:
    """Look for a shorter trace that ends the same way, and print it."""
    from pawl_sim.shrink import shrink as shorter
    from pawl_tools import sim_supply

    try:
        print(shorter(sim_supply.make(), _parsed(seed)))
    except ValueError as error:
        raise ToolError(str(error)) from None


def _parsed(text: str) -> "Seed":
    from pawl_sim.seeds import parse

    try:
        return parse(text)
    except ValueError as error:
        raise ToolError(str(error)) from None
