"""How rollouts are printed: what each of the `pawl rollout` commands shows when it has asked the server."""

from typing import Any

import typer

from pawl_tools.cli import api


def show(rollout: dict[str, Any], *, as_json: bool) -> None:
    """Print a rollout: its state, its phases, and what to do where it doesn't go on by itself."""
    from pawl_tools import rollout_text

    if as_json:
        api.print_json(rollout)
        return
    print(f"{rollout_text.headline(rollout)}, release {rollout['release'][:8]}")
    for phase in rollout["phases"]:
        print(f"  {rollout_text.phase_line(phase)}")
    if step := rollout_text.next_step(rollout):
        print(f"next: {step}")


def table(rollouts: list[dict[str, Any]]) -> None:
    """Print a line for each."""
    from pawl_tools import rollout_text

    rows = [
        [
            *(str(one["id"]), one["name"], one["release"][:8], one["state"]),
            *("{}/{}".format(*rollout_text.succeeded(one)), one["reason"]),
        ]
        for one in rollouts
    ]
    api.print_table(("id", "name", "release", "state", "succeeded", "reason"), rows)


def members(devices: list[dict[str, Any]], phases: list[dict[str, Any]]) -> None:
    """Print a rollout's devices and how far they are."""
    rows = [
        [
            *(one["device"], phases[one["phase"]]["title"], one["progress"], one["reason"]),
            *(str(one["tries"]), api.time_text(one["asked_at_s"])),
        ]
        for one in devices
    ]
    api.print_table(("device", "phase", "progress", "reason", "tries", "asked"), rows)


def watch(rollout: str, *, as_json: bool) -> None:
    """Watch a rollout to its end; exit 1 if that isn't done."""
    from pawl_tools import event_source, rollout_watch

    with api.connect() as fleet:
        messages = event_source.follow(fleet, f"{api.path('rollouts', rollout)}/events")
        is_done = rollout_watch.watch((message.content for message in messages), as_json=as_json)
    if not is_done:
        raise typer.Exit(1)
