"""Fixed cells in two halves of a region: appended one after the other, read as a set, never rewritten in place.

A torn append leaves one unreadable cell. When all cells are used, a half that doesn't hold what must be kept is
erased: so the newest value is in flash at every moment. Of a half with large sectors only the first 4 KiB are used: a boot
reads every cell.
"""

from pawl import codes, records
from pawl.compat import const
from pawl.errors import StorageError

USED_MAX_BYTES = const(4096)  # of each half
_NUMBER_BYTES = const(8)


class Journal:
    """The cells of one region; `magic` is 4 bytes, `cell_bytes` holds one record."""

    def __init__(self, region, magic, cell_bytes):
        self.region = region
        self.magic = magic
        self.cell_bytes = cell_bytes
        self.half_bytes = region.size // 2
        self.used_bytes = min(self.half_bytes, USED_MAX_BYTES)

    def _cells(self, half):
        start = half * self.half_bytes
        return range(start, start + self.used_bytes, self.cell_bytes)

    def _body(self, offset):
        return records.read(self.region, offset, self.magic, self.cell_bytes)

    def bodies(self):
        """Yield the body of every valid cell, in no order that means anything."""
        for half in (0, 1):
            for offset in self._cells(half):
                body = self._body(offset)
                if body is not None:
                    yield body

    def append(self, body, kept):
        """Write `body`; `kept` is the body that must stay readable until it is written (None if there is none).

        A cell that doesn't keep what is written is left behind, and the next one is tried; so is a half that doesn't erase.
        """
        fault = StorageError(codes.REASON_RATCHET_ROOM, "no cell holds what must be kept")
        for offset, is_free in self._rooms(kept):
            try:
                if not is_free:
                    self.region.erase(offset, self.half_bytes)
                return records.write(self.region, offset, self.magic, body)
            except StorageError as error:
                fault = error
        raise fault

    def has_room(self, kept):
        """Return whether an append can succeed without `kept` being lost; nothing is written or erased."""
        return any(True for _ in self._rooms(kept))

    def _rooms(self, kept):
        """Yield (the place of a cell, whether it is free): all that are, then the first of each half that may be erased."""
        for half in (0, 1):
            for offset in self._cells(half):
                if self.region.is_erased(offset, self.cell_bytes):
                    yield offset, True
        for half in (0, 1):
            if kept is None or self._holds(1 - half, kept):
                yield half * self.half_bytes, False

    def _holds(self, half, body):
        for offset in self._cells(half):
            if self._body(offset) == body:
                return True
        return False


class Snapshots:
    """One value in a journal: each append is a whole snapshot with a number that rises; the highest is the value."""

    def __init__(self, region, magic, cell_bytes):
        self.journal = Journal(region, magic, cell_bytes)
        self._newest = None
        for body in self.journal.bodies():
            # The number comes first and has a fixed size, so that bodies compare as numbers do.
            self._newest = body if self._newest is None or body > self._newest else self._newest

    def value(self):
        """Return the bytes of the newest snapshot, or None."""
        return None if self._newest is None else self._newest[_NUMBER_BYTES:]

    def write(self, value):
        """Append a snapshot, unless it is what the newest one says."""
        if value == self.value():
            return
        number = 0 if self._newest is None else int.from_bytes(self._newest[:_NUMBER_BYTES], "big") + 1
        body = number.to_bytes(_NUMBER_BYTES, "big") + value
        self.journal.append(body, self._newest)
        self._newest = body
