"""Drafts of the trust anchor document: the anchor file with the signatures that it has so far, maybe none.

People sign one after another, each on a machine of their own: a signature is one more block, and nothing else changes.
Whether a device would take the file is asked of the device's code (`pawl.trust`): this only counts who signed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pawl import codes, cose, trust
from pawl.errors import ManifestError, PawlError, TrustError
from pawl.ports.host.verifier import verify
from pawl_tools import trust as building
from pawl_tools.errors import RefusedError, ToolError
from pawl_tools.keys import Signer, short_name

_SIGNATURES_MAX = 16

# What the device's parser says -> what a person can do about it.
_NEXT_STEPS = {
    "threshold below 1 or above the number of keys": "choose a threshold from 1 to the number of keys",
    "a key has two roles": "every role needs keys of its own",
    "entries are not ascending": "a key was given twice",
    "too few or too many entries": "a role has 1 to 16 keys, the director 1 or 2",
    "more than 16 barred digests": "take one off with --unbar, or raise the epoch of the next release",
    "1 to 4 entries are allowed": "give 1 to 4 CA certificates and 1 to 4 server names",
    "anchor file is too large": "4000 bytes are the most: take keys, boot sets or CA certificates out",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A valid document and its signatures; `anchor` is only parsed, nobody may rely on it yet."""

    content: bytes
    blocks: Sequence[bytes]
    anchor: trust.Anchor

    def file(self) -> bytes:
        """Return the anchor file."""
        return building.file_of(self.content, self.blocks)

    def signers(self, keys: Sequence[cose.Key]) -> list[cose.Key]:
        """Return those of the keys that signed."""
        left = list(keys)
        return [left.pop(place) for raw in self.blocks if (place := self._signer(raw, left)) is not None]

    def _signer(self, raw: bytes, keys: Sequence[cose.Key]) -> int | None:
        try:
            block = cose.read_sign1(raw)
        except ManifestError:
            return None
        if block.payload is not None:
            return None
        place: int | None = cose.signer(block, keys, self.content, codes.AAD_ANCHOR, verify)
        return place


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the signatures of a draft go towards the root threshold of one version."""

    version: int
    threshold: int
    signed: Sequence[str]
    unsigned: Sequence[str]

    @property
    def missing(self) -> int:
        """How many signatures are still needed."""
        return max(0, self.threshold - len(self.signed))

    def text(self) -> str:
        """Return it in words."""
        words = f"{len(self.signed)} of {self.threshold} of version {self.version}'s root"
        if not self.missing:
            return words
        return f"{words} (missing: {self.missing} of {', '.join(self.unsigned)})"

    def facts(self) -> dict[str, object]:
        """Return it for machines."""
        return {
            "version": self.version,
            "threshold": self.threshold,
            "signed": list(self.signed),
            "missing": self.missing,
            "may sign": list(self.unsigned),
        }


def new(plan: building.Plan) -> Draft:
    """Return an unsigned draft; ToolError if no device would take it, however many signed."""
    return open_draft(building.file_of(building.content_of(plan), []))


def open_draft(file: bytes) -> Draft:
    """Return the draft in a file: its document is valid, its signatures are not judged."""
    try:
        content, blocks = trust.split(file, 0)
        anchor = trust.parse(content)
    except PawlError as error:
        step = _NEXT_STEPS.get(error.detail)
        raise ToolError(f"not a valid trust anchor: {error.detail}{f': {step}' if step else ''}") from None
    return Draft(content=bytes(content), blocks=[bytes(block) for block in blocks], anchor=anchor)


def is_signed(draft: Draft) -> bool:
    """Return whether the root of its own version signed it, as the device's judge says."""
    try:
        trust.load(draft.file(), verify)
    except TrustError:
        return False
    return True


def refusal(former: trust.Anchor, file: bytes) -> TrustError | None:
    """Return why a device that holds `former` would not walk to the file, or None if it would."""
    try:
        trust.successor(former, file, verify)
    except TrustError as error:
        return error
    return None


def standings(draft: Draft, former: trust.Anchor | None) -> list[Standing]:
    """Return how many of each root set signed: of the former version, if it is given, and of its own."""
    return [_standing(draft, anchor) for anchor in (former, draft.anchor) if anchor is not None]


def _standing(draft: Draft, anchor: trust.Anchor) -> Standing:
    signed = draft.signers(anchor.root.keys)
    return Standing(
        version=anchor.version,
        threshold=anchor.root.threshold,
        signed=[short_name(key) for key in signed],
        unsigned=[short_name(key) for key in anchor.root.keys if key not in signed],
    )


def sign(draft: Draft, signer: Signer, former: trust.Anchor | None) -> Draft:
    """Return the draft with one more signature, or as it is if this key has signed already.

    Raises:
        RefusedError: if the key is of neither root set, or the draft does not follow `former`.
    """
    _require_following(draft, former)
    allowed = [*draft.anchor.root.keys, *(former.root.keys if former else ())]
    mine = [key for key in allowed if _is_same(key, signer.key)]
    if not mine:
        raise RefusedError(_not_a_root(draft, signer, former))
    if draft.signers(mine[:1]):
        return draft
    if len(draft.blocks) >= _SIGNATURES_MAX:
        raise ToolError(f"{_SIGNATURES_MAX} signatures are the most: make the draft anew and sign that")
    blocks = [*draft.blocks, building.block_of(signer, draft.content)]
    # The device's parser has the last word on the size too.
    return open_draft(building.file_of(draft.content, blocks))


def _is_same(key: cose.Key, mine: cose.Key) -> bool:
    """A signature counts only under a key that was declared for its algorithm."""
    return bool(key.identity == mine.identity and key.alg == mine.alg)


def _require_following(draft: Draft, former: trust.Anchor | None) -> None:
    if former is not None and draft.anchor.version != former.version + 1:
        raise RefusedError(
            f"version {draft.anchor.version} does not follow version {former.version}: "
            f"give version {draft.anchor.version - 1} with --from"
        )


def _not_a_root(draft: Draft, signer: Signer, former: trust.Anchor | None) -> str:
    version = draft.anchor.version
    name = short_name(signer.key)
    if former is not None:
        return f"key {name} is neither in version {former.version}'s root nor in version {version}'s: it would count for nothing"
    if version == 1:
        return f"key {name} is not in version 1's root: it would count for nothing"
    return (
        f"key {name} is not in version {version}'s root: "
        f"if it is in version {version - 1}'s, give that file with --from"
    )
