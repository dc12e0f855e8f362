"""How devices are printed."""

from typing import Any

from pawl_tools.cli import api


def table(devices: list[dict[str, Any]]) -> None:
    """Print a line for each."""
    columns = ("device", "slot", "version", "confirmed", "release", "state", "last seen", "tags", "notes")
    api.print_table(columns, [_row(device) for device in devices])


def _row(device: dict[str, Any]) -> list[str]:
    assignment = device["assignment"] or {"release": "", "state": ""}
    return [
        device["device"],
        device["slot"] or "",
        device["version"] or "",
        api.short(device["confirmed"] or ""),
        api.short(assignment["release"]),
        assignment["state"],
        api.time_text(device["last_seen_s"]),
        _tags(device["tags"]),
        ", ".join(note["cause"] for note in device["attention"]),
    ]


def _tags(tags: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(tags.items()))


def attention(devices: list[dict[str, Any]]) -> None:
    """Print a line for each cause to look at a device."""
    rows = [
        [one["device"], note["cause"], api.time_text(note["since_s"] or None), note["reason"]]
        for one in devices
        for note in one["attention"]
    ]
    api.print_table(("device", "cause", "since", "reason"), rows)


def history(entries: list[dict[str, Any]]) -> None:
    """Print a line for each state that an assignment came into."""
    rows = [
        [
            *(api.time_text(one["at_s"]), api.short(one["release"]), one["state"], one["reason"]),
            str(one["attempt"] or ""),
        ]
        for one in entries
    ]
    api.print_table(("at", "release", "state", "reason", "attempt"), rows)


def candidates(found: list[dict[str, Any]]) -> None:
    """Print a line for each."""
    rows = [
        [
            *(one["device"], one["vendor"], one["class"]),
            *(api.time_text(one["first_seen_s"]), api.time_text(one["last_seen_s"])),
        ]
        for one in found
    ]
    api.print_table(("device", "vendor", "class", "first seen", "last seen"), rows)


def lines(facts: dict[str, Any], applies: dict[str, Any]) -> dict[str, object]:
    """Return all there is to see of a device, by name; what nobody signed says so."""
    facts = dict(facts)
    assignment = facts.pop("assignment") or {}
    refusals, reports, claims = facts.pop("refusals"), facts.pop("reports"), facts.pop("claims")
    flag, log, notes = facts.pop("flagged"), facts.pop("log"), facts.pop("attention")
    # Anybody may have written it: nothing that a terminal would obey.
    facts |= {"agent": ascii(facts["agent"] or "")[1:-1], "tags": _tags(facts["tags"])}
    for name in ("last_seen_s", "fresh_at_s"):
        facts[name] = api.time_text(facts[name])
    told = {name.removesuffix("_s").replace("_", " "): value for name, value in facts.items()}
    told["rollout"] = applies["why"]
    told |= {f"assigned {name}": value for name, value in assignment.items()}
    if flag is not None:
        told["flagged"] = f"{flag['reason']}, {api.time_text(flag['at_s'])}"
    told |= {f"attention {note['cause']}": note["reason"] for note in notes}
    told |= {f"refused {one['where']} {one['reason']}": f"{one['count']} times" for one in refusals}
    told |= {f"report {one['boots']}.{one['number']}": _report_line(one) for one in reports}
    told |= _claim_lines(claims) if claims else {}
    told |= {f"log (unsigned) {one['boot']}, {one['uptime_s']} s": _log_line(one) for one in log}
    return {name: "" if value is None else value for name, value in told.items()}


def _report_line(report: dict[str, Any]) -> str:
    of = f" of {api.short(report['release'])}" if report["release"] else ""
    return f"{report['event']}{of}: {report['reason']}, {api.time_text(report['received_at_s'])}"


def _log_line(entry: dict[str, Any]) -> str:
    return f"{entry['reason']} {api.short(entry['detail'] or '')}".strip()


def _claim_lines(claims: dict[str, Any]) -> dict[str, object]:
    """Return what the device says of itself: nobody signed it."""
    told: dict[str, object] = {
        # Anybody may have written it: nothing that a terminal would obey.
        "claims (unsigned) agent": ascii(claims["agent"])[1:-1],
        "claims (unsigned) anchor": f"version {claims['anchor_version']}, {api.short(claims['anchor_digest'])}",
        "claims (unsigned) time floor": api.time_text(claims["time_floor_s"]),
    }
    for name, slot in zip("AB", claims["slots"], strict=False):
        told[f"claims (unsigned) slot {name}"] = f"{slot['state']} {api.short(slot['release'] or '')}".strip()
    for one in claims["failed"]:
        attempts = f"{one['attempts']} attempts, {one['reason']}"
        told[f"claims (unsigned) failed {api.short(one['release'])}"] = attempts
    for reason, count in claims["refusals"].items():
        told[f"claims (unsigned) refused {reason}"] = f"{count} times"
    return told
