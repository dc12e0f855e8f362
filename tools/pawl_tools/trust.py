"""Builds and signs the trust anchor document; the device's own parser has the last word on every one."""

from collections.abc import Iterable, Sequence
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
    """What an anchor document is to say; times are seconds since 1970.

    `roles` maps ROLE_* to an install set, `boot_sets` to the former ones, the newest first.
    """

    version: int
    issued: int
    expiry: int
    root: KeySet
    directors: Sequence[cose.Key]
    roles: dict[int, KeySet]
    ca: Sequence[bytes]
    server_names: Sequence[str]
    barred: Sequence[bytes] = field(default=())
    boot_sets: dict[int, Sequence[KeySet]] = field(default_factory=dict)


def build(plan: Plan, signers: Sequence[Signer]) -> bytes:
    """Return the signed anchor file.

    Raises:
        ToolError: if a device would not accept it, with the device's reason.
    """
    content = content_of(plan)
    file = file_of(content, [block_of(signer, content) for signer in signers])
    load(file)
    return file


def load(file: bytes) -> trust.Anchor:
    """Return the Anchor of a file, judged by the device's parser."""
    try:
        return trust.load(file, verify)
    except TrustError as error:
        raise ToolError(f"not a valid trust anchor: {error.detail}") from None


def file_of(content: bytes, blocks: Iterable[bytes]) -> bytes:
    """Return the anchor file of a document and its signatures: each once, sorted bytewise."""
    return cbor.encode([content, sorted(set(blocks))])


def block_of(signer: Signer, content: bytes) -> bytes:
    """Return a signature of a document: a tagged COSE_Sign1, detached."""
    protected = cose.protected_header(signer.key.alg)
    signature = signer.sign(cose.to_be_signed(protected, codes.AAD_ANCHOR, content))
    return cose.write_sign1(signer.key.alg, content, signature, is_detached=True)


def plan_of(anchor: trust.Anchor) -> Plan:
    """Return the plan that gives this document again."""
    return Plan(
        version=anchor.version,
        issued=anchor.issued,
        expiry=anchor.expiry,
        root=_key_set(anchor.root),
        directors=tuple(anchor.directors),
        roles={role: _key_set(anchor.roles[role][0]) for role in anchor.roles},
        boot_sets={role: tuple(map(_key_set, anchor.roles[role][1])) for role in anchor.roles},
        ca=tuple(anchor.ca),
        server_names=tuple(anchor.server_names),
        barred=tuple(anchor.barred),
    )


def _key_set(parsed: trust.KeySet) -> KeySet:
    return KeySet(threshold=parsed.threshold, keys=tuple(parsed.keys))


def content_of(plan: Plan) -> bytes:
    """Return the encoded document; whether it is valid is for the device's parser to say."""
    return cbor.encode(_values(plan))


def _values(plan: Plan) -> dict[int, object]:
    everyone = _Keys()
    root = everyone.set(plan.root)
    directors = [everyone.index(key) for key in plan.directors]
    roles = {
        role: [everyone.set(plan.roles[role]), [everyone.set(one) for one in plan.boot_sets.get(role, ())]]
        for role in sorted(plan.roles)
    }
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
