"""Plans as JSON, for the column of a rollout: digests in hex, everything else as it is."""

from dataclasses import asdict
from typing import Any

from pawl_server.domain.plan import Phase, PhaseKind, Plan, Window


def to_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON has it."""
    plain = asdict(plan)
    plain["release"] = plan.release.hex()
    plain["recovery"] = plan.recovery.hex() if plan.recovery is not None else None
    return plain


def from_json(content: dict[str, Any]) -> Plan:
    """Return the plan that was kept; PlanError if a newer server would not make it any more."""
    recovery = content["recovery"]
    kept = {
        "release": bytes.fromhex(content["release"]),
        "recovery": bytes.fromhex(recovery) if recovery is not None else None,
        "groups": tuple(content["groups"]),
        "phases": tuple(_phase(phase) for phase in content["phases"]),
    }
    return Plan(**{**content, **kept})


def _phase(content: dict[str, Any]) -> Phase:
    windows = tuple(Window(**{**window, "days": tuple(window["days"])}) for window in content["windows"])
    return Phase(**{**content, "kind": PhaseKind(content["kind"]), "windows": windows})
