"""`pawl events`: what happened in the fleet, in order; kept by the server for a while."""

import json as json_format
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pawl_tools.cli import api

if TYPE_CHECKING:
    from pawl_tools.fleet_client import FleetClient


def events(
    after: Annotated[int, typer.Option(help="Only what happened after the event of this number")] = 0,
    rollout: Annotated[str | None, typer.Option(help="Only of this rollout, by name or number")] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until interrupted")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, a line each")] = False,
) -> None:
    """Print what happened, the oldest first; what isn't kept any more is said."""
    with api.connect() as fleet:
        found = _following(fleet, after, rollout) if follow else _kept(fleet, after, rollout)
        for event in found:
            print(json_format.dumps(event) if json else _line(event), flush=True)


def _kept(fleet: "FleetClient", after: int, rollout: str | None) -> Iterator[dict[str, Any]]:
    """Yield what there is; the pages of a list begin at their own places, not at a number."""
    for event in fleet.pages("/events", "events", rollout=rollout):
        if event["id"] > after:
            yield event


def _following(fleet: "FleetClient", after: int, rollout: str | None) -> Iterator[dict[str, Any]]:
    from pawl_tools import event_source

    for message in event_source.follow(fleet, "/events/stream", after=after, rollout=rollout):
        yield message.content


def _line(event: dict[str, Any]) -> str:
    if "kind" not in event:
        return f"-- {event['detail']}"
    told = " ".join(f"{name}={_short(value)}" for name, value in event["content"].items() if value != "")
    return f"{event['id']:>6}  {api.time_text(event['at_s'])}  {event['kind']:<18}  {told}"


def _short(value: object) -> str:
    # Reasons have blanks; so that one sees where they end.
    return json_format.dumps(value) if isinstance(value, str) and " " in value else str(value)
