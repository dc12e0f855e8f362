"""A release's notes as a folder that people edit.

    description.txt     what the release is
    update.txt          what this update changes
    reference-uri.txt   where it is published, which devices repeat in their reports
    attachments/        files that go with it, such as an SBOM

Each is optional. A file of another name is refused: it would be left out in silence.
"""

from pathlib import Path

from pawl import codes
from pawl_tools.errors import ToolError
from pawl_tools.release import Notes

_LANGUAGE = "en"
_TEXTS = {
    "description.txt": codes.TEXT_MANIFEST_DESCRIPTION,
    "update.txt": codes.TEXT_UPDATE_DESCRIPTION,
}
_REFERENCE_URI = "reference-uri.txt"
_ATTACHMENTS = "attachments"


def read(folder: Path) -> tuple[Notes | None, str | None]:
    """Return the notes in a folder, None if there are none, and the reference URI, None if there is none."""
    try:
        found = {path.name: path for path in folder.iterdir()}
        for name, path in found.items():
            if name not in (*_TEXTS, _REFERENCE_URI, _ATTACHMENTS):
                raise ToolError(f"{path} is no part of a release's notes: put it into {_ATTACHMENTS}/")
        entries = {
            code: found[name].read_text(encoding="utf-8").strip()
            for name, code in _TEXTS.items()
            if name in found
        }
        attachments = _attachments(found.get(_ATTACHMENTS))
        uri = found[_REFERENCE_URI].read_text(encoding="utf-8").strip() if _REFERENCE_URI in found else None
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(f"cannot read the notes in {folder}: {error}") from None
    notes = Notes(text={_LANGUAGE: dict(entries)} if entries else {}, attachments=attachments)
    return (notes if entries or attachments else None), uri


def _attachments(folder: Path | None) -> dict[str, bytes]:
    if folder is None:
        return {}
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
