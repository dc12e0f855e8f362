"""What the attacks did, as one table: each test records what refused it and what it left behind, and can't forget to."""

from dataclasses import dataclass, field
from dataclasses import replace as changed_in

from pawl import codes
from pawl.names import reason_name

# A lost link is no refusal: it isn't written to flash.
LINK_REASONS = frozenset(getattr(codes, name) for name in dir(codes) if name.startswith("REASON_LINK_"))
NAMED = frozenset(
    [f"T{number:02}" for number in range(1, 34)]
    + [f"T{number}" for number in (34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 49, 50)]
)


@dataclass(kw_only=True)
class Row:
    """One attack of one test; `refused` and the state are asserted where they are recorded."""

    id: str
    attack: str
    node: str
    reasons: list[str] = field(default_factory=list)
    state: str = ""
    is_failed: bool = False
    _to_log: set[int] = field(default_factory=set)  # since the last look at the log
    _logged: set[int] = field(default_factory=set)  # ever

    def refused(self, found, wanted, *, is_logged=True):
        """Assert that the attack was refused for this reason, a code of the device or a name of the server.

        A device that refuses says so in its log; where no device is asked, `is_logged` is false.
        """
        assert _named(found) == _named(wanted)
        self._add(_named(wanted))
        if is_logged and isinstance(wanted, int) and wanted not in LINK_REASONS:
            self._to_log.add(wanted)

    def logged(self, *reasons):
        """Say what else a device notes in its log until the next Snapshot."""
        self._to_log.update(reasons)

    def failed(self, found, wanted, what):
        """Assert a fact that isn't a reason code, and record it in words."""
        assert found == wanted, what
        self._add(what)

    def _add(self, words):
        if words not in self.reasons:
            self.reasons.append(words)

    def unchanged(self, before, after):
        """Assert that nothing moved, and that the log says why."""
        self._require_log(before, after)
        assert before.differences(after) <= {"log"}
        self.state = self.state or "yes"

    def changed(self, before, after, words, **wanted):
        """Assert that exactly these fields moved, to exactly these values, and that the log says why."""
        self._require_log(before, after)
        assert after == changed_in(before, log=after.log, **wanted), before.differences(after)
        assert before.differences(after) - {"log"}, "nothing moved: say `unchanged`"
        self.state = words

    def _require_log(self, before, after):
        """The device's log grew by every reason that it refused for since the last look, and by nothing that it didn't."""
        told = {_named(code) for code in before.news(after)}
        self._logged |= self._to_log
        assert {_named(code) for code in self._to_log} <= told
        assert told <= {_named(code) for code in self._logged}
        self._to_log.clear()

    def moved_only(self, before, after, names, words):
        """Assert that nothing but these fields moved, and that the log says why."""
        self._require_log(before, after)
        assert before.differences(after) <= {*names, "log"}, before.differences(after)
        self.state = words

    def kept(self, before, after, words="yes"):
        """Assert that any two values are equal: state that isn't a device's flash."""
        assert before == after
        self.state = words

    def pure(self):
        """Say that what was asked holds no state at all."""
        self.state = "yes (pure)"

    @property
    def is_complete(self):
        """Whether the test said what refused the attack and what it left behind."""
        return bool(self.reasons and self.state)


def _named(reason):
    return reason_name(reason) if isinstance(reason, int) else str(reason)


def lines(rows):
    """Return the table as lines of text, sorted by id."""
    table = [("id", "attack", "refused with", "state unchanged")]
    table += [(row.id, row.attack, ", ".join(row.reasons), row.state) for row in _sorted(rows)]
    widths = [max(len(line[column]) for line in table) for column in range(3)]
    return [
        "  ".join([*(text.ljust(width) for text, width in zip(line, widths, strict=False)), line[3]])
        for line in table
    ]


def _sorted(rows):
    return sorted(rows, key=lambda row: (row.id, row.node))
