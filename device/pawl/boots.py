"""How often the device booted, and the newest boot that did well: it checked in, or its application kept running.

Eight boots in a row that did neither call for the recovery agent, once; the boots after it are counted anew. So a
confirmed application that crashes before the agent can check in doesn't keep the device from being updated.
"""

from pawl.compat import const
from pawl.errors import StorageError
from pawl.journal import Journal

_CELL_BYTES = const(64)
_UNWELL_MAX = const(8)


class BootCounter:
    """Two numbers that only rise, in one journal; `value` is the number of this boot after `step`.

    A region that takes no number stops nothing: `fault` says so, and no boot counts as unwell then.
    """

    def __init__(self, region):
        self.journal = Journal(region, b"PWCT", _CELL_BYTES)
        self.fault = 0
        found = [
            (int.from_bytes(body[:8], "big"), int.from_bytes(body[8:], "big"))
            for body in self.journal.bodies()
        ]
        self.value = max([0] + [pair[0] for pair in found])
        self.well = max([0] + [pair[1] for pair in found])

    def step(self):
        """Count this boot, in flash first; return its number, or raise StorageError."""
        try:
            self._write(self.value + 1, self.well)
        except StorageError as error:
            self.fault = error.code
            raise
        return self.value

    def note_well(self):
        """Say that this boot did well; written once, and never a reason to fail what did well."""
        if self.well == self.value:
            return
        try:
            self._write(self.value, self.value)
        except StorageError as error:
            self.fault = error.code
            self.well = self.value

    def _write(self, value, well):
        kept = _body(self.value, self.well) if self.value else None
        self.journal.append(_body(value, well), kept)
        self.value, self.well = value, well

    def is_unwell(self):
        """Return whether the boots before this one call for the recovery agent (boot row 7)."""
        before = 0 if self.fault else self.value - 1 - self.well
        return before > 0 and before % (_UNWELL_MAX + 1) == _UNWELL_MAX


def _body(value, well):
    return value.to_bytes(8, "big") + well.to_bytes(8, "big")
