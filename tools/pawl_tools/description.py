"""What a release says of itself, for people. Checks no signature: `pawl verify` does."""

from pawl import bundle, codes, suit
from pawl.errors import ManifestError
from pawl.index import b64u
from pawl.manifest import Manifest
from pawl.names import reason_name, role_name
from pawl.notes import Notes
from pawl_tools.errors import ToolError

_COUNTER_MAX = 2**32
_SLOTS = "AB"


def _open(raw: bytes, name: str) -> bundle.Bundle:
    try:
        return bundle.Bundle(suit.Envelope(raw))
    except ManifestError as error:
        raise ToolError(f"{name} is not a release: {reason_name(error.code)} ({error.detail})") from None


def app_images(raw: bytes, name: str) -> list[tuple[bytes, int]]:
    """Return (digest, size) of the application's image in a release, of both slots if they differ."""
    manifest = _open(raw, name).manifest
    found = [manifest.images(slot)[0] for slot in manifest.slots()]
    return list(dict.fromkeys((image.digest, image.size) for image in found))


def describe(raw: bytes, name: str) -> dict[str, object]:
    """Return the facts of a release, by the names that people read."""
    release = _open(raw, name)
    manifest = release.manifest
    vendor, device_class = manifest.identity
    app = manifest.images(manifest.slots()[0])[0]
    return {
        "digest": b64u(release.envelope.digest),
        "role": role_name(manifest.role),
        "epoch": manifest.sequence_number >> 32,
        "sequence": manifest.sequence_number % _COUNTER_MAX,
        "version": ".".join(str(number) for number in manifest.version),
        "vendor": vendor.hex(),
        "class": device_class.hex(),
        "components": [component.decode() for component in manifest.components],
        "image bytes": app.size,
        "image digest": b64u(app.digest),
        "images": _images(manifest),
        "recovers": [f"{b64u(digest)} ({size} bytes)" for digest, size in manifest.recovers],
        "reference uri": manifest.uri or "",
        "text": _text(release.notes),
        "attachments": _attachments(release.notes),
        "signatures": len(release.envelope.blocks),
        "members": sorted(release.envelope.payloads),
    }


def _images(manifest: Manifest) -> list[str]:
    """Return a line for each image and the slots that it is for."""
    lines: dict[str, str] = {}
    for slot in manifest.slots():
        for image in manifest.images(slot):
            line = f"{image.component.decode()} {b64u(image.digest)} ({image.size} bytes)"
            lines[line] = lines.get(line, "") + _SLOTS[slot]
    return [f"{line} slot {' and '.join(slots)}" for line, slots in lines.items()]


def _text(notes: Notes | None) -> list[str]:
    if notes is None:
        return []
    known = {codes.TEXT_MANIFEST_DESCRIPTION: "description", codes.TEXT_UPDATE_DESCRIPTION: "update"}
    lines = []
    for tag, entries in notes.text.items():
        for key, entry in entries.items():
            inner = entry if isinstance(entry, dict) else {known.get(key, key): entry}
            of = "/".join(part.decode() for part in key) + " " if isinstance(key, tuple) else ""
            lines += [f"{tag} {of}{what}: {text}" for what, text in inner.items()]
    return lines


def _attachments(notes: Notes | None) -> list[str]:
    return (
        []
        if notes is None
        else [f"{name} ({len(notes.attachments[name])} bytes)" for name in notes.attachments]
    )
