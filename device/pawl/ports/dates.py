"""The end of a certificate's time, judged by the time floor: for ports whose mbedTLS compares no dates.

Only the end: a floor says that a time is over, never that another hasn't begun. A certificate that can't be read counts as
ended. MicroPython hands over each certificate of a chain that mbedTLS has judged:

    context.verify_callback = dates.verifier(floor_s)
"""

from pawl.compat import const

ENDED = const(-0x3000)  # mbedTLS: fatal error of a certificate; what a callback returns ends the handshake
_VERSION = const(0xA0)  # [0] EXPLICIT, RFC 5280 section 4.1
_GENERALIZED_TIME = const(0x18)
_LONG = const(0x80)
_DAY_S = const(86400)
_DAYS_TO_1970 = const(719468)  # since the first of March of the year 0
_CYCLE_DAYS = const(146097)  # 400 years


def verifier(now_s):
    """Return the callback: 0 for a certificate whose time isn't over."""

    def verify(der, depth):
        try:
            return ENDED if now_s > not_after(der) else 0
        except (IndexError, ValueError):
            return ENDED

    return verify


def not_after(der):
    """Return the last second of a DER certificate's time, since 1970; IndexError or ValueError if it can't be read."""
    _, at, _ = _item(der, 0)  # Certificate
    _, at, _ = _item(der, at)  # TBSCertificate
    skipped = 4 if der[at] == _VERSION else 3  # serial number, algorithm, issuer
    for _ in range(skipped):
        _, _, at = _item(der, at)
    _, at, _ = _item(der, at)  # Validity
    _, _, at = _item(der, at)  # notBefore
    tag, at, end = _item(der, at)
    text = bytes(der[at:end])
    if tag != _GENERALIZED_TIME:
        text = (b"19" if text[:2] >= b"50" else b"20") + text
    return _seconds(text)


def _item(der, at):
    """Return (tag, begin, end) of the item at a place."""
    tag, size = der[at], der[at + 1]
    at += 2
    if size & _LONG:
        count = size & 0x7F
        size = int.from_bytes(bytes(der[at : at + count]), "big")
        at += count
    return tag, at, at + size


def _seconds(text):
    """Return the seconds since 1970 of YYYYMMDDHHMMSSZ."""
    if len(text) != 15 or text[14:] != b"Z":
        raise ValueError("a time of another form")
    year, month, day, hour, minute, second = [int(text[a:b]) for a, b in _FIELDS]
    if month < 3:  # years that begin in March end with the leap day
        year, month = year - 1, month + 12
    days = year // 400 * _CYCLE_DAYS + (year % 400) * 365 + (year % 400) // 4 - (year % 400) // 100
    days += (153 * (month - 3) + 2) // 5 + day - 1 - _DAYS_TO_1970
    return days * _DAY_S + hour * 3600 + minute * 60 + second


_FIELDS = ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14))
