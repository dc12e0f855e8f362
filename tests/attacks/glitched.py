"""The unix board's own boot, run on CPython up to the moment at which the application would start: what a glitch is tried on.

Replaced is what the board's interpreter and hardware bring: mounting, the event loop, the ticks, and the signature
primitive, which is one call here (the host's, asked once for the same question).
"""

import contextlib
import functools
import importlib
import io
import mmap
import sys
import time
from types import ModuleType, SimpleNamespace

from pawl import cose
from pawl.ports.host import verifier
from pawl.ports.unix import flash, layout

# Everything that takes part in the boot decision, and the port's last step.
_TRACED = (
    "anchors",
    "authority",
    "boot",
    "bootloader",
    "boots",
    "cbor",
    "commands",
    "conditions",
    "cose",
    "flash",
    "identity",
    "journal",
    "manifest",
    "processor",
    "proof",
    "ratchet",
    "records",
    "resolution",
    "slots",
    "startup",
    "storage",
    "suit",
    "suit_report",
    "trust",
    "ports.unix.flash",
)


class Mounted:
    """What was mounted since the last boot began: {place: bytes}; `is_started`: the application would run."""

    def __init__(self):
        self.images = {}
        self.is_started = False

    def mount(self, image, place):
        """Take note of an image."""
        self.images[place] = image


@functools.cache
def _verify(kty, x, y, message, signature):
    return verifier.verify(cose.Key(kty, -9, 1, x, y), message, signature)


def _p256_verify(x, y, message, signature):
    return _verify(2, bytes(x), bytes(y), bytes(message), bytes(signature))


def load():
    """Return the unix board's `main`, and what it hands on to, with what their interpreter brings."""
    stubs = {"vfs": ModuleType("vfs"), "tls": ModuleType("tls")}
    time.ticks_ms = time.ticks_diff = time.monotonic
    sys.modules.update(stubs)
    try:
        return [importlib.import_module(f"pawl.{name}") for name in ("ports.unix.main", "startup")]
    finally:
        del time.ticks_ms, time.ticks_diff
        for name in stubs:
            del sys.modules[name]


class GlitchBench:
    """Boots flash images; `boot` returns what ran as {place: bytes}, empty for the recovery agent."""

    def __init__(self, folder):
        self.mounted = Mounted()
        self.main, startup = load()
        self._former = [
            (module, name, getattr(module, name))
            for module, name in ((startup, "asyncio"), (startup, "gc"), (startup, "vfs"), (self.main, "p256"))
        ]
        startup.asyncio = SimpleNamespace(run=self._start)
        startup.vfs = SimpleNamespace(VfsRom=bytes, mount=self.mounted.mount)
        startup.gc = SimpleNamespace(
            mem_alloc=int, mem_free=int, threshold=lambda _: None, collect=lambda: None
        )
        self.main.p256 = SimpleNamespace(verify=_p256_verify)
        self.path = folder / "flash.bin"
        self.path.write_bytes(bytes(layout.FLASH_BYTES))
        self._file = self.path.open("r+b")
        flash.open = lambda *_: self._file  # one for all boots
        self.content = mmap.mmap(self._file.fileno(), layout.FLASH_BYTES)

    def modules(self):
        """Return the modules whose lines are skipped."""
        return [importlib.import_module(f"pawl.{name}") for name in _TRACED] + [self.main]

    def close(self):
        """Put back what the board's interpreter brings."""
        for module, name, value in self._former:
            setattr(module, name, value)
        del flash.open
        self._file.close()

    def _start(self, coroutine):
        self.mounted.is_started = True
        coroutine.close()

    def boot(self):
        """Boot what is in flash."""
        self.mounted.images.clear()
        path = list(sys.path)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                self.main.run(self.path, self.content, io.BytesIO())
        finally:
            sys.path[:] = path
