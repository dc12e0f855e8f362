"""What the device remembers of refusals, failures and anchors: a ring in flash, read newest first.

An entry is a cell of one size, checked as a whole and programmed once; a torn one reads as none. When both halves of the
region are full the older one is erased: the newer 64 entries are always there. Refusals are written at a bounded rate,
because anybody can cause them; verdicts on releases always, because erasing slots has a budget.

    log.refuse(boot, uptime_s, reason)
    log.keep(boot, uptime_s, reason, digest)
"""

from collections import namedtuple

from pawl import cbor
from pawl.compat import const, sha256
from pawl.errors import ManifestError, StorageError
from pawl.journal import USED_MAX_BYTES

CELL_BYTES = const(64)
DETAIL_MAX_BYTES = const(40)
_CHECK_BYTES = const(8)
_BODY_BYTES = const(56)
_ARRAY = const(4)  # the major type that every entry begins with
_NUMBER_MAX = const(0xFFFFFFFF)
_CODE_MAX = const(0xFFFF)
_MAGIC = b"PWLG"
_HOUR_S = const(3600)
_DAY_S = const(86400)
_REFUSALS_PER_DAY = const(32)

# detail: at most 40 bytes (a digest), or None
Entry = namedtuple("Entry", ("boot", "uptime", "code", "detail"))


class Log:
    """The ring over a region of two sectors. A region that takes no entry stops nothing: `fault` says so."""

    def __init__(self, region):
        self.region = region
        self.half_bytes = region.size // 2
        self.used_bytes = min(self.half_bytes, USED_MAX_BYTES)
        self.fault = 0

    def entries(self):
        """Yield every Entry, newest first."""
        newer = self._newer_half()
        for half in (newer, 1 - newer):
            for offset in reversed(self._cells(half)):
                entry = self._read(offset)
                if entry is not None:
                    yield entry

    def refuse(self, boot, uptime, code, detail=None):
        """Write a refusal: the same one once an hour of uptime, and at most 32 entries a day, whatever the number of resets."""
        detail = None if detail is None else bytes(detail[:DETAIL_MAX_BYTES])
        today = 0
        for entry in self.entries():
            past = uptime - entry.uptime
            if 0 <= past < _HOUR_S and (entry.code, entry.detail) == (code, detail):
                return
            today += 0 <= past < _DAY_S
        if today < _REFUSALS_PER_DAY:
            self.keep(boot, uptime, code, detail)

    def keep(self, boot, uptime, code, detail=None):
        """Write an entry."""
        detail = None if detail is None else bytes(detail[:DETAIL_MAX_BYTES])
        raw = _encode(Entry(min(boot, _NUMBER_MAX), min(uptime, _NUMBER_MAX), min(code, _CODE_MAX), detail))
        try:
            self.region.program(self._place(), raw)
        except StorageError as error:
            self.fault = error.code

    def _cells(self, half):
        start = half * self.half_bytes
        return range(start, start + self.used_bytes, CELL_BYTES)

    def _read(self, offset):
        raw = self.region.view(offset, CELL_BYTES)
        return _decode(bytes(raw)) if raw[0] >> 5 == _ARRAY else None

    def _newer_half(self):
        """Return the half with the newest entry: boots and uptimes only rise."""
        latest = []
        for half in (0, 1):
            found = [self._read(offset) for offset in self._cells(half)]
            latest.append(
                max([(-1, -1)] + [(entry.boot, entry.uptime) for entry in found if entry is not None])
            )
        return 1 if latest[1] > latest[0] else 0

    def _place(self):
        """Return the first cell behind the newest entry; a full half makes room in the other one, which is older."""
        half = self._newer_half()
        free = self._free(half)
        if free is None:
            free = (1 - half) * self.half_bytes
            self.region.erase(free, self.half_bytes)
        return free

    def _free(self, half):
        found = None
        for offset in reversed(self._cells(half)):
            if not self.region.is_erased(offset, CELL_BYTES):
                break
            found = offset
        return found


def _encode(entry):
    body = cbor.encode(list(entry if entry.detail is not None else entry[:3]))
    body += b"\xff" * (_BODY_BYTES - len(body))
    return body + sha256(_MAGIC + body)[:_CHECK_BYTES]


def _decode(raw):
    body = raw[:_BODY_BYTES]
    if sha256(_MAGIC + body)[:_CHECK_BYTES] != raw[_BODY_BYTES:]:
        return None
    try:
        reader = cbor.Reader(body)
        count = reader.array()
        values = [reader.uint() for _ in range(3)]
        return Entry(values[0], values[1], values[2], bytes(reader.bytes()) if count > 3 else None)
    except ManifestError:
        return None
