"""Time without a clock: uptime over all boots, the time floor, and how many slots were erased today.

The floor is the highest attested time (in accepted offers, which answer a nonce of ours) plus the uptime since. It says
whether the anchor expired for new installs, and nothing else. One offer, however far in the future, raises it to the
anchor's expiry and no further: beyond it only two offers under one key count, both past the expiry, 24 h of uptime
apart, whose times differ by at least the uptime between them less 5 minutes; the floor becomes what both attest. An
offer of that key that contradicts the first takes its place.

Kept in flash every hour of uptime, at each slot erase and before an intentional reset, never because of what is
received: 24 snapshots a day over 32 cells in two sectors erase each sector less than once a day, which 10000 cycles bear for
27 years. A power cut costs at most an hour of uptime.
"""

from collections import namedtuple

from pawl import cbor
from pawl.compat import const, sha256
from pawl.errors import ManifestError, StorageError
from pawl.journal import Snapshots

DAY_S = const(86400)
ERASES_MAX = const(4)
_SAVE_EVERY_S = const(3600)
_SLACK_S = const(300)
_CELL_BYTES = const(256)
_MAGIC = b"PWCK"
_NAME_BYTES = const(16)
_WITNESSES_MAX = const(2)

# uptime: seconds over all boots; floor: as it was at uptime `since`; witnesses: (key name, time, uptime) of the first
# offer of a key past the anchor's expiry; directors: names of the keys the floor was attested under; erases: uptimes of
# the latest slot erases; answered: uptime of the newest accepted offer
_FIELDS = ("uptime", "floor", "since", "witnesses", "directors", "erases", "answered")
Times = namedtuple("Times", _FIELDS)
FRESH = Times(0, 0, 0, (), (), (), 0)


def _changed(times, **changes):
    values = {name: getattr(times, name) for name in _FIELDS}
    values.update(changes)
    return Times(**values)


def name_of(key) -> bytes:
    """Return the name of a director's key: a digest of what makes it that key."""
    return sha256(cbor.encode(list(key.identity)))[:_NAME_BYTES]


def floor(times, expiry):
    """Return the time floor under an anchor with this expiry: uptime alone doesn't carry it past that."""
    now = times.floor + times.uptime - times.since
    return now if times.floor > expiry else min(now, expiry)


def is_expired(times, expiry):
    """Return whether two offers attested that the anchor's time is over."""
    return times.floor > expiry


def after(times, seconds):
    """Return Times when so much more uptime has passed."""
    return _changed(times, uptime=times.uptime + seconds)


def follow(times, anchor):
    """Return Times under an anchor: a new director key resets the floor to the time it was issued."""
    names = tuple(sorted([name_of(key) for key in anchor.directors]))
    is_new = not all(name in times.directors for name in names)
    now = 0 if is_new else floor(times, anchor.expiry)
    witnesses = () if is_new else times.witnesses
    if now >= anchor.issued and names == times.directors:
        return times
    return _changed(
        times, floor=max(now, anchor.issued), since=times.uptime, witnesses=witnesses, directors=names
    )


def attest(times, expiry, time, name):
    """Return Times after an accepted offer that says `time`, signed by the key of this name."""
    proven, witnesses = _weigh(times, expiry, time, name)
    now = max(floor(times, expiry), min(time, expiry), proven)
    return _changed(times, floor=now, since=times.uptime, witnesses=witnesses, answered=times.uptime)


def _weigh(times, expiry, time, name):
    """Return (the time that two offers attest, or 0; the witnesses from now on)."""
    others = tuple([witness for witness in times.witnesses if witness[0] != name])
    if time <= expiry:
        return 0, others
    for witness in times.witnesses:
        past = times.uptime - witness[2]
        if witness[0] == name and witness[1] > expiry and time - witness[1] >= past - _SLACK_S:
            return witness[1] + past if past >= DAY_S else 0, times.witnesses
    return 0, (others + ((name, time, times.uptime),))[-_WITNESSES_MAX:]


