"""Devices on the real MicroPython without a broker: their address is a port at which nobody listens.

    bench = Bench(folder)
    device = bench.provision("one", bench.application("print('hello')"))
    lines = bench.power(device, until=lambda lines: "hello" in lines)

A device needs no network to boot what is confirmed, nor to revert what isn't.
"""

import threading
from pathlib import Path

from release_factory import CLASS, VENDOR, make_anchor, make_keys, make_release

from pawl import bundle, codes, suit
from pawl.flash import MemoryFlash
from pawl.ports.unix import layout
from pawl.storage import Storage
from pawl_tools import launcher, pack, pki, provision, release, toolchain

NOWHERE = ("127.0.0.1", 1)
TIMEOUT_S = 60


class Bench:
    """Keys, authority and programs, in a folder of their own."""

    def __init__(self, folder):
        self.folder = folder
        self.toolchain = toolchain.find()
        self.keys = make_keys()
        self.authority = pki.create_authority("test devices")
        self.anchor = make_anchor(self.keys, ca=[self.authority.certificate_der()])
        self.agent = folder / "agent.romfs"
        self.agent.write_bytes(pack.pack_agent(self.toolchain))

    def image(self, files):
        """Return the ROMFS image of {name: content}; Python is compiled."""
        tree = self.folder / "tree"
        for name, content in files.items():
            place(tree / name, content)
        image = pack.pack(tree, self.toolchain)
        remove(tree)
        return image

    def application(self, main, **files):
        """Return the image of an application: its `main.py`, and `<name>.py` beside it."""
        return self.image({"main.py": main, **{f"{name}.py": content for name, content in files.items()}})

    def provision(self, name, image, trial=None, data=None):
        """Make a device that has an application confirmed, and another one pending if `trial` is its image."""
        payload = release.Payload(app=(image,), data=data)
        folder = self.folder / name
        plan = provision.DevicePlan(
            device=name, vendor=VENDOR, device_class=CLASS, host=NOWHERE[0], port=NOWHERE[1]
        )
        raw = make_release(self.keys, image=payload)
        provision.provision(folder, plan, self.anchor, raw, self.authority)
        if trial is not None:
            self._make_pending(folder, make_release(self.keys, image=trial, sequence=2, version=(2,)))
        return launcher.Device(folder, self.agent, self.toolchain)

    def _make_pending(self, folder, raw):
        """Write a release into slot B as an install does."""
        flash = read_flash(folder)
        slot = Storage(flash, layout.REGIONS).slots[codes.RUNNING_B]
        opened = bundle.Bundle(suit.Envelope(raw))
        slot.begin(opened.envelope.digest, opened.wire_envelope())
        for image in opened.manifest.images(slot.name):
            provision._write_image(slot, image, opened.content(image).image)
        slot.mark_written()
        slot.mark_pending()
        (folder / "flash.bin").write_bytes(bytes(flash.store))

    def power(self, device, until, watchdog_timeout_s=launcher.WATCHDOG_TIMEOUT_S):
        """Run a device until its console satisfies `until(lines)`, then cut the power; return the lines."""
        lines = []
        is_over = threading.Event()

        def on_line(line):
            lines.append(line)
            if until(lines):
                is_over.set()

        device._on_line = on_line
        device._watchdog_timeout_s = watchdog_timeout_s
        device.power_on()
        try:
            assert is_over.wait(TIMEOUT_S), "\n".join(lines)
        finally:
            device.power_off()
        return lines


def place(path, content):
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def remove(tree):
    """Remove a folder with what is in it."""
    for path in sorted(tree.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    tree.rmdir()


def read_flash(folder):
    """Return a copy of a device's flash."""
    flash = MemoryFlash(layout.FLASH_BYTES, layout.ERASE_BYTES, layout.PROGRAM_BYTES)
    flash.store[:] = Path(folder, "flash.bin").read_bytes()
    return flash


def logged(folder):
    """Return the reason codes in a device's log, newest first."""
    return [entry.code for entry in Storage(read_flash(folder), layout.REGIONS).log().entries()]
