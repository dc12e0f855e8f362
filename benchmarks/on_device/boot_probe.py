"""Stands for `pawl.ports.unix.main`: tells what the boot cost up to the line that names the slot, in CPU time.

Then it does the boot's signature checks again, and one bare SHA-256 over all of both slots' image regions.
"""

import ffi
import gc

from pawl import compat, p256
from pawl.ports.unix import layout

_IMAGE_BYTES_MIN = 4096  # no record and no mark is as long
_RESET_EXIT_CODE = 75


class Meter:
    """Stands before signature check and SHA-256: what was asked, and how long the answers took."""

    def __init__(self):
        self.cpu_us = ffi.open(None).func("l", "clock", "")
        self.asked = []
        self.hashed_bytes = 0
        self.hash_us = 0
        self._verify = p256.verify
        self._sha256 = compat.sha256

    def verify(self, x, y, message, signature):
        """Answer as the port does."""
        answer = self._verify(x, y, message, signature)
        self.asked.append((x, y, bytes(message), signature, answer))
        return answer

    def sha256(self, content):
        """Answer as the port does; what is as long as an image is charged."""
        if len(content) < _IMAGE_BYTES_MIN:
            return self._sha256(content)
        began = self.cpu_us()
        digest = self._sha256(content)
        self.hash_us += self.cpu_us() - began
        self.hashed_bytes += len(content)
        return digest

    def bare_checks_us(self):
        """Return how long the same checks take with nothing around them."""
        gc.collect()
        began = self.cpu_us()
        for x, y, message, signature, answer in self.asked:
            assert self._verify(x, y, message, signature) == answer, "a check has another answer now"
        return self.cpu_us() - began

    def bare_hash_us(self, mapped):
        """Return how long one SHA-256 of each image region takes, once its pages are there."""
        views = []
        for name in ("image_a", "image_b"):
            start, size = layout.REGIONS[name]
            views.append(memoryview(mapped)[start : start + size])
        for _ in range(2):
            began = self.cpu_us()
            for view in views:
                self._sha256(view)
            spent_us = self.cpu_us() - began
        return spent_us


def run(flash_path, mapped, watchdog):
    """Boot as the shipped module does; print `bench: <name> <number>` at the boot's line, and reset."""
    meter = Meter()
    # Before any other module takes them by name.
    p256.verify = meter.verify
    compat.sha256 = meter.sha256
    from pawl.ports.unix import shipped
    from pawl.ports.unix.port import Port

    log = Port.log

    def told(self, text):
        if not text.startswith("boot "):
            return log(self, text)
        boot_us, hash_us = meter.cpu_us(), meter.hash_us
        log(self, text)
        print("bench: boot", boot_us)
        print("bench: hash", hash_us)
        print("bench: hashed_bytes", meter.hashed_bytes)
        print("bench: bare_checks", meter.bare_checks_us())
        print("bench: bare_hash", meter.bare_hash_us(mapped))
        print("bench: count", len(meter.asked))
        raise SystemExit(_RESET_EXIT_CODE)

    Port.log = told
    shipped.run(flash_path, mapped, watchdog)
