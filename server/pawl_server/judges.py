"""Both judges of releases: the device's own verifier, and the second reader, which shares no code with it.

The device's verifier has the word: what it refuses stays refused, with its reason. The second reader is asked about the same
bytes; if it says anything else, one of them is wrong, nothing is done with the release, and the case is kept.
It needs nothing of the server, so that `pawl release sign` and `pawl verify` ask both where no server is installed.

    judges = Judges(anchor_file, folder / "disagreements")
    bundle = judges.open(raw)
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pawl_reader
from pawl import cose, trust
from pawl.bundle import open_bundle
from pawl.errors import ManifestError
from pawl.names import reason_name
from pawl.ports.host.verifier import verify
from pawl_reader import Block, Image, Verdict

_log = logging.getLogger(__name__)

# A case holds a whole bundle: whoever finds one way to disagree must not fill the disk with it.
CASES_MAX = 100


class DisagreementError(Exception):
    """The two judges differ about a release; `case` is the folder that was kept, if there was room."""

    def __init__(self, device: Verdict, reader: Verdict, case: Path | None) -> None:
        super().__init__(f"the device's verifier says: {_said(device)}; the second reader: {_said(reader)}")
        self.device = device
        self.reader = reader
        self.case = case


class Judges:
    """The two judges of releases under one anchor.

    Raises:
        TrustError: at construction, if the device would not accept the anchor.
    """

    def __init__(self, anchor_file: bytes, disagreements: Path) -> None:
        self.anchor = trust.load(anchor_file, verify)
        self._anchor_file = anchor_file
        self._disagreements = disagreements

    def under(self, anchor_file: bytes) -> "Judges":
        """Return the judges under another anchor, who keep their cases in the same folder."""
        return Judges(anchor_file, self._disagreements)

    def open(self, raw: bytes) -> Any:
        """Return the `pawl.bundle.Bundle` that both judges accept and describe alike.

        Raises:
            ManifestError: the device's reason, if both refuse.
            DisagreementError: if one of them says anything else than the other.
        """
        bundle, refusal = None, None
        try:
            bundle = open_bundle(raw, self.anchor, verify)
            device = describe(bundle, self.anchor)
        except ManifestError as error:
            refusal = error
            device = Verdict(accepted=False, reason=f"{reason_name(error.code)}: {error.detail}")
        reader = pawl_reader.read(raw, self._anchor_file)
        if replace(device, reason="") != replace(reader, reason=""):
            raise self._alarm(raw, device, reader)
        if refusal is not None:
            raise refusal
        return bundle

    def _alarm(self, raw: bytes, device: Verdict, reader: Verdict) -> DisagreementError:
        case = self._keep(raw, device, reader)
        error = DisagreementError(device, reader, case)
        _log.error("the judges disagree about a release: %s; case kept: %s", error, case or "no")
        return error

    def _keep(self, raw: bytes, device: Verdict, reader: Verdict) -> Path | None:
        """Keep bundle, anchor and both verdicts; the same case again takes no more room."""
        case = self._disagreements / sha256(sha256(self._anchor_file).digest() + raw).hexdigest()[:32]
        if not case.exists():
            if self._disagreements.exists() and len(list(self._disagreements.iterdir())) >= CASES_MAX:
                return None
            case.mkdir(mode=0o700, parents=True)
        (case / "release.pawl").write_bytes(raw)
        (case / "anchor").write_bytes(self._anchor_file)
        (case / "verdicts.json").write_text(
            json.dumps({"device": _plain(asdict(device)), "reader": _plain(asdict(reader))}, indent=2) + "\n"
        )
        return case


def describe(bundle: Any, anchor: Any) -> Verdict:
    """Return what the device's verifier found in a bundle that it accepts, in the second reader's words."""
    manifest = bundle.manifest
    return Verdict(
        accepted=True,
        digest=bytes(bundle.envelope.digest),
        sequence=manifest.sequence_number,
        version=tuple(manifest.version),
        role=manifest.role,
        signers=frozenset(_signers(bundle.envelope, anchor.keys)),
        images=frozenset(
            Image(bytes(image.component).decode(), slot, bytes(image.digest), image.size, str(image.uri))
            for slot in manifest.slots()
            for image in manifest.images(slot)
        ),
        blocks=frozenset(
            Block(bytes(listing), variant.number, number, sha256(payload).digest())
            for listing, variant, number, payload in bundle.blocks()
        ),
    )


def _signers(envelope: Any, keys: list[Any]) -> Iterator[Any]:
    for raw in envelope.blocks:
        place = cose.signer(cose.read_sign1(raw), keys, envelope.digest_item, b"", verify)
        if place is not None:
            yield keys[place].identity


def _said(verdict: Verdict) -> str:
    if not verdict.accepted:
        return f"refused ({verdict.reason})"
    return f"accepted {verdict.digest.hex()[:16]}, sequence number {verdict.sequence}, {len(verdict.signers)} signers"


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: bytes in hexadecimal, sets sorted."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, frozenset):
        return sorted(_plain(one) for one in value)
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
