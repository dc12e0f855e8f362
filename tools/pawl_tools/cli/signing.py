"""`pawl release sign` and `pawl release recover`: images become a release that people hand over."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pawl_tools.cli import files
from pawl_tools.errors import ToolError

if TYPE_CHECKING:
    from pawl_tools import release

_COUNTER_MAX = 2**32
_MORE = "What a release may have besides"

_Image = Annotated[Path, typer.Argument(help="Image that `pawl pack` made")]
_Out = Annotated[Path, typer.Option("--out", "-o", help="Where the release (*.pawl) goes")]
_Sequence = Annotated[int, typer.Option(help="Counter within the epoch: higher than any release before")]
_Version = Annotated[str, typer.Option(help="Version for people, such as 1.4.0")]
_Vendor = Annotated[str, typer.Option(help="Vendor's domain name, or a UUID")]
_Class = Annotated[str, typer.Option("--class", help="Device class within the vendor, or a UUID")]
_Data = Annotated[Path | None, typer.Option(help="Image of read-only data for /data", rich_help_panel=_MORE)]
_ImageB = Annotated[
    Path | None,
    typer.Option(help="Images are bound to their address: this one is slot B's", rich_help_panel=_MORE),
]
_Notes = Annotated[
    Path | None,
    typer.Option(
        help="Folder: description.txt, update.txt, reference-uri.txt, attachments/", rich_help_panel=_MORE
    ),
]
_Trust = Annotated[
    Path | None,
    typer.Option(help="Trust anchor file: the release is then judged under it, too", rich_help_panel=_MORE),
]
_OnlyIf = Annotated[
    list[str] | None,
    typer.Option(help="Install only if: version>=1.2, authorised:PRIORITY; repeat", rich_help_panel=_MORE),
]


def sign(
    image: _Image,
    out: _Out,
    key: Annotated[list[Path], typer.Option(help="Private release key; repeat for several signatures")],
    sequence: _Sequence,
    version: _Version,
    vendor: _Vendor,
    device_class: _Class,
    epoch: Annotated[int, typer.Option(help="Epoch: raising it stops every release before")] = 0,
    data: _Data = None,
    image_b: _ImageB = None,
    notes: _Notes = None,
    only_if: _OnlyIf = None,
    trust: _Trust = None,
    *,
    json: files.Json = False,
) -> None:
    """Sign an image as a release; the same input gives the same bytes.

    Nothing is written unless both judges of releases accept what was made: under the anchor, or under the keys that signed.
    """
    from pawl_tools import identifiers, keys, read_back, release, statement

    vendor_id = identifiers.vendor_id(vendor)
    told, reference_uri = _notes_in(notes)
    says = release.Statement(
        sequence=_sequence(epoch, sequence),
        version=release.parse_version(version),
        vendor=vendor_id,
        device_class=identifiers.class_id(vendor_id, device_class),
        only_if=tuple(statement.parse_condition(text) for text in only_if or ()),
        reference_uri=reference_uri,
    )
    signers = [keys.FileSigner(path) for path in key]
    raw = release.build(_payload(image, image_b, data), says, signers, told)
    _write(out, raw, read_back.anchor_of(signers) if trust is None else files.read(trust), as_json=json)


def recover(
    image: _Image,
    out: _Out,
    key: Annotated[list[Path], typer.Option(help="Private recovery key; repeat for several signatures")],
    recovers: Annotated[
        list[Path], typer.Option(help="Release (*.pawl) to recover from: devices that run its image; repeat")
    ],
    sequence: _Sequence,
    version: _Version,
    vendor: _Vendor,
    device_class: _Class,
    epoch: Annotated[int, typer.Option(help="Epoch: that of the devices")] = 0,
    data: _Data = None,
    image_b: _ImageB = None,
    notes: _Notes = None,
    trust: _Trust = None,
    *,
    json: files.Json = False,
) -> None:
    """Sign an image as a recovery release: it may lower the version of devices that run what it recovers from.

    As with `pawl release sign`, nothing is written unless both judges accept it.
    """
    from pawl import codes
    from pawl_tools import description, identifiers, keys, read_back, release

    vendor_id = identifiers.vendor_id(vendor)
    told, reference_uri = _notes_in(notes)
    named = [found for path in recovers for found in description.app_images(files.read(path), str(path))]
    says = release.Statement(
        sequence=_sequence(epoch, sequence),
        version=release.parse_version(version),
        vendor=vendor_id,
        device_class=identifiers.class_id(vendor_id, device_class),
        recovers=tuple(dict.fromkeys(named)),
        reference_uri=reference_uri,
    )
    signers = [keys.FileSigner(path) for path in key]
    raw = release.build(_payload(image, image_b, data), says, signers, told)
    alone = read_back.anchor_of(signers, codes.ROLE_APP_RECOVERY)
    _write(out, raw, alone if trust is None else files.read(trust), as_json=json)


def _sequence(epoch: int, counter: int) -> int:
    if not 0 <= counter < _COUNTER_MAX or not 0 <= epoch < _COUNTER_MAX:
        raise ToolError("--sequence and --epoch each fit 32 bits")
    return epoch << 32 | counter


def _payload(image: Path, image_b: Path | None, data: Path | None) -> "release.Payload":
    from pawl_tools import release

    paths = [image] if image_b is None else [image, image_b]
    return release.Payload(
        app=tuple(files.read(path) for path in paths), data=None if data is None else files.read(data)
    )


def _notes_in(folder: Path | None) -> "tuple[release.Notes | None, str | None]":
    from pawl_tools import notes_folder

    return (None, None) if folder is None else notes_folder.read(folder)


def _write(out: Path, raw: bytes, anchor_file: bytes, *, as_json: bool) -> None:
    from pawl_tools import read_back

    read_back.read_back(raw, anchor_file, files.disagreements(out))
    files.write(out, raw)
    files.done(f"{out}: {len(raw)} bytes", {"file": str(out), "bytes": len(raw)}, as_json=as_json)
