"""Imported releases as files: one bundle a file, named by its manifest digest, never half written.

Refuses, with the device's own reason, whatever the device's verifier refuses, and what the second reader judges
otherwise; a release on disk is opened through both again, so a file that changed is refused like a file that was sent.

    digest = repository.add(raw).digest
    bundle = repository.open(digest)
"""

import copy
import os
import tempfile
from pathlib import Path
from typing import Any, Self

from pawl import codes
from pawl.bundle import Bundle
from pawl.errors import ManifestError
from pawl.index import b64u
from pawl.suit import Envelope
from pawl_server.domain.fleet import Release
from pawl_server.judges import Judges
from pawl_server.recoveries import is_recovery

SUFFIX = ".pawl"


class Repository:
    """A folder of bundles, and the judges that hold them against the trust anchor."""

    def __init__(self, folder: Path, judges: Judges, *, bundle_max_bytes: int) -> None:
        self._folder = folder
        self._judges = judges
        self._bundle_max_bytes = bundle_max_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def anchor_version(self) -> int:
        """The version of the anchor that judges releases now."""
        return int(self._judges.anchor.version)

    def follow(self, anchor_file: bytes) -> None:
        """Judge by this anchor from now on."""
        self._judges = self._judges.under(anchor_file)

    def under(self, anchor_file: bytes) -> Self:
        """Return the same folder, judged by another anchor."""
        other = copy.copy(self)
        other.follow(anchor_file)
        return other

    def add(self, raw: bytes) -> Release:
        """Verify a bundle, keep it, and return what it is; the same bundle again changes nothing.

        Raises:
            ManifestError: the device's verifier refuses it, with that reason; nothing was written.
            DisagreementError: the judges differ about it; nothing was written but the case.
        """
        bundle = self._verified(raw)
        path = self._path(bytes(bundle.envelope.digest))
        if not path.exists() or path.read_bytes() != raw:
            _replace(path, raw)
        return _release_of(bundle)

    def open(self, digest: bytes) -> Any:
        """Return the `pawl.bundle.Bundle` of an imported release; FileNotFoundError if it wasn't imported."""
        bundle = self._verified(self._path(digest).read_bytes())
        if bundle.envelope.digest != digest:
            raise ManifestError(
                codes.REASON_MANIFEST_DIGEST, "the file holds another release than its name says"
            )
        return bundle

    def unjudged(self, digest: bytes) -> Any:
        """Return the same bundle without asking the judges, to take back what was published of it, whoever bars it now.

        Raises:
            FileNotFoundError, ManifestError: nothing was imported, or the file holds something else.
        """
        envelope = Envelope(self._path(digest).read_bytes())
        if not envelope.is_whole() or envelope.digest != digest:
            raise ManifestError(
                codes.REASON_MANIFEST_DIGEST, "the file holds another release than its name says"
            )
        return Bundle(envelope)

    def _path(self, digest: bytes) -> Path:
        return self._folder / f"{b64u(digest)}{SUFFIX}"

    def _verified(self, raw: bytes) -> Any:
        if len(raw) > self._bundle_max_bytes:
            raise ManifestError(
                codes.REASON_TOO_LARGE, f"a bundle has at most {self._bundle_max_bytes} bytes"
            )
        return self._judges.open(raw)


def _release_of(bundle: Any) -> Release:
    manifest = bundle.manifest
    app = bundle.app()
    return Release(
        digest=bytes(bundle.envelope.digest),
        sequence=manifest.sequence_number,
        version=".".join(str(number) for number in manifest.version),
        index_digest=bytes(app.digest),
        size_bytes=app.index.size,
        is_recovery=is_recovery(bundle),
    )


def _replace(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it there, so that a cut leaves the old file or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".import-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable: it is kept in the folder, not in the file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
