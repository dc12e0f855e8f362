"""What only a copy of a device, or a flash that was put back, would say; pure.

A flag is for people: nothing is refused or decided because of it. It needs the device's signature, as a broker may
repeat hellos in any order; and it spares what honest devices do: repeated hellos, messages that the broker delivers
twice or in another order, reports that were lost.
"""

from pawl_server.domain import outcomes
from pawl_server.domain.fleet import Device
from pawl_server.domain.outcomes import SignedReport

# A report that answers the newest offer, of a boot before the newest one: the counter in flash went back.
REPORT_NUMBER_FELL = "report-number-fell"
# Two reports of one boot and number with different content: no device numbers two of them alike.
REPORT_NUMBER_FORKED = "report-number-forked"
# A session went on after another one had begun: a device that opens a nonce closes the one before.
TWO_SESSIONS = "two-sessions"


def former_nonce(device: Device, nonce: bytes) -> bytes | None:
    """Return what `Device.former_nonce` is after a hello with this nonce.

    It is the nonce before the open one; or the open one itself, if that came back after another one had been opened.
    """
    if nonce == device.nonce:
        return device.former_nonce
    return nonce if nonce == device.former_nonce else device.nonce


def suspicion(device: Device, report: SignedReport) -> str | None:
    """Return why an accepted report is not of one device alone, by name; None if there is nothing strange in it.

    A lower number of the same boot isn't: the broker may deliver in another order.
    """
    if device.last_report is not None and report.id.boots < device.last_report.boots:
        return REPORT_NUMBER_FELL
    if device.former_nonce == device.nonce and outcomes.is_fresh(device, report):
        return TWO_SESSIONS
    return None