def is_spent(times):
    """Return whether no slot may be erased now: 4 were in the last 24 h of uptime."""
    return len([at for at in times.erases if times.uptime - at < DAY_S]) >= ERASES_MAX


class Clock:
    """Times of one device: polled from the port's ticks, kept in a region of two sectors.

    Polled at least hourly by whoever asks it anything, so ticks may wrap. Flash that takes no snapshot stops nothing but
    slot erases: `fault` says so.
    """

    def __init__(self, region, port):
        self.port = port
        self.fault = 0
        self._snapshots = Snapshots(region, _MAGIC, _CELL_BYTES)
        self.times = _readable(self._snapshots.value())
        self._saved_s = self.times.uptime
        self._ticks_ms = port.ticks_ms()
        self._rest_ms = 0

    def uptime_s(self):
        """Return the uptime in seconds, over all boots."""
        now_ms = self.port.ticks_ms()
        past_ms = self._rest_ms + max(0, self.port.ticks_diff(now_ms, self._ticks_ms))
        self._ticks_ms = now_ms
        self._rest_ms = past_ms % 1000
        if past_ms >= 1000:
            self.times = after(self.times, past_ms // 1000)
        if self.times.uptime - self._saved_s >= _SAVE_EVERY_S:
            self.save()
        return self.times.uptime

    def save(self):
        """Keep the times in flash; return whether it did. Tried again after an hour."""
        self._saved_s = self.times.uptime
        try:
            self._snapshots.write(_encode(self.times))
        except StorageError as error:
            self.fault = error.code
            return False
        return True

    def follow(self, anchor):
        """Take the time of another anchor."""
        self.uptime_s()
        self.times = follow(self.times, anchor)

    def attest(self, anchor, time, key):
        """Take the time of an accepted offer that this key signed."""
        self.uptime_s()
        self.times = attest(self.times, anchor.expiry, time, name_of(key))

    def floor(self, anchor):
        """Return the time floor."""
        self.uptime_s()
        return floor(self.times, anchor.expiry) if anchor is not None else self.times.floor

    def is_expired(self, anchor):
        """Return whether the anchor's time is over for new installs."""
        return is_expired(self.times, anchor.expiry)

    def unanswered_s(self):
        """Return the uptime since an offer was accepted."""
        return self.uptime_s() - self.times.answered

    def is_spent(self):
        """Return whether the budget of slot erases is used up."""
        self.uptime_s()
        return is_spent(self.times)

    def note_erase(self):
        """Count a slot erase, in flash, before it is done; raises StorageError if it can't be counted."""
        self.uptime_s()
        self.times = _changed(self.times, erases=(self.times.erases + (self.times.uptime,))[-ERASES_MAX:])
        if not self.save():
            raise StorageError(self.fault, "the slot erase can't be counted")


def _encode(times):
    values = list(times)
    values[3] = [list(witness) for witness in times.witnesses]
    values[4] = list(times.directors)
    values[5] = list(times.erases)
    return cbor.encode(values)


def _readable(body):
    """A snapshot of an unknown format counts as none: its check value was right, so it is no tear."""
    if body is None:
        return FRESH
    try:
        return _decode(cbor.Reader(body))
    except ManifestError:
        return FRESH


def _decode(reader):
    reader.array(len(_FIELDS))
    uptime, attested, since = reader.uint(), reader.uint(), reader.uint()
    witnesses = tuple([_witness(reader) for _ in range(reader.array())])
    directors = tuple([reader.bytes_of(_NAME_BYTES) for _ in range(reader.array())])
    erases = tuple([reader.uint() for _ in range(reader.array())])
    times = Times(uptime, attested, since, witnesses, directors, erases, reader.uint())
    reader.end()
    return times


def _witness(reader):
    reader.array(3)
    return reader.bytes_of(_NAME_BYTES), reader.uint(), reader.uint()
