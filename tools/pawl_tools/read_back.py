"""What a signer hands over is judged first: by the device's verifier and by the second reader.

Without an anchor at hand a release is judged under one that is made for the purpose: it trusts whoever signed.
"""

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from pawl import codes
from pawl.errors import ManifestError, TrustError
from pawl.names import reason_name
from pawl_server.judges import DisagreementError, Judges
from pawl_tools import trust
from pawl_tools.errors import ToolError
from pawl_tools.keys import PrivateSigner, Signer


def read_back(raw: bytes, anchor_file: bytes, disagreements: Path) -> None:
    """Judge a release that was just made; ToolError unless both judges accept it."""
    try:
        judges_of(anchor_file, disagreements).open(raw)
    except ManifestError as error:
        raise ToolError(
            f"devices would refuse this release: {reason_name(error.code)} ({error.detail}); nothing was written"
        ) from None
    except DisagreementError as error:
        raise alarm(error) from None


def judges_of(anchor_file: bytes, disagreements: Path) -> Judges:
    """Return the judges under an anchor; ToolError if it is none."""
    try:
        return Judges(anchor_file, disagreements)
    except TrustError as error:
        raise ToolError(f"not a valid trust anchor: {error.detail}") from None


def alarm(error: DisagreementError) -> ToolError:
    """Return what a person is told when the judges differ."""
    return ToolError(
        f"the judges disagree, use this release nowhere: {error}; report the case kept in {error.case}"
    )


def anchor_of(signers: Sequence[Signer], role: int = codes.ROLE_APP_RELEASE) -> bytes:
    """Return an anchor file under which all of these must sign for a role; its own root is forgotten at once."""
    root, director = _forgotten(), _forgotten()
    keys = list({signer.key.identity: signer.key for signer in signers}.values())
    plan = trust.Plan(
        version=1,
        issued=0,
        expiry=0,
        root=trust.KeySet(threshold=1, keys=[root.key]),
        directors=[director.key],
        roles={role: trust.KeySet(threshold=len(keys), keys=keys)},
        ca=[b""],
        server_names=[""],
    )
    return trust.build(plan, [root])


def _forgotten() -> PrivateSigner:
    return PrivateSigner(ec.generate_private_key(ec.SECP256R1()))
