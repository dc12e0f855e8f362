"""A rollout in words: its state, how far its phases are, and what to do next; pure, of what the server's interface says."""

from typing import Any

DONE = "done"
# Where a rollout doesn't go on by itself.
RESTING = frozenset({"paused", "rolled-back", DONE, "cancelled"})
IN_FLIGHT = ("open", "held", "recovering")
GOOD = ("succeeded", "recovered")
BAD = ("failed", "unrecovered")
_GONE = ("displaced", "withdrawn")
_MINUTE_S = 60
_HOUR_S = 3600


def headline(rollout: dict[str, Any]) -> str:
    """Return the name, the state, and why it is in that."""
    reason = f" ({rollout['reason']})" if rollout["reason"] else ""
    return f"{rollout['name']}: {rollout['state']}{reason}"


def phase_line(phase: dict[str, Any]) -> str:
    """Return a phase and how far its devices are."""
    return f"{phase['title']}: {counts(phase) or 'no devices'}"


def counts(phase: dict[str, Any]) -> str:
    """Return how many devices are how far, without those that are nowhere."""
    return ", ".join(f"{number} {progress}" for progress, number in phase["devices"].items() if number)


def among(phase: dict[str, Any], *progress: str) -> int:
    """Return how many devices of a phase are as far as one of these."""
    return sum(phase["devices"][one] for one in progress)


def succeeded(rollout: dict[str, Any]) -> tuple[int, int]:
    """Return how many devices of all phases succeeded, and how many count."""
    phases = rollout["phases"]
    total = sum(sum(phase["devices"].values()) - among(phase, *_GONE) for phase in phases)
    return sum(among(phase, "succeeded") for phase in phases), total


def waiting_for(rollout: dict[str, Any], now_s: int) -> str:
    """Return what a running rollout's next phase waits for, if that is the clock."""
    if rollout["state"] != "running":
        return ""
    before: dict[str, Any] | None = None
    for phase in rollout["phases"]:
        if phase["began_at_s"] is None:
            return _waits(before, phase, now_s)
        before = phase
    return ""


def _waits(before: dict[str, Any] | None, phase: dict[str, Any], now_s: int) -> str:
    if before is not None and before["passed_at_s"] is None:
        return ""
    soaks_until_s = before["passed_at_s"] + before["soak_s"] if before is not None else 0
    starts_at_s = phase["starts_at_s"] or 0
    if before is not None and soaks_until_s > max(now_s, starts_at_s):
        return f"{before['title']} soaks for {remaining(soaks_until_s - now_s)} more"
    if starts_at_s > now_s:
        return f"{phase['title']} begins in {remaining(starts_at_s - now_s)}"
    return ""


def remaining(seconds: int) -> str:
    """Return a time that is left, in the two largest units."""
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S} min {seconds % _MINUTE_S:02} s"
    days, hours = divmod(seconds // _HOUR_S, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {seconds % _HOUR_S // _MINUTE_S:02} min"


def next_step(rollout: dict[str, Any]) -> str:
    """Return what an operator can do where a rollout doesn't go on by itself, or didn't end well."""
    name, state = rollout["name"], rollout["state"]
    look = f"`pawl rollout devices {name} --progress {{}}` says which devices and why"
    if state == "awaiting-approval":
        return f"`pawl rollout approve {name}` or `reject`"
    if state == "paused":
        back = ", `roll-back` brings everybody back" if rollout["recovery"] else ""
        ways = f"`pawl rollout resume {name}` overlooks the failures so far, `retry` asks those devices again"
        seen = f"{look.format('failed')}; " if _any(rollout, "failed") else ""
        return f"{seen}{ways}{back}, `cancel` ends it"
    if state == "rolled-back":
        if _any(rollout, "unrecovered"):
            return look.format("unrecovered")
        return "mend the release, and roll out another one with a higher sequence"
    if state == "cancelled":
        return "nobody is asked any more, and what was installed stays; create another rollout"
    return look.format("failed") if state == DONE and _any(rollout, "failed") else ""


def _any(rollout: dict[str, Any], progress: str) -> bool:
    return any(among(phase, progress) for phase in rollout["phases"])
