"""Phases of a rollout as people write them: `canary`, `10%:soak=2h,success=95`, `50:window=mon-fri/22:00-04:00`.

Before the first colon stands whom a phase takes: a group's name, a cumulative percent, or a number of devices. Behind it
stand options, joined by commas; windows of one phase are joined by `+`, single days by `.`. What is no phase is refused with
the place and what is expected there.

    phase = parse("canary:soak=30m,failures=2")
    assert write(phase) == "canary:soak=30m,failures=2"
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from pawl_server.domain.plan import SOAK_MAX_S, Phase, PhaseKind
from pawl_tools import window_text
from pawl_tools.pointed import Part

_DEVICES_MAX = 1_000_000_000
_PERCENT_MAX = 100
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_GROUP = re.compile(r"[a-z][a-z0-9.-]{0,62}")
_NUMBER = re.compile(r"[0-9]{1,10}")
_DURATION = re.compile(r"([0-9]{1,10})([smhd])")

_WHOM = "a group's name, a percent such as 10%, or a number of devices"
_A_DURATION = "a duration such as 90s, 30m, 2h or 1d"


def parse(text: str) -> Phase:
    """Return the phase that a text stands for; PointedError says where it is none, and what is expected there."""
    whom, options = Part(text, text, 0).partition(":")
    phase = _whom(whom)
    seen: set[str] = set()
    for option in options.split(",") if options is not None else ():
        name, value = option.partition("=")
        if name.text not in _OPTIONS or value is None:
            raise option.refuse(f"an option: {', '.join(f'{one}=' for one in _OPTIONS)}")
        if name.text in seen:
            raise option.refuse(f"each option once: {name.text} was said before")
        seen.add(name.text)
        phase = _OPTIONS[name.text](phase, value)
    # Who says a percent alone doesn't mean that one failure is enough.
    return replace(phase, failure_count=None) if seen & _FAILURES == {"failures-percent"} else phase


def _whom(part: Part) -> Phase:
    if part.text.endswith("%"):
        number = Part(part.whole, part.text.removesuffix("%"), part.position)
        return Phase(kind=PhaseKind.PERCENT, size=_number(number, _PERCENT_MAX))
    if _NUMBER.fullmatch(part.text):
        return Phase(kind=PhaseKind.COUNT, size=_number(part, _DEVICES_MAX))
    if not _GROUP.fullmatch(part.text):
        raise part.refuse(_WHOM)
    return Phase(kind=PhaseKind.GROUP, group=part.text)


def _number(part: Part, most: int) -> int:
    if not _NUMBER.fullmatch(part.text) or not 1 <= int(part.text) <= most:
        raise part.refuse(f"a number from 1 to {most}")
    return int(part.text)


def _duration(part: Part) -> int:
    found = _DURATION.fullmatch(part.text)
    if found is None:
        raise part.refuse(_A_DURATION)
    return int(found[1]) * _UNITS[found[2]]


def parse_duration(text: str) -> int:
    """Return the seconds of a duration such as 2h; PointedError if it is none."""
    return _duration(Part(text, text, 0))


def _soak(part: Part) -> int:
    seconds = _duration(part)
    if seconds > SOAK_MAX_S:
        raise part.refuse(f"at most {write_duration(SOAK_MAX_S)}")
    return seconds


def _time(part: Part) -> int:
    try:
        moment = datetime.fromisoformat(part.text)
        # Without a zone it would be another moment on each machine.
        is_usable = moment.tzinfo is not None and moment.microsecond == 0 and moment.timestamp() >= 0
    except (ValueError, OverflowError):
        is_usable = False
    if not is_usable:
        raise part.refuse("a time with its zone, such as 2026-12-01T22:00Z or 2026-12-01T22:00+01:00")
    return int(moment.timestamp())


_FAILURES = {"failures", "failures-percent"}
_OPTIONS: dict[str, Callable[[Phase, Part], Phase]] = {
    "soak": lambda phase, part: replace(phase, soak_s=_soak(part)),
    "success": lambda phase, part: replace(phase, success_percent=_number(part, _PERCENT_MAX)),
    "failures": lambda phase, part: replace(phase, failure_count=_number(part, _DEVICES_MAX)),
    "failures-percent": lambda phase, part: replace(phase, failure_percent=_number(part, _PERCENT_MAX)),
    "at-a-time": lambda phase, part: replace(phase, concurrency=_number(part, _DEVICES_MAX)),
    "from": lambda phase, part: replace(phase, starts_at_s=_time(part)),
    "window": lambda phase, part: replace(phase, windows=window_text.parse(part)),
}


def write(phase: Phase) -> str:
    """Return the text of a phase: `parse` makes the same phase of it."""
    options = ",".join(_written(phase))
    return _written_whom(phase) + (f":{options}" if options else "")


def _written_whom(phase: Phase) -> str:
    match phase.kind:
        case PhaseKind.GROUP:
            return phase.group
        case PhaseKind.PERCENT:
            return f"{phase.size}%"
        case PhaseKind.COUNT:
            return str(phase.size)


def _written(phase: Phase) -> Iterator[str]:
    if phase.soak_s:
        yield f"soak={write_duration(phase.soak_s)}"
    if phase.success_percent != _PERCENT_MAX:
        yield f"success={phase.success_percent}"
    if phase.failure_count is not None and (phase.failure_count != 1 or phase.failure_percent is not None):
        yield f"failures={phase.failure_count}"
    if phase.failure_percent is not None:
        yield f"failures-percent={phase.failure_percent}"
    if phase.concurrency is not None:
        yield f"at-a-time={phase.concurrency}"
    if phase.starts_at_s is not None:
        moment = datetime.fromtimestamp(phase.starts_at_s, tz=UTC)
        yield f"from={moment.strftime('%Y-%m-%dT%H:%M')}{_written_seconds(moment)}Z"
    if phase.windows:
        yield f"window={window_text.write(phase.windows)}"


def _written_seconds(moment: datetime) -> str:
    return f":{moment.second:02}" if moment.second else ""


def write_duration(seconds: int) -> str:
    """Return a duration in the largest unit that says it whole."""
    unit = next(name for name, size in _UNITS.items() if seconds % size == 0 and (seconds or name == "s"))
    return f"{seconds // _UNITS[unit]}{unit}"


def body(phase: Phase) -> dict[str, object]:
    """Return a phase as the server's interface has it."""
    plain = (
        *("kind", "group", "size", "success_percent", "failure_count", "failure_percent"),
        *("soak_s", "concurrency", "starts_at_s"),
    )
    said = {name: getattr(phase, name) for name in plain}
    # A group has a name or isn't named at all.
    said = {name: value for name, value in said.items() if (name, value) != ("group", "")}
    return {**said, "windows": [window_text.body(window) for window in phase.windows]}
