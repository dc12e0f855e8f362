"""`pawl pack`, `pawl release` and `pawl verify`: from a folder of Python to a release that a device would install."""

import json as json_format
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from pawl_tools.cli import files, signing

if TYPE_CHECKING:
    from pawl.errors import PawlError

app = typer.Typer(help="Signed releases.", no_args_is_help=True)
app.command()(signing.sign)
app.command()(signing.recover)

_COUNTER_MAX = 2**32


def pack(
    folder: Annotated[
        Path, typer.Argument(help="Application: a folder with main.py; with --data any folder")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the ROMFS image goes")],
    *,
    data: Annotated[bool, typer.Option("--data", help="Pack read-only data, mounted at /data")] = False,
    json: files.Json = False,
) -> None:
    """Compile an application and pack it into a ROMFS image; the same folder gives the same bytes."""
    from pawl_tools import pack as packing
    from pawl_tools import toolchain

    image = (packing.pack if data else packing.pack_application)(folder, toolchain.find())
    files.write(out, image)
    files.done(f"{out}: {len(image)} bytes", {"file": str(out), "bytes": len(image)}, as_json=json)


def verify(
    release: Annotated[Path, typer.Argument(help="Release (*.pawl)")],
    trust: Annotated[Path, typer.Option(help="Trust anchor file")],
    installed_sequence: Annotated[
        int | None, typer.Option(help="What the device has confirmed: a counter within --epoch")
    ] = None,
    epoch: Annotated[int | None, typer.Option(help="Epoch that the device has confirmed")] = None,
    vendor: Annotated[str | None, typer.Option(help="Vendor of the device: domain name or UUID")] = None,
    device_class: Annotated[
        str | None, typer.Option("--class", help="Class of the device within the vendor, or a UUID")
    ] = None,
    *,
    json: files.Json = False,
) -> None:
    """Run the device's verifier and the second reader: exit 0 accepted, 1 refused (with the reason), 2 unusable arguments or files."""
    from pawl.errors import PawlError
    from pawl.index import b64u
    from pawl_server.judges import DisagreementError
    from pawl_tools import read_back, verification

    device = verification.DeviceState.parse(installed_sequence, epoch, vendor, device_class)
    judges = read_back.judges_of(files.read(trust), files.disagreements(release))
    try:
        accepted = verification.judge(files.read(release), judges, device)
    except PawlError as error:
        _refuse(error, as_json=json)
    except DisagreementError as error:
        raise read_back.alarm(error) from None
    facts: dict[str, object] = {
        "accepted": True,
        "digest": b64u(accepted.digest),
        "epoch": accepted.sequence >> 32,
        "sequence": accepted.sequence % _COUNTER_MAX,
        "version": ".".join(str(number) for number in accepted.version),
        "role": accepted.role,
        "image bytes": accepted.size,
    }
    files.show(facts, as_json=json)


def _refuse(error: "PawlError", *, as_json: bool) -> NoReturn:
    from pawl.names import reason_name

    reason = reason_name(error.code)
    if as_json:
        facts = {"accepted": False, "reason": reason, "code": error.code, "detail": error.detail}
        print(json_format.dumps(facts, indent=2))
    print(f"refused: {reason} ({error.code}): {error.detail}", file=sys.stderr)
    raise typer.Exit(1)
