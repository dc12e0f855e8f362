"""The trust anchor documents that follow each other, judged as devices judge them, and the director's key of the newest.

Refuses an anchor that devices would refuse, and one that names none of this server's director keys: whatever it signed then,
no device would follow.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pawl import trust
from pawl.ports.host.verifier import verify
from pawl_server.domain.director import AnchorReference
from pawl_server.signing import FileSigner, Signer, choose_director


class TrustChain:
    """Anchors in order, the first one given; `director_keys` are files, of which the newest anchor must name one.

    Raises:
        TrustError: at construction, if the first one is no valid anchor.
    """

    def __init__(self, first: bytes, director_keys: Sequence[Path]) -> None:
        self.files = [first]
        self._anchors = [trust.load(first, verify)]
        self._director_keys = director_keys
        self._signer: Signer | None = None

    @property
    def newest(self) -> Any:
        """The `pawl.trust.Anchor` that everything goes by."""
        return self._anchors[-1]

    @property
    def reference(self) -> AnchorReference:
        """What offers say of the newest anchor."""
        return _reference(self.newest)

    @property
    def references(self) -> list[AnchorReference]:
        """Every anchor, the oldest first."""
        return [_reference(anchor) for anchor in self._anchors]

    @property
    def signer(self) -> Signer:
        """The key that the newest anchor names; raises DirectorKeyError if it names none of ours."""
        if self._signer is None:
            self._signer = self._key_named_by(self.newest)
        return self._signer

    def judge(self, file: bytes) -> Any:
        """Return the Anchor that a file holds, if it may follow the newest one.

        Raises:
            TrustError: devices would refuse it, with that reason.
            DirectorKeyError: it names none of this server's keys.
        """
        anchor = trust.successor(self.newest, file, verify)
        self._key_named_by(anchor)
        return anchor

    def read_again(self, file: bytes) -> None:
        """Go by a file that was imported once, judged again; of such a chain only the last one must name our key."""
        self.follow(trust.successor(self.newest, file, verify), file)

    def follow(self, anchor: Any, file: bytes) -> None:
        """Go by this anchor from now on: what `judge` returned of this file."""
        self._anchors.append(anchor)
        self.files.append(file)
        self._signer = None

    def _key_named_by(self, anchor: Any) -> FileSigner:
        return choose_director(self._director_keys, anchor.directors)


def _reference(anchor: Any) -> AnchorReference:
    return AnchorReference(version=anchor.version, digest=bytes(anchor.digest))
