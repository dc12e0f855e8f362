"""The page `docs/boot.md`: the boot table, what it does to a slot's state, and what two slots boot; all from the code."""

from collections.abc import Iterable, Sequence

from pawl import boot
from pawl.slots import TRIALS_MAX
from pawl_tools import boot_states
from pawl_tools.boot_states import CHANGES, STATES

COMMAND = "pawl boot-table --page > docs/boot.md"

_PAGE = """\
# Boot table

At every boot one pure function decides what runs: `boot.decide` in `device/pawl/boot.py`. It judges facts that
`bootloader.py` has just read from flash; no verdict is kept from the boot before. Why the rows are as they are, and what
each one leaves to the code around it, is in [architecture.md](architecture.md), Boot.

This page is printed from that code. Don't edit it: a test compares the two. It is written again by

```sh
{command}
```

## The rows

The first row that applies decides. A row that marks a slot, or finishes its confirmation, writes that to flash; then the
table is asked again from its first row. So a power cut at any moment leaves a question that the table answers anew.

{rows}

- **ok**: page and envelope name the same manifest, its signatures suffice, it isn't barred, it is made for this device and
  slot, its epoch isn't below the ratchet's, and every image has its digest. Judged anew at each boot.
- **authentic**: as far as the manifest could be trusted; its image may be damaged.
- **finished**: two units of `confirmed` are written, the ratchet holds the release, and what it recovers from is failed.
- **unwell**: the latest boots reached neither a check-in nor a minute of the application.
- **the agent alone**: without an application, until an update is installed.

## A slot's states

Each slot has a status page: one flash sector of marks, each written once and never changed. The state isn't stored; it
is what the marks say, and a mark that a power cut tore says nothing, except that a torn trial is used up. The bytes are
in [protocol.md](protocol.md), Status page.

An arrow with a row is made by the boot table, and found by asking it about every combination of facts. The others are
calls of `Slot` (`device/pawl/slots.py`), listed below. Row 7 boots a confirmed slot and marks nothing. `failed` ends only
when the page is erased.

```mermaid
{diagram}
```

{changes}

## What two slots boot

Nothing is wrong with either slot, B holds the newer release, and a slot on trial has used one of its {trials} trials. A
field names the rows that apply, one after the other, and what runs then (agent: alone). With the newer release in A the
letters change places. The table answers for every pair, also for those that no update makes: the install policy lets no
release become pending that is older than a confirmed one.

{pairs}
"""


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join([_line(columns), "|" + "---|" * len(columns), *map(_line, rows)])


def _rows() -> str:
    rows = [(str(row.number), row.says, row.decision) for row in boot.ROWS]
    return _table(("#", "what was read", "decision"), rows)


def _row_text(rows: Sequence[int]) -> str:
    return ("row " if len(rows) == 1 else "rows ") + ", ".join(map(str, rows))


def diagram() -> str:
    """Return the Mermaid state diagram of a slot."""
    causes: dict[tuple[int, int], list[str]] = {
        pair: [_row_text(rows)] for pair, rows in boot_states.transitions().items()
    }
    for change in CHANGES:
        for before in change.before:
            causes.setdefault((before, change.after), []).append(change.call)
    order = list(STATES)
    arrows = [
        f"    {STATES[before]} --> {STATES[after]}: {', '.join(causes[before, after])}"
        for before, after in sorted(causes, key=lambda pair: [order.index(state) for state in pair])
    ]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {STATES[order[0]]}", *arrows])


def _changes() -> str:
    rows = [
        (f"`{change.call}`", change.who, _states_text(change.before), STATES[change.after])
        for change in CHANGES
    ]
    return _table(("call", "when", "from", "to"), rows)


def _states_text(states: Sequence[int]) -> str:
    return "any" if set(states) == set(STATES) else ", ".join(STATES[state] for state in states)


def _pairs() -> str:
    rows = []
    for a in STATES:
        outcomes = [boot_states.outcome((a, b)) for b in STATES]
        fields = [f"{', '.join(map(str, found.rows))}: {found.runs}" for found in outcomes]
        rows.append([f"**{STATES[a]}**", *fields])
    return _table(("A \\ B", *STATES.values()), rows)


def page() -> str:
    """Return the whole page in Markdown."""
    return _PAGE.format(
        command=COMMAND,
        rows=_rows(),
        diagram=diagram(),
        changes=_changes(),
        trials=TRIALS_MAX,
        pairs=_pairs(),
    )
