"""The agent's states as one table. `step` is pure: a pair that isn't in the table raises and changes nothing.

REBOOT and REVERT end in a reset; what comes after it is decided at boot, which the event RESUMED stands for.
"""

IDLE = "IDLE"
DOWNLOAD = "DOWNLOAD"
INSTALL = "INSTALL"
REBOOT = "REBOOT"
VERIFY = "VERIFY"
CONFIRM = "CONFIRM"
REVERT = "REVERT"
FAILURE = "FAILURE"
CLEANUP = "CLEANUP"

OFFERED = "OFFERED"
COMPLETE = "COMPLETE"
PENDING = "PENDING"
HEALTHY = "HEALTHY"
UNHEALTHY = "UNHEALTHY"
CONFIRMED = "CONFIRMED"
REFUSED = "REFUSED"
NOTHING = "NOTHING"
REPORTED = "REPORTED"
DONE = "DONE"
LINK_LOST = "LINK_LOST"
FAULT = "FAULT"
RESUMED = "RESUMED"
RECOVERED = "RECOVERED"
WALKED = "WALKED"

TRANSITIONS = {
    IDLE: {OFFERED: DOWNLOAD, NOTHING: IDLE, RECOVERED: REBOOT, FAULT: FAILURE, LINK_LOST: IDLE},
    DOWNLOAD: {
        COMPLETE: INSTALL,
        NOTHING: CLEANUP,
        REFUSED: FAILURE,
        FAULT: FAILURE,
        LINK_LOST: IDLE,
        WALKED: IDLE,
    },
    INSTALL: {PENDING: REBOOT, REFUSED: FAILURE, FAULT: FAILURE, WALKED: IDLE},
    REBOOT: {RESUMED: VERIFY, REFUSED: FAILURE, FAULT: FAILURE},
    VERIFY: {HEALTHY: CONFIRM, UNHEALTHY: REVERT, FAULT: REVERT, LINK_LOST: VERIFY},
    CONFIRM: {CONFIRMED: CLEANUP, FAULT: REVERT, LINK_LOST: CONFIRM},
    REVERT: {RESUMED: IDLE},
    FAILURE: {REPORTED: CLEANUP, FAULT: CLEANUP, LINK_LOST: FAILURE},
    CLEANUP: {DONE: IDLE},
}


def step(state, event):
    """Return the state that follows."""
    followers = TRANSITIONS[state]
    if event not in followers:
        raise ValueError("%s has no place for %s" % (state, event))
    return followers[event]
