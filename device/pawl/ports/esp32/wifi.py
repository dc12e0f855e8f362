"""Wi-Fi: the record that names the network, and the station that joins it.

The record is written by provisioning, in two copies. `Station` takes MicroPython's `network.WLAN`, whose driver joins again
by itself when the network was lost; what wasn't joined in time is begun anew by the next `join`.
"""

import asyncio
import os
from collections import namedtuple

from pawl import cbor, codes, records
from pawl.compat import const
from pawl.errors import TransportError

REGIONS = ("wifi_a", "wifi_b")
NAME_MAX_BYTES = const(32)
KEY_MIN_BYTES = const(8)
KEY_MAX_BYTES = const(64)
_MAGIC = b"PWWI"
_POLL_S = 0.1

# Both text; the key is empty for an open network.
Network = namedtuple("Network", ("name", "key"))

# Numbers of WLAN.status(), from ESP-IDF's wifi_err_reason_t.
_CAUSES = {
    200: "the access point went silent",
    201: "no access point of this name in reach",
    202: "the access point refuses the key",
    203: "the access point refuses the device",
    204: "no answer in the handshake: is the key right?",
}


def write(regions, wanted):
    """Provision: write every copy of the record, or raise ValueError for a network that the driver would cut off."""
    sizes = len(wanted.name.encode()), len(wanted.key.encode())
    if not 0 < sizes[0] <= NAME_MAX_BYTES:
        raise ValueError("the name of a Wi-Fi network has 1 to %d bytes" % NAME_MAX_BYTES)
    if sizes[1] and not KEY_MIN_BYTES <= sizes[1] <= KEY_MAX_BYTES:
        raise ValueError("the key of a Wi-Fi network has %d to %d bytes" % (KEY_MIN_BYTES, KEY_MAX_BYTES))
    body = cbor.encode([wanted.name, wanted.key])
    for region in regions:
        records.replace(region, _MAGIC, body)


def load(regions):
    """Return the Network of the first copy that is whole, or None: then the device boots, and has no network."""
    for region in regions:
        body = records.load(region, _MAGIC)
        if body is not None:
            reader = cbor.Reader(body)
            name, key = [reader.value() for _ in range(reader.array(2))]
            reader.end()
            return Network(name, key)
    return None


class Station:
    """The board's Wi-Fi; `wanted` is the Network, or None."""

    def __init__(self, wlan, wanted):
        self.wlan = wlan
        self.wanted = wanted
        self._is_asked = False

    def power(self):
        """Turn the radio on: the chip's generator of random numbers is fed by it."""
        if not self.wlan.active():
            self._is_asked = False
            self.wlan.active(True)

    def random(self, count):
        """Return random bytes, fit for keys."""
        self.power()
        return os.urandom(count)

    async def join(self, timeout_s):
        """Return once the network is there; TransportError says what keeps it from that."""
        if self.wanted is None:
            raise TransportError(codes.REASON_LINK_LOST, "no Wi-Fi record: provision the device again")
        try:
            self.power()
            if not self._is_asked and not self.wlan.isconnected():
                self.wlan.connect(self.wanted.name, self.wanted.key or None)
            self._is_asked = True
            await self._wait(timeout_s)
        except (OSError, RuntimeError) as error:  # errors that the driver has no words for are RuntimeErrors
            raise TransportError(codes.REASON_LINK_LOST, "Wi-Fi: %s" % error)

    async def _wait(self, timeout_s):
        for _ in range(int(timeout_s / _POLL_S)):
            if self.wlan.isconnected():
                return
            await asyncio.sleep(_POLL_S)
        cause = _CAUSES.get(self.wlan.status(), "not joined in %d s" % timeout_s)
        self._is_asked = False
        self.wlan.disconnect()
        raise TransportError(codes.REASON_LINK_LOST, "Wi-Fi: " + cause)
