"""Builds and signs the trust anchor document; the device's own parser has the last word on every one."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pawl import cbor, codes, cose, trust
from pawl.errors import TrustError
from pawl.ports.host.verifier import verify
from pawl_tools import keys
from pawl_tools.errors import ToolError
from pawl_tools.keys import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """A threshold and the public keys that count towards it."""

    threshold: int
    keys: Sequence[cose.Key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an anchor document is to say; times are seconds since 1970, `roles` maps ROLE_* to an install set."""

    version: int
    issued: int
    expiry: int
    root: KeySet
    directors: Sequence[cose.Key]
    roles: dict[int, KeySet]
    ca: Sequence[bytes]
    server_names: Sequence[str]
    barred: Sequence[bytes] = field(default=())


def build(plan: Plan, signers: Sequence[Signer]) -> bytes:
    """Return the signed anchor file.

    Raises:
        ToolError: if a device would not accept it, with the device's reason.
    """
    content = cbor.encode(_content(plan))
    file = cbor.encode(
        [content, [cbor.Tag(codes.TAG_COSE_SIGN1, _block(signer, content)) for signer in signers]]
    )
    load(file)
    return file


def load(file: bytes) -> trust.Anchor:
    """Return the Anchor of a file, judged by the device's parser."""
    try:
        return trust.load(file, verify)
    except TrustError as error:
        raise ToolError(f"not a valid trust anchor: {error.detail}") from None


def _block(signer: Signer, content: bytes) -> list[object]:
    protected = cose.protected_header(signer.key.alg)
    signature = signer.sign(cose.to_be_signed(protected, codes.AAD_ANCHOR, content))
    return [protected, {}, None, signature]


def _content(plan: Plan) -> dict[int, object]:
    everyone = _Keys()
    root = everyone.set(plan.root)
    directors = [everyone.index(key) for key in plan.directors]
    roles = {role: [everyone.set(plan.roles[role]), []] for role in sorted(plan.roles)}
    return {
        codes.ANCHOR_FORMAT: 1,
        codes.ANCHOR_VERSION: plan.version,
        codes.ANCHOR_ISSUED: plan.issued,
        codes.ANCHOR_EXPIRY: plan.expiry,
        codes.ANCHOR_KEYS: [keys.encode(key) for key in everyone.keys],
        codes.ANCHOR_ROOT: root,
        codes.ANCHOR_DIRECTOR: sorted(directors),
        codes.ANCHOR_ROLES: roles,
        codes.ANCHOR_BARRED: sorted(plan.barred),
        codes.ANCHOR_CA: list(plan.ca),
        codes.ANCHOR_SERVER_NAMES: list(plan.server_names),
    }


class _Keys:
    """The keys of a document in the order of their first use: sets point into it."""

    def __init__(self) -> None:
        self.keys: list[cose.Key] = []

    def index(self, key: cose.Key) -> int:
        """Return the place of a key, which it gets when it is first asked for."""
        for place, known in enumerate(self.keys):
            if known.identity == key.identity:
                return place
        self.keys.append(key)
        return len(self.keys) - 1

    def set(self, key_set: KeySet) -> list[object]:
        """Return a set of the wire format."""
        return [key_set.threshold, sorted(self.index(key) for key in key_set.keys)]
