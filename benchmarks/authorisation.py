"""Bytes that authorise one update, freshness included, beside python-tuf's metadata for the same image.

Pawl: the envelope as the wire carries it, and the director's signed offer. TUF: timestamp, snapshot and targets. Nothing
is counted that its own verifier didn't accept.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from benchmarks.figures import Figure
from pawl import bundle, codes, messages
from pawl import trust as device_trust
from pawl.ports.host.verifier import verify
from pawl_server.signing import load_director
from pawl_tools import keys, release, trust
from pawl_tools.demo.applications import blinky
from pawl_tools.site import CLASS, VENDOR
from pawl_tools.toolchain import Toolchain

_DEVICE = "bench-1"
_GOALS_BYTES = {1: 500, 2: 600}
_SIGNER_COUNT = 3
_ANCHOR_S = 365 * 86400
_STATEMENT = release.Statement(sequence=2, version=(2,), vendor=VENDOR, device_class=CLASS)


def measure(programs: Toolchain) -> list[Figure]:
    """Return the figures for one signature and for two of three."""
    image = blinky(2, programs)
    return [_figure(image, 1, "1 signature"), _figure(image, 2, "2 of 3 signatures")]


def _figure(image: bytes, threshold: int, words: str) -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        value = pawl_bytes(Path(folder), image, threshold)
    return Figure(
        name=f"authorises an update, {words}",
        value=value,
        unit="B",
        reference=f"python-tuf, {words}",
        reference_value=tuf_bytes(image, threshold),
        goal=_GOALS_BYTES[threshold],
    )


def pawl_bytes(folder: Path, image: bytes, threshold: int) -> int:
    """Return the size of envelope and offer, both accepted by the device's own verifier."""
    for name in ("root", "director", *_release_names()):
        keys.new(folder / name, "esp256")
    anchor = _anchor(folder, threshold)
    signers = [keys.FileSigner(folder / name) for name in _release_names()[:threshold]]
    signed = bundle.open_bundle(release.build(image, _STATEMENT, signers), anchor, verify)
    return len(signed.wire_envelope()) + len(_offer(folder, anchor, signed.envelope.digest))


def _release_names() -> list[str]:
    return [f"release-{number}" for number in range(_SIGNER_COUNT)]


def _anchor(folder: Path, threshold: int) -> device_trust.Anchor:
    now = int(time.time())
    release_keys = [keys.FileSigner(folder / name).key for name in _release_names()]
    root = keys.FileSigner(folder / "root")
    plan = trust.Plan(
        version=1,
        issued=now,
        expiry=now + _ANCHOR_S,
        root=trust.KeySet(threshold=1, keys=[root.key]),
        directors=[keys.FileSigner(folder / "director").key],
        roles={codes.ROLE_APP_RELEASE: trust.KeySet(threshold=threshold, keys=release_keys)},
        ca=[b"not used here"],
        server_names=["localhost"],
    )
    return trust.load(trust.build(plan, [root]))


def _offer(folder: Path, anchor: device_trust.Anchor, digest: bytes) -> bytes:
    reference = (anchor.version, anchor.digest)
    nonce = os.urandom(messages.NONCE_BYTES)
    offer = messages.Offer(
        _DEVICE, nonce, 1, int(time.time()), reference, codes.OFFER_INSTALL, digest, 1, None
    )
    signed = load_director(folder / "director", anchor.directors).sign_offer(offer)
    messages.open_offer(signed, anchor.directors, verify)
    return signed


def tuf_bytes(image: bytes, threshold: int) -> int:
    """Return the size of the three roles' metadata with the keys that make it smallest."""
    makers = (CryptoSigner.generate_ed25519, CryptoSigner.generate_ecdsa)
    return min(sum(map(len, _tuf_metadata(image, [make() for _ in range(5)], threshold))) for make in makers)


def _tuf_metadata(image: bytes, signers: Sequence[CryptoSigner], threshold: int) -> list[bytes]:
    """Timestamp and snapshot have one key each, targets has three, of which `threshold` sign."""
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    targets = Targets(expires=expires)
    targets.targets["blinky.romfs"] = TargetFile.from_data("blinky.romfs", image, ["sha256"])
    holders = {"timestamp": signers[:1], "snapshot": signers[1:2], "targets": signers[2:]}
    root = Root(expires=expires)
    for role, owners in holders.items():
        for owner in owners:
            root.add_key(owner.public_key, role)
    root.roles["targets"].threshold = threshold
    return [
        _tuf_signed(root, Metadata(Timestamp(expires=expires)), holders["timestamp"]),
        _tuf_signed(root, Metadata(Snapshot(expires=expires)), holders["snapshot"]),
        _tuf_signed(root, Metadata(targets), holders["targets"][:threshold]),
    ]


def _tuf_signed(
    root: Root,
    metadata: Metadata[Timestamp] | Metadata[Snapshot] | Metadata[Targets],
    signers: Sequence[CryptoSigner],
) -> bytes:
    for signer in signers:
        metadata.sign(signer, append=True)
    root.verify_delegate(metadata.signed.type, metadata.signed_bytes, metadata.signatures)
    return metadata.to_bytes(JSONSerializer(compact=True))
