"""Makes a device: its flash image, with identity, trust anchor and factory release, and the files to run it with.

The flash image is written by the device's own code. What a server has to know goes to `enrolment.json`, which holds no
secret; `flash.bin` holds the device's private keys and is for its owner's eyes only. `claim-code.txt`, for a label, enrolls it
in place of that file where the server takes claims.
"""

import base64
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from pawl import bundle, codes, identity, index, p256, suit
from pawl.errors import ManifestError
from pawl.flash import MemoryFlash
from pawl.manifest import Manifest
from pawl.names import reason_name
from pawl.ports.host import claim_code
from pawl.resolution import Image
from pawl.slots import Slot
from pawl.storage import Storage
from pawl_server.judges import DisagreementError, Judges
from pawl_tools import layouts, pki
from pawl_tools.errors import ToolError
from pawl_tools.new_folder import new_folder
from pawl_tools.read_back import alarm, judges_of

DEVICE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
CERTIFICATE_DAYS = 3650
CLAIM_CODE_NAME = "claim-code.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePlan:
    """Who a device is to be; `vendor` and `device_class` have 16 bytes."""

    device: str
    vendor: bytes
    device_class: bytes
    host: str
    port: int
    anchor_port: int = 0  # 0: the one above `port`

    def __post_init__(self) -> None:
        """Refuse an id that could not be a certificate's name and a topic's level."""
        if not DEVICE_ID.fullmatch(self.device):
            raise ToolError(f"{self.device!r} is no device id: use a-z, 0-9 and -, at most 63, not - first")


def plan_for(release: bytes, *, device: str, host: str, port: int) -> DevicePlan:
    """Return the plan of a device of the vendor and class that its factory release is made for."""
    try:
        vendor, device_class = Manifest(suit.Envelope(release).manifest).identity
    except ManifestError as error:
        raise ToolError(
            f"the factory release is refused: {reason_name(error.code)} ({error.detail})"
        ) from None
    return DevicePlan(device=device, vendor=vendor, device_class=device_class, host=host, port=port)


def provision(  # noqa: PLR0913 (who it is, and the four that make it so)
    folder: Path,
    plan: DevicePlan,
    anchor_file: bytes,
    release: bytes,
    ca: pki.Identity,
    *,
    layout: layouts.Layout | None = None,
) -> None:
    """Write `flash.bin`, `enrolment.json` and `claim-code.txt` of a new device into a new folder, all or nothing.

    `layout` is the board's, the unix board's by default.

    The factory release must be accepted by both judges of releases; a case about which they differ is kept beside the folder.
    """
    judges = judges_of(anchor_file, folder.with_name(folder.name + ".disagreements"))
    factory = factory_release(release, judges)
    report_key = p256.generate(os.urandom)
    certificate = pki.issue(ca, plan.device, days=CERTIFICATE_DAYS)
    values = {
        "device": plan.device,
        "vendor": plan.vendor,
        "class_id": plan.device_class,
        "certificate": certificate.certificate_der(),
        "tls_key": certificate.key_der(),
        "host": plan.host,
        "port": plan.port,
        "report_key": report_key,
        "anchor_file": anchor_file,
        "floor": {codes.IMAGE_APP: factory.manifest.sequence_number},
        "anchor_port": plan.anchor_port or plan.port + 1,
    }
    image = flash_image(values, factory, layout or layouts.load(layouts.UNIX))
    with new_folder(folder, "a device is provisioned once") as partial:
        pki.write_private(partial / "flash.bin", image)
        (partial / "enrolment.json").write_text(json.dumps(_enrolment(plan, report_key), indent=2) + "\n")
        code = claim_code.write(plan.device, *p256.public_key(report_key))
        (partial / CLAIM_CODE_NAME).write_text(code + "\n")


def claim_code_of(folder: Path) -> str:
    """Return the claim code of a device that was made in this folder."""
    return (folder / CLAIM_CODE_NAME).read_text().strip()


def factory_release(raw: bytes, judges: Judges) -> bundle.Bundle:
    """Return the release that a device is made with; ToolError unless both judges accept it."""
    try:
        factory: bundle.Bundle = judges.open(raw)
    except ManifestError as error:
        raise ToolError(
            f"the factory release is refused: {reason_name(error.code)} ({error.detail})"
        ) from None
    except DisagreementError as error:
        raise alarm(error) from None
    return factory


def flash_image(values: dict[str, object], factory: bundle.Bundle, layout: layouts.Layout) -> bytes:
    """Return the content of a device's whole flash by its board's layout: the factory release is in slot A, confirmed."""
    flash = MemoryFlash(layout.FLASH_BYTES, layout.ERASE_BYTES, layout.PROGRAM_BYTES)
    storage = Storage(flash, layout.REGIONS)
    storage.provision(values, values["anchor_file"])
    slot = storage.slots[codes.RUNNING_A]
    slot.begin(factory.envelope.digest, factory.wire_envelope())
    for image in factory.manifest.images(slot.name):
        _write_image(slot, image, factory.content(image).image)
    slot.mark_written()
    slot.mark_confirmed()
    return bytes(flash.store)


def _write_image(slot: Slot, image: Image, content: bytes) -> None:
    name = image.component.decode()
    room = slot.region(image.component).size
    if image.size > room:
        raise ToolError(
            f"the {name} of the factory release has {image.size} bytes, its place in a slot {room}"
        )
    for number, block in enumerate(index.cut(content)):
        slot.write_block(number * codes.BLOCK_BYTES, block, image.component)


def _enrolment(plan: DevicePlan, report_key: bytes) -> dict[str, object]:
    x, y = p256.public_key(report_key)
    return {
        "device": plan.device,
        "partition": identity.partition_of(plan.device),
        "vendor": plan.vendor.hex(),
        "class": plan.device_class.hex(),
        "report_key": {"x": base64.b64encode(x).decode(), "y": base64.b64encode(y).decode()},
    }
