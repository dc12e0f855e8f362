"""One measured figure beside its reference, and the table of them.

Says what was measured and never judges: times differ from machine to machine, so nothing fails because of one.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

_HEADINGS = ("figure", "measured", "reference", "", "ratio", "goal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`name` was measured as `value`, `reference` as `reference_value`, both in `unit`; `goal` is the most wanted."""

    name: str
    value: float
    unit: str
    reference: str
    reference_value: float
    goal: float | None = None

    @property
    def ratio(self) -> float:
        """Return the value as a multiple of the reference."""
        return self.value / self.reference_value

    def as_json(self) -> dict[str, object]:
        """Return the figure with its ratio."""
        return {**asdict(self), "ratio": round(self.ratio, 4)}


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as aligned columns."""
    rows = [_HEADINGS, *[_row(figure) for figure in figures]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(_line(row, widths) for row in rows)


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        _quantity(figure.value, figure.unit),
        figure.reference,
        _quantity(figure.reference_value, figure.unit),
        f"{figure.ratio:.3f}",
        _goal(figure),
    )


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    verdict = "met" if figure.value <= figure.goal else "missed"
    return f"{_quantity(figure.goal, figure.unit)}: {verdict}"


def _quantity(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}" if float(value).is_integer() else f"{value:.1f} {unit}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    """Names are aligned left, numbers right."""
    cells = (
        text.ljust(width) if column in (0, 2, 5) else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()
