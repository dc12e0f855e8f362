"""Conditions on the device: what a manifest may ask of it, judged by one small value (suit-manifest §6.4, update-management).

Each raises ManifestError with the reason of its own; none looks at flash, clock or network.
"""

from collections import namedtuple

from pawl import codes
from pawl.errors import ManifestError

# slot: that holds, or will hold, the envelope; version, image: of what the ratchet names, None if unknown, ANY in a
# repair, which is not asked what it repairs; is_authorised(priority): whether somebody lets an update of this priority in
Device = namedtuple("Device", ("vendor", "device_class", "slot", "version", "image", "is_authorised"))
ANY = object()


def nobody(priority):
    """Authorise no update: what a device does where nobody can be asked."""
    return False


def _require(is_so, reason, detail):
    if not is_so:
        raise ManifestError(reason, detail)


def _vendor(parameters, device):
    wanted = parameters[codes.PARAMETER_VENDOR]
    _require(wanted == device.vendor, codes.REASON_VENDOR, "made for another device")


def _class(parameters, device):
    wanted = parameters[codes.PARAMETER_CLASS]
    _require(wanted == device.device_class, codes.REASON_CLASS, "made for another device")


def _slot(parameters, device):
    wanted = parameters[codes.PARAMETER_COMPONENT_SLOT]
    _require(wanted == device.slot, codes.REASON_COMPONENT_SLOT, "made for the other slot")


def _version(parameters, device):
    is_so = device.version is ANY or (
        device.version is not None and version_matches(device.version, parameters[codes.PARAMETER_VERSION])
    )
    _require(is_so, codes.REASON_VERSION_CONDITION, "not made for the version that is confirmed here")


def _authorised(parameters, device):
    is_so = device.is_authorised(parameters[codes.PARAMETER_UPDATE_PRIORITY])
    _require(is_so is True, codes.REASON_UPDATE_AUTHORIZED, "nobody lets an update of this priority in")


def require_running(parameters, device):
    """Refuse a recovery whose named image isn't the one that the ratchet names, whatever flash holds."""
    wanted = (parameters[codes.PARAMETER_IMAGE_DIGEST], parameters[codes.PARAMETER_IMAGE_SIZE])
    is_so = device.image is ANY or device.image == wanted
    _require(
        is_so, codes.REASON_RECOVERY_NOT_FOR_THIS, "does not recover from the image that is confirmed here"
    )


CONDITIONS = {
    codes.COMMAND_VENDOR: _vendor,
    codes.COMMAND_CLASS: _class,
    codes.COMMAND_COMPONENT_SLOT: _slot,
    codes.COMMAND_VERSION: _version,
    codes.COMMAND_UPDATE_AUTHORIZED: _authorised,
}


def version_matches(version, wanted):
    """Return whether a version fits [comparison, version]; only as many numbers count as are wanted (update-management)."""
    comparison, numbers = wanted
    own = (tuple(version) + (0,) * len(numbers))[: len(numbers)]
    order = (own > numbers) - (own < numbers)
    return order in _ORDERS[comparison]


_ORDERS = {
    codes.VERSION_GREATER: (1,),
    codes.VERSION_GREATER_EQUAL: (0, 1),
    codes.VERSION_EQUAL: (0,),
    codes.VERSION_LESSER_EQUAL: (-1, 0),
    codes.VERSION_LESSER: (-1,),
}
