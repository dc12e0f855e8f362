"""`pawl provision`: one device, or many at once, each in a folder of its own."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pawl_tools.cli import files
from pawl_tools.errors import ToolError

if TYPE_CHECKING:
    from pawl_tools.layouts import Layout
    from pawl_tools.pki import Identity

COUNT_MAX = 10_000


def provision(
    folder: Annotated[
        Path,
        typer.Argument(help="New folder of the device; with --devices or --count, of the devices' folders"),
    ],
    trust: Annotated[Path, typer.Option(help="Trust anchor file")],
    release: Annotated[Path, typer.Option(help="Factory release (*.pawl)")],
    ca: Annotated[Path, typer.Option(help="Folder of the authority: ca.crt and ca.key")],
    broker: Annotated[str, typer.Option(help="host:port of the broker")],
    device: Annotated[str | None, typer.Option(help="Device id: a-z, 0-9 and -")] = None,
    devices: Annotated[Path | None, typer.Option(help="File of device ids, one a line")] = None,
    count: Annotated[int | None, typer.Option(help="How many devices, numbered from 1")] = None,
    prefix: Annotated[str, typer.Option(help="What their ids begin with, for --count")] = "device-",
    board: Annotated[str, typer.Option(help="The board that they are")] = "unix",
    line: Annotated[str | None, typer.Option(help=f"Write it into the blank board on {files.LINE}")] = None,
    *,
    json: files.Json = False,
) -> None:
    """Make devices: flash images with identity, trust anchor and factory release, each whole or not at all."""
    from pawl_tools import layouts, pki
    from pawl_tools import provision as provisioning

    if line is not None and device is None:
        raise ToolError("--line writes one board: give its --device")
    ids = _ids(device, devices, count, prefix)
    maker = _Maker(
        _host_and_port(broker),
        files.read(trust),
        files.read(release),
        pki.load_authority(ca / "ca.crt", ca / "ca.key"),
        layouts.load(board),
    )
    if device is not None:
        maker.make(folder, device, line)
        code = provisioning.claim_code_of(folder)
        facts: dict[str, object] = {"folder": str(folder), "devices": ids, "claim_code": code}
        summary = (
            f"{folder}: flash.bin (private), enrolment.json (for the server), claim-code.txt (for a label)"
        )
        files.done(f"{summary}\nclaim code: {code}", facts, as_json=json)
        return
    made = maker.make_all(folder, ids)
    summary = f"{folder}: {len(made)} of {len(ids)} devices provisioned, each with flash.bin (private)"
    hint = f"\nnext: pawl device enroll {folder}/*/enrolment.json" if made else ""
    files.done(summary + hint, {"folder": str(folder), "devices": made}, as_json=json)
    if len(made) < len(ids):
        raise typer.Exit(1)


class _Maker:
    """What all devices of one call have in common."""

    def __init__(
        self,
        address: tuple[str, int],
        anchor_file: bytes,
        release: bytes,
        ca: "Identity",
        layout: "Layout",
    ) -> None:
        self._host, self._port = address
        self._anchor_file = anchor_file
        self._release = release
        self._ca = ca
        self._layout = layout

    def make(self, folder: Path, device: str, line: str | None = None) -> None:
        """Make one device, and write it into the board on a line once that was found there."""
        if line is None:
            self._make(folder, device)
            return
        from pawl_tools import line_provision

        def make_image() -> bytes:
            self._make(folder, device)
            return files.read(folder / "flash.bin")

        line_provision.provision(line, self._layout, make_image, files.progress)

    def _make(self, folder: Path, device: str) -> None:
        from pawl_tools import provision as provisioning

        plan = provisioning.plan_for(self._release, device=device, host=self._host, port=self._port)
        provisioning.provision(folder, plan, self._anchor_file, self._release, self._ca, layout=self._layout)

    def make_all(self, folder: Path, ids: list[str]) -> list[str]:
        """Make devices, say which could not be made, and return those that could."""
        made = []
        for device in ids:
            try:
                self.make(folder / device, device)
                made.append(device)
            except ToolError as error:
                print(f"{device}: not provisioned: {error}", file=sys.stderr)
        return made


def _ids(device: str | None, devices: Path | None, count: int | None, prefix: str) -> list[str]:
    """Return the ids asked for, every one of them usable."""
    if sum(one is not None for one in (device, devices, count)) != 1:
        raise ToolError("give one of --device, --devices and --count")
    ids = [device] if device is not None else list(_many(devices, count, prefix))
    seen: set[str] = set()
    for one in ids:
        _require_usable(one)
        if one in seen:
            raise ToolError(f"{one} is listed twice: every device has an id of its own")
        seen.add(one)
    return ids


def _many(devices: Path | None, count: int | None, prefix: str) -> Iterator[str]:
    if devices is not None:
        text = files.read(devices).decode(errors="replace")
        yield from (line.strip() for line in text.splitlines() if line.strip())
        return
    if count is None or not 0 < count <= COUNT_MAX:
        raise ToolError(f"--count must be 1 to {COUNT_MAX}")
    for number in range(1, count + 1):
        yield f"{prefix}{number}"


def _require_usable(device: str) -> None:
    from pawl_tools.provision import DEVICE_ID

    if not DEVICE_ID.fullmatch(device):
        raise ToolError(f"{device!r} is no device id: use a-z, 0-9 and -, at most 63, not - first")


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ToolError(f"{text!r} is not host:port")
    return host, int(port)
