"""How many devices are asked at a time: a fleet that comes at once is one too many for a broker, and for a site's uplink.

Whoever asks looks at the database for how many were asked lately, so that a restart asks nobody twice as fast.
"""

PACE_S = 10


def budget(asked_lately: int, offers_per_s: float) -> int:
    """Return how many may be asked now, given how many were in the last `PACE_S` seconds."""
    return max(0, int(offers_per_s * PACE_S) - asked_lately)


def spread_s(devices: int, offers_per_s: float) -> int:
    """Return over how long so many begin that are asked at once."""
    return int(devices / offers_per_s)


def silence_s(plan_silence_s: int) -> int:
    """Return how long a device may say nothing after it was asked: the delay that its offer asked for doesn't count."""
    return plan_silence_s + PACE_S
