"""`pawl rollout create`: what a rollout is to do, said in options; or only what it would do."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pawl_tools.cli import api, rollout_view
from pawl_tools.cli.api import Json
from pawl_tools.errors import ToolError

if TYPE_CHECKING:
    from pawl_server.domain.plan import Phase

_PLAN = "Of the whole plan"
_FIRST_DEVICES = 10
_PHASE_HELP = (
    "Group, cumulative percent (10%) or number of devices, then options: canary:soak=2h,success=95,failures=3,"
    "failures-percent=5,at-a-time=100,from=2026-12-01T22:00Z,window=mon-fri/22:00-04:00; repeat, in order"
)


def create(
    release: Annotated[str, typer.Option(help="Digest of an imported release, or its beginning")],
    group: Annotated[list[str] | None, typer.Option(help="Group of devices; repeat, in order")] = None,
    phase: Annotated[list[str] | None, typer.Option(help=_PHASE_HELP)] = None,
    recovery: Annotated[
        str | None, typer.Option(help="Digest of a recovery release: failures bring everybody back")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the rollout")] = None,
    silence: Annotated[
        str, typer.Option(help="A device that says nothing for so long failed", rich_help_panel=_PLAN)
    ] = "24h",
    tries: Annotated[
        int, typer.Option(help="How often a device is asked where that can help", rich_help_panel=_PLAN)
    ] = 3,
    *,
    stays_open: Annotated[
        bool, typer.Option("--stays-open", help="Go on for devices that join later", rich_help_panel=_PLAN)
    ] = False,
    approval: Annotated[
        bool, typer.Option("--approval", help="Begin when somebody approves", rich_help_panel=_PLAN)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say whom it would take, change nothing")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Watch it when it is created")] = False,
    json: Json = False,
) -> None:
    """Begin a rollout: without phases, a group starts when every device of the one before it has succeeded."""
    from pawl_tools import phase_text

    phases = [phase_text.parse(text) for text in phase or []]
    plan: dict[str, Any] = {
        "release": release,
        "groups": _groups(group or [], phases),
        "recovery": recovery,
        "name": name,
        "silence_s": phase_text.parse_duration(silence),
        "tries_max": tries,
        "stays_open": stays_open,
        "needs_approval": approval,
    }
    if phases:
        plan["phases"] = [phase_text.body(one) for one in phases]
    with api.connect() as fleet:
        if dry_run:
            _show_planned(fleet.post("/rollouts", plan, dry_run="true"), as_json=json)
            return
        created = fleet.post("/rollouts", plan)
        if not watch or not json:
            rollout_view.show(created, as_json=json)
    if watch:
        rollout_view.watch(created["name"], as_json=json)


def _groups(groups: list[str], phases: "list[Phase]") -> list[str]:
    """Return the target: what is shared out needs groups, and a phase of a group brings its own."""
    from pawl_server.domain.plan import PhaseKind

    named = [phase.group for phase in phases if phase.kind is PhaseKind.GROUP]
    if not groups and not named:
        raise ToolError("nobody is meant: give --group, whose devices the phases share out")
    return list(dict.fromkeys([*groups, *named]))


def _show_planned(planned: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        api.print_json(planned)
        return
    for number, phase in enumerate(planned["phases"], 1):
        print(f"phase {number}, {phase['title']}: {_devices(phase['devices'])}")
    by_reason: dict[str, list[str]] = {}
    for device, why in planned["left_out"].items():
        by_reason.setdefault(why, []).append(device)
    for why, devices in by_reason.items():
        print(f"left out, {why}: {_devices(devices)}")
    print("nothing was changed: run it without --dry-run")


def _devices(devices: list[str]) -> str:
    more = f" and {len(devices) - _FIRST_DEVICES} more" if len(devices) > _FIRST_DEVICES else ""
    names = f" ({', '.join(devices[:_FIRST_DEVICES])}{more})" if devices else ""
    return api.counted(len(devices), "device") + names
