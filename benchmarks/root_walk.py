"""Bytes of a trust anchor document beside python-tuf's root, and what walking ten of them costs on MicroPython.

Root 3 of 5, 10 keys in all, signed by three: the same numbers on both sides. The walk's heap is the smallest, in steps of
4 KB, in which it ends; its reference is the program that loads one document and walks nothing.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization.json import JSONSerializer

from benchmarks.figures import Figure
from pawl import codes
from pawl_tools import keys, trust
from pawl_tools.launcher import HEAP
from pawl_tools.toolchain import Toolchain

_ROOT = Path(__file__).resolve().parents[1]
_PROGRAM = Path(__file__).resolve().parent / "on_device" / "root_walk.py"
_STEPS = 10
_THRESHOLD = 3
_ROOT_KEYS = 5
_RELEASE_KEYS = 4
_CHECKS_PER_STEP = 2 * _THRESHOLD  # by the root of the version before, and by its own
_GOAL_BYTES = 1200
_YEAR_S = 365 * 86400
_STEP_KB = 4
_MOST_KB = 512
_TIMEOUT_S = 120


def measure(programs: Toolchain) -> list[Figure]:
    """Return bytes, time and heap."""
    with tempfile.TemporaryDirectory() as folder:
        sizes = _write_chain(Path(folder))
        times = _times_ms(programs, Path(folder), HEAP)
        walk_kb = _smallest_kb(programs, Path(folder), _STEPS + 1)
        load_kb = _smallest_kb(programs, Path(folder), 1)
    return [
        Figure(
            name="anchor document, root 3 of 5, 10 keys",
            value=max(sizes),
            unit="B",
            reference="python-tuf root.json, same keys",
            reference_value=tuf_bytes(),
            goal=_GOAL_BYTES,
        ),
        Figure(
            name=f"walks {_STEPS} anchor documents",
            value=times["walk"],
            unit="ms",
            reference=f"{_STEPS * _CHECKS_PER_STEP} signature checks",
            reference_value=_STEPS * _CHECKS_PER_STEP * times["check"],
        ),
        Figure(
            name=f"smallest heap that walks {_STEPS}",
            value=walk_kb,
            unit="KB",
            reference="loads one document",
            reference_value=load_kb,
        ),
    ]


def _write_chain(folder: Path) -> list[int]:
    """Write versions 1 to 11, one file each; return their sizes in bytes."""
    for name in _names():
        keys.new(folder / name, "esp256")
    signers = {name: keys.FileSigner(folder / name) for name in _names()}
    sizes = []
    for version in range(1, _STEPS + 2):
        file = trust.build(_plan(version, signers), [signers[f"root-{n}"] for n in range(_THRESHOLD)])
        (folder / f"{version}.cbor").write_bytes(file)
        sizes.append(len(file))
    return sizes


def _names() -> list[str]:
    roots = [f"root-{number}" for number in range(_ROOT_KEYS)]
    return [*roots, *(f"release-{number}" for number in range(_RELEASE_KEYS)), "director"]


def _plan(version: int, signers: dict[str, keys.FileSigner]) -> trust.Plan:
    now = int(time.time())
    public = {name: signer.key for name, signer in signers.items()}
    return trust.Plan(
        version=version,
        issued=now,
        expiry=now + _YEAR_S,
        root=trust.KeySet(threshold=_THRESHOLD, keys=[key for name, key in public.items() if "root" in name]),
        directors=[public["director"]],
        roles={
            codes.ROLE_APP_RELEASE: trust.KeySet(
                threshold=2, keys=[key for name, key in public.items() if "release" in name]
            )
        },
        ca=[b""],  # TUF's root carries none either
        server_names=["updates.example"],
    )


def tuf_bytes() -> int:
    """Return the size of a root of the same keys and thresholds, in the encoding that makes it smallest."""
    makers = (CryptoSigner.generate_ed25519, CryptoSigner.generate_ecdsa)
    return min(len(_tuf_root([make() for _ in range(10)])) for make in makers)


def _tuf_root(signers: Sequence[CryptoSigner]) -> bytes:
    """Timestamp and snapshot share the online key, as Pawl's director is one."""
    root = Root(expires=datetime.now(UTC).replace(microsecond=0) + timedelta(days=365))
    online = signers[_ROOT_KEYS + _RELEASE_KEYS]
    holders = {
        "root": signers[:_ROOT_KEYS],
        "targets": signers[_ROOT_KEYS : _ROOT_KEYS + _RELEASE_KEYS],
        "timestamp": [online],
        "snapshot": [online],
    }
    for role, owners in holders.items():
        for owner in owners:
            root.add_key(owner.public_key, role)
    root.roles["root"].threshold = _THRESHOLD
    root.roles["targets"].threshold = 2
    metadata = Metadata(root)
    for signer in signers[:_THRESHOLD]:
        metadata.sign(signer, append=True)
    root.verify_delegate("root", metadata.signed_bytes, metadata.signatures)
    return metadata.to_bytes(JSONSerializer(compact=True))


def _run(programs: Toolchain, folder: Path, last: int, heap: str) -> "subprocess.CompletedProcess[str]":
    command = [str(programs.micropython), "-X", f"heapsize={heap}", str(_PROGRAM), str(folder), str(last)]
    environment = dict(os.environ, MICROPYPATH=f"{_ROOT / 'device'}:.frozen")
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )


def _times_ms(programs: Toolchain, folder: Path, heap: str) -> dict[str, float]:
    ran = _run(programs, folder, _STEPS + 1, heap)
    ran.check_returncode()
    pairs = (line.split() for line in ran.stdout.splitlines())
    return {name: float(milliseconds) for name, milliseconds in pairs}


def _smallest_kb(programs: Toolchain, folder: Path, last: int) -> int:
    """Return the smallest heap in which the program ends well, found by halving."""
    fails, good = 0, _MOST_KB // _STEP_KB
    while good - fails > 1:
        middle = (fails + good) // 2
        if _run(programs, folder, last, f"{middle * _STEP_KB}k").returncode == 0:
            good = middle
        else:
            fails = middle
    return good * _STEP_KB
