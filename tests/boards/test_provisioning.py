"""A blank board becomes a device over its line, once: announced, filled by the command, cut in the middle, never again after.

The commands run as programs, beside a real server.
"""

import asyncio
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from programs import GO_ON, changed, held, image_of, stored
from rig import STEP_TIMEOUT_S

from pawl import line
from pawl_boards import maps
from pawl_tools.site import HOST, read_enrolment

pytestmark = pytest.mark.emulators("qemu", "renode")  # a real board isn't made blank from here

PAWL = Path(sys.executable).with_name("pawl")
NAME = "bench-1"
LISTEN_S = 3
COUNTED = {"boots", "clock", "log", "ratchet"}  # what a boot writes


def speak(board, frames, is_enough=lambda _: False, patience_s=LISTEN_S):
    """Send frames of provisioning on a board's line; return (kind, payload) of what comes back until it is enough."""
    heard = []
    with socket.create_connection((HOST, int(board.line.rpartition(":")[2]))) as wire:
        wire.settimeout(0.2)
        for kind, payload in frames:
            wire.sendall(line.frame(kind, 0, 0, payload))
        deadline = time.monotonic() + patience_s
        found = line.Frames()
        while time.monotonic() < deadline and not is_enough(heard):
            heard += read_frames(wire, found)
    return heard


def read_frames(wire, found):
    """Return the frames that came, for a moment."""
    with suppress(TimeoutError):
        data = wire.recv(len(room := found.room()))
        room[: len(data)] = data
        found.add(len(data))
    heard = []
    while (frame := found.next()) is not None:
        heard.append((frame[0], bytes(frame[3])))
    return heard


def writes(layout):
    """Return what a stranger at the line would send: units for a ratchet, a slot and both identities, and the end."""
    places = [layout.REGIONS[name][0] for name in ("ratchet", "image_a", "identity_b", "identity_a")]
    frames = [(line.WRITE, place.to_bytes(4, "big") + bytes(layout.PROGRAM_BYTES)) for place in places]
    return [*frames, (line.DONE, bytes(32))]


def run(*words):
    """Start a command as a program."""
    return subprocess.Popen(
        [PAWL, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def provision(rig, board, factory):
    """Start `pawl provision` of a board on its line; return the process and the device's folder."""
    folder = rig.site.folder
    rig.site.device_ca.write_pem(folder, "ca")
    (folder / "factory.pawl").write_bytes(factory)
    device = folder / "devices" / NAME
    device.parent.mkdir()
    command = ("provision", device, "--device", NAME, "--board", board.name, "--line", board.line)
    made_of = ("--trust", folder / "trust.cbor", "--release", folder / "factory.pawl", "--ca", folder)
    return run(*command, *made_of, "--broker", f"{HOST}:{rig.site.ports.devices}"), device


def cut_at_half(process, board):
    """Cut the board's power once half is written; return what the program said, and its exit code."""
    said = []
    with process:
        for text in process.stdout:
            said.append(text)
            if "written: 50 %" in text:
                board.power_off()
    return "".join(said), process.returncode


def test_a_blank_board_is_provisioned_once(play, tmp_path):
    """It takes nothing that isn't complete; cut in the middle it is blank still; filled it updates, and takes nothing more."""
    images = [
        image_of(tmp_path, {"main.py": f"print('version {version}')" + GO_ON, "pages.bin": bytes(20000)})
        for version in (1, 2)
    ]

    async def walk(rig):
        board = rig._bench.board(NAME)
        rig.boards[NAME] = board
        layout = maps.load(board.name)
        board.power_on()
        await rig.printed(NAME, "blank: waiting")
        await takes_frames_while_blank(board, layout)

        process, folder = provision(rig, board, rig.release(images[0], 1))
        said, code = await asyncio.to_thread(cut_at_half, process, board)
        assert code == 2 and any(word in said for word in ("was lost", "closed", "stopped answering")), said
        assert_begun(board, layout)

        board.power_on()
        done = run("device", "write", folder, "--line", board.line, "--board", board.name)
        said, _ = await asyncio.to_thread(done.communicate, timeout=60)
        assert done.returncode == 0, said
        await rig.printed(NAME, "^version 1")
        assert board.is_running

        await takes_nothing(rig, board, layout)
        await rig.site.server.enroll(read_enrolment(folder / "enrolment.json"))
        await rig.power_on()
        digest = await rig.assign(NAME, rig.release(images[1], 2))
        settled = await rig.settled(NAME)
        assert (settled.state, settled.release) == ("succeeded", digest)

    play(walk)


async def takes_frames_while_blank(board, layout):
    """It says its name; units are taken, not those of `identity_a`, nor the end of something else. The control of `takes_nothing`."""
    announced = (line.BLANK, layout.NAME.encode())
    heard = await asyncio.to_thread(speak, board, [], lambda heard: announced in heard, STEP_TIMEOUT_S)
    assert announced in heard

    def is_answered(heard):
        return [kind for kind, _ in heard].count(line.FAULT) == 2

    heard = await asyncio.to_thread(speak, board, writes(layout), is_answered, STEP_TIMEOUT_S)
    kinds = [kind for kind, _ in heard if kind != line.BLANK]
    assert kinds == [line.WRITTEN] * 3 + [line.FAULT] * 2


def assert_begun(board, layout):
    """Some of it was written, and both identities are missing."""
    content = board.read_flash()
    assert content.count(b"\xff") < len(content)
    start, size = layout.REGIONS["identity_a"]
    assert content[start : start + size] == b"\xff" * size


async def takes_nothing(rig, board, layout):
    """A device answers no frame of provisioning but that it knows no such connection, and its flash doesn't move."""
    board.power_off()
    before = held(board)
    board.power_on()
    heard = await asyncio.to_thread(speak, board, writes(layout))
    assert {kind for kind, _ in heard} <= {line.OPEN, line.CLOSE}, heard
    assert all(payload == bytes([line.UNKNOWN]) for kind, payload in heard if kind == line.CLOSE)
    board.power_off()
    assert changed(before, held(board)) <= COUNTED
    assert stored(board).identity().device == NAME
