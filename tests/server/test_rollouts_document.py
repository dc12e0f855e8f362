"""The operators' page says what the code says: states and commands, retries, fields and their defaults, filters."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from pawl_server.domain.plan import Phase, Plan
from pawl_server.domain.progress import Progress
from pawl_server.domain.reasons import reason_name
from pawl_server.domain.retry import BACKOFFS, CLASSES, FailureClass
from pawl_server.domain.rollout_states import TRANSITIONS, RolloutEvent, RolloutState
from pawl_server.filters import parse
from pawl_server.filters.fields import FIELDS, OPERATORS, Kind

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "rollouts.md").read_text()
REFUSED, SAME = "-", "same"
UNITS = ((3600, "h"), (60, "min"))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of the page."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(
        f"|{'|'.join(f' {cell} ' if cell != '---' else cell for cell in line)}|\n" for line in lines
    )


def rows_of(title: str) -> dict[str, list[str]]:
    """Return the table under a title of the page: the cells of a row by the first one, without its marks."""
    _, _, section = PAGE.partition(f"## {title}\n")
    lines = re.findall(r"^\| `([^`]+)` \|(.*)\|$", section.partition("\n## ")[0], re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in lines}


def state_rows() -> Iterator[list[str]]:
    """Yield what each state becomes by each event."""
    for state in RolloutState:
        following = (TRANSITIONS[state].get(event) for event in RolloutEvent)
        yield [state, *(REFUSED if one is None else SAME if one is state else one for one in following)]


def duration(seconds: int) -> str:
    """Return a duration in the largest unit that says it whole."""
    size, unit = next((size, unit) for size, unit in UNITS if seconds % size == 0)
    return f"{seconds // size} {unit}"


def retry_rows() -> Iterator[list[str]]:
    """Yield the classes that are tried again, with their reasons."""
    for kind, backoff in BACKOFFS.items():
        names = ", ".join(f"`{reason_name(reason)}`" for reason, of in CLASSES.items() if of is kind)
        tries = "as the plan says" if backoff.tries_max is None else f"{backoff.tries_max} at most"
        yield [kind, names, duration(backoff.first_s), duration(backoff.most_s), tries]


def test_states_and_commands():
    """The table is the one of the code."""
    made = table(["state", *RolloutEvent], state_rows())
    assert made in PAGE, f"put this into docs/rollouts.md:\n\n{made}"


def test_retries():
    """Who is asked again by itself, after how long; every other class is final, and none of its reasons stands there."""
    made = table(["class", "reasons", "first after", "at most after", "tries"], retry_rows())
    assert made in PAGE, f"put this into docs/rollouts.md:\n\n{made}"
    assert set(BACKOFFS) < set(FailureClass)


def test_how_far_a_device_is():
    """Each progress has its row, in order."""
    assert list(rows_of("How far a device is")) == list(Progress)


def default_of(field: Any) -> str:
    """Return what a field is if nobody says it, as the page has it."""
    if field.default is MISSING:
        return "required"
    if field.default in (None, (), ""):
        return "none"
    return str(field.default).lower()


@pytest.mark.parametrize(("title", "kind"), [("What a phase says", Phase), ("What a plan says", Plan)])
def test_fields_and_defaults(title, kind):
    """Each field has its row, with its default in the second column."""
    said = {name: cells[0] for name, cells in rows_of(title).items()}
    assert said == {field.name: default_of(field) for field in fields(kind)}


def filter_rows() -> Iterator[list[str]]:
    """Yield what may be asked of the fields of each kind."""
    for kind in Kind:
        names = [f"`{field.name}`" for field in FIELDS.values() if field.kind is kind]
        names += ["`tag.<key>`"] if kind is Kind.TEXT else []
        yield [", ".join(names), " ".join(f"`{operator}`" for operator in OPERATORS[kind]), kind.value]


def test_filters():
    """Which fields there are, and what they are compared by."""
    made = table(["fields", "operators", "compared with"], filter_rows())
    assert made in PAGE, f"put this into docs/rollouts.md:\n\n{made}"


def test_filters_that_are_shown_can_be_read():
    """Those of the commands, and the one that shows how conditions are joined."""
    shown = re.findall(r"--filter '([^']+)'|parentheses:\s+`([^`]+)`", PAGE)
    assert len(shown) >= 3
    for command, joined in shown:
        assert parse(command or joined)
