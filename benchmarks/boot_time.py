"""What a boot costs per 100 KB of image, on MicroPython's unix port: from the start of the process to the line that names the slot.

All times are CPU time of the device's own process, so that other work on the machine counts little; their references are
done by the same process right behind the boot.
"""

import hashlib
import statistics
import tempfile
import threading
from collections import defaultdict
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.fleet import Fleet
from pawl import bundle, codes, suit
from pawl.flash import MemoryFlash
from pawl.index import cut
from pawl.ports.unix import layout
from pawl.storage import Storage
from pawl_tools import launcher, provision
from pawl_tools.errors import ToolError
from pawl_tools.site import HOST
from pawl_tools.toolchain import Toolchain

_SIZES_KB = (100, 400)
_STEP_KB = 100
_BOOTS = 6  # eight without a check-in call for the recovery agent; the first one settles the slots and is not counted
_TIMEOUT_S = 60
_TOLD = "bench: "
_SLOTS = {1: "in one slot", 2: "in each slot"}

Told = dict[str, float]


def measure(programs: Toolchain) -> list[Figure]:
    """Return the figures of boots with images in one slot, and in both."""
    with tempfile.TemporaryDirectory(prefix="pawl-bench-") as folder:
        bench = _Bench(Path(folder), programs)
        return [
            figure
            for slots in _SLOTS
            for size_kb in _SIZES_KB
            for figure in figures_of(slots, size_kb, bench.boots(slots, size_kb))
        ]


def figures_of(slots: int, size_kb: int, told: Told) -> list[Figure]:
    """Return the figures of boots with an image of `size_kb` in each of so many slots, by what they told."""
    words = f"boot, {size_kb} KB {_SLOTS[slots]}"
    all_kb = slots * size_kb
    bare_hash = told["bare_hash"] / _hashed_kb()
    checks = f"its {told['count']:.0f} signature checks, bare"
    return [
        Figure(
            name=f"{words}: hashed",
            value=told["hashed_bytes"] / 1024,
            unit="KB",
            reference="image bytes in flash",
            reference_value=all_kb,
        ),
        _figure(
            f"{words}: each {_STEP_KB} KB",
            told["hash"] / all_kb * _STEP_KB,
            f"bare SHA-256 of {_STEP_KB} KB",
            bare_hash * _STEP_KB,
        ),
        _figure(f"{words}: all the rest", told["boot"] - told["hash"], checks, told["bare_checks"]),
        _figure(
            f"{words}: whole",
            told["boot"],
            "the same checks, one bare SHA-256",
            told["bare_checks"] + bare_hash * all_kb,
        ),
    ]


def _figure(name: str, value_us: float, reference: str, reference_us: float) -> Figure:
    return Figure(
        name=name, value=value_us / 1000, unit="ms", reference=reference, reference_value=reference_us / 1000
    )


def _hashed_kb() -> float:
    """Return over how much the probe's bare SHA-256 goes."""
    return sum(layout.REGIONS[name][1] for name in ("image_a", "image_b")) / 1024


class _Bench:
    """Devices whose agent is the shipped one behind a probe; nothing is started but their boots."""

    def __init__(self, folder: Path, programs: Toolchain) -> None:
        self._folder = folder
        self._fleet = Fleet(folder, programs)
        self._agent = self._fleet.agent_with("boot_probe")

    def boots(self, slots: int, size_kb: int) -> Told:
        """Return the median of each number that some boots told; times are in microseconds."""
        boots = _Boots()
        device = launcher.Device(
            self._device(slots, size_kb), self._agent, self._fleet.site.toolchain, boots.on_line
        )
        device.power_on()
        has_all = boots.are_all.wait(_TIMEOUT_S)
        device.power_off()
        if not has_all:
            raise ToolError("a device does not boot; its console:\n  " + "\n  ".join(boots.console[-12:]))
        return boots.medians()

    def _device(self, slots: int, size_kb: int) -> Path:
        """Return the folder of a device with a confirmed release in one slot, or one in each."""
        site = self._fleet.site
        factory, newer = (
            site.release(_image(number, size_kb * 1024), number, (number,)) for number in (1, 2)
        )
        name = f"boot-{slots}-{size_kb}"
        folder = self._folder / name
        plan = provision.plan_for(factory, device=name, host=HOST, port=site.ports.devices)
        provision.provision(folder, plan, site.anchor_file, factory, site.device_ca)
        if slots == 2:
            _put(folder / "flash.bin", newer)
        return folder


def _image(number: int, size: int) -> bytes:
    """Return bytes that no application is: the boot ends before it is mounted."""
    seed = number.to_bytes(4)
    return b"".join(hashlib.sha256(seed + at.to_bytes(4)).digest() for at in range(size // 32))


def _put(path: Path, raw: bytes) -> None:
    """Write a release into slot B of a flash file, as an install that was confirmed does."""
    flash = MemoryFlash(layout.FLASH_BYTES, layout.ERASE_BYTES, layout.PROGRAM_BYTES)
    flash.store[:] = path.read_bytes()
    release = bundle.Bundle(suit.Envelope(raw))
    slot = Storage(flash, layout.REGIONS).slots[codes.RUNNING_B]
    slot.begin(release.envelope.digest, release.wire_envelope())
    for at, block in enumerate(cut(release.app().image)):
        slot.write_block(at * codes.BLOCK_BYTES, block)
    slot.mark_written()
    slot.mark_confirmed()
    path.write_bytes(flash.store)


class _Boots:
    """Collects what boots tell, line by line; `are_all` is set when there are enough."""

    def __init__(self) -> None:
        self.console: list[str] = []
        self.are_all = threading.Event()
        self._told: defaultdict[str, list[float]] = defaultdict(list)

    def on_line(self, line: str) -> None:
        """Take a line of the console."""
        self.console.append(line)
        if line.startswith(_TOLD):
            name, number = line.removeprefix(_TOLD).split()
            self._told[name].append(float(number))
            if len(self._told["count"]) == _BOOTS:
                self.are_all.set()

    def medians(self) -> Told:
        """Return the median of each number, that of the first boot left out."""
        return {name: statistics.median(values[1:_BOOTS]) for name, values in self._told.items()}
