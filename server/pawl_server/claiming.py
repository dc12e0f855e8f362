"""Claims: a person who holds the code of a device enrolls it after its hello, in place of a file from provisioning.

The broker lets only a certificate of the trusted authority speak as a device, and the code carries the key that its
reports must be signed with: neither the code nor a hello is enough, and a code of another device is refused. Vendor and
class are what the hello says; a wrong one leads to offers that the device refuses.
"""

from pawl.ports.host import claim_code
from pawl.ports.host.claim_code import ClaimCodeError
from pawl_server.domain.fleet import Device, Enrolment
from pawl_server.domain.registration import Registration
from pawl_server.errors import InvalidError, UnknownError
from pawl_server.store import ConflictError, Transaction


async def claim(
    transaction: Transaction, name: str, code: str, now_s: int, registration: Registration
) -> Enrolment:
    """Enroll a candidate with the report key in its claim code; the same again changes nothing.

    Raises:
        InvalidError: it is no code, or of another device.
        UnknownError: the device said no hello yet.
        ConflictError: the device is enrolled with another key.
    """
    try:
        x, y = claim_code.read(name, code)
    except ClaimCodeError as error:
        raise InvalidError("code", str(error)) from None
    known = await transaction.device(name)
    if known is not None:
        if (known.enrolment.report_x, known.enrolment.report_y) != (x, y):
            raise ConflictError(f"{name} is enrolled with another report key")
        return known.enrolment
    candidate = await transaction.candidates.get(name)
    if candidate is None:
        raise UnknownError(_missing(name, registration))
    enrolment = Enrolment(
        device=name, vendor=candidate.vendor, class_id=candidate.class_id, report_x=x, report_y=y
    )
    await transaction.enroll(Device(enrolment=enrolment, enrolled_at_s=now_s))
    return enrolment


def _missing(name: str, registration: Registration) -> str:
    if registration is not Registration.CLAIM:
        return f'no candidate {name}: set registration = "{Registration.CLAIM}" in server.toml, or enroll it'
    return f"no candidate {name}: switch it on, it says hello within a minute"
