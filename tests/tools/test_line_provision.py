"""Both halves of provisioning over a line, against each other over real sockets and a pseudo terminal, with cuts at every frame."""

import asyncio
import os
import pty
import socket
import threading
import tty

import pytest
from release_factory import CLASS, VENDOR, make_anchor, make_keys, make_release
from typer.testing import CliRunner

from pawl import blank, line
from pawl.errors import StorageError
from pawl.flash import MemoryFlash
from pawl.storage import Storage
from pawl_tools import layouts, line_provision, pki, provision
from pawl_tools.cli import app
from pawl_tools.errors import ToolError

QUICK = line_provision.Patience(blank_s=5, answer_s=0.4)
IMPATIENT = line_provision.Patience(blank_s=1.5, answer_s=0.4)  # a blank board says so every second
NEVER = 10**9


class PowerCutError(Exception):
    """The power went."""


class Link:
    """A board's end of a line, over a descriptor. The power goes with its read or write of the given number."""

    def __init__(self, number, cut_read=NEVER, cut_write=NEVER):
        os.set_blocking(number, False)
        self.number = number
        self.reads_left = cut_read
        self.writes_left = cut_write
        self.is_over = False

    def readinto(self, buffer):
        if self.is_over:
            raise PowerCutError
        try:
            got = os.readv(self.number, [buffer])
        except BlockingIOError:
            return None
        self.reads_left -= 1
        if self.reads_left == 0:
            raise PowerCutError
        return got

    def write(self, view):
        if view[2] != line.BLANK:
            self.writes_left -= 1
            if self.writes_left == 0:
                raise PowerCutError
        try:
            return os.write(self.number, view)
        except BlockingIOError:
            return None


class Board:
    """A board that starts again after a cut, with its flash as it was, until it is complete: then it is `is_reset`."""

    def __init__(self, layout, link, name=None):
        self.layout = layout
        self.link = link
        self.name = name or layout.NAME
        self.flash = MemoryFlash(layout.FLASH_BYTES, layout.ERASE_BYTES, layout.PROGRAM_BYTES)
        self.is_reset = False
        self.cuts = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.link.is_over = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    def reset(self):
        self.is_reset = True

    def feed(self):
        pass

    def log(self, text):
        pass

    def _run(self):
        while not (self.is_reset or self.link.is_over):
            try:
                asyncio.run(blank.serve(self, Storage(self.flash, self.layout.REGIONS), self.link, self.name))
            except PowerCutError:
                self.cuts += 1
            except StorageError:
                return  # it has an identity


@pytest.fixture(scope="module", params=["unix", "virt_rv32"])
def made(request, tmp_path_factory):
    """A layout and the flash image of a device."""
    return make(tmp_path_factory.mktemp("made"), request.param)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """As `made`, of the unix board."""
    return make(tmp_path_factory.mktemp("small"), "unix")


def make(folder, name):
    layout, keys = layouts.load(name), make_keys()
    authority = pki.create_authority("test devices")
    plan = provision.DevicePlan(device="one", vendor=VENDOR, device_class=CLASS, host="127.0.0.1", port=1)
    anchor = make_anchor(keys, ca=[authority.certificate_der()])
    provision.provision(folder / "one", plan, anchor, make_release(keys), authority, layout=layout)
    return layout, (folder / "one" / "flash.bin").read_bytes()


@pytest.fixture
def wire():
    """A listening socket, and its name as a line."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server, f"socket://127.0.0.1:{server.getsockname()[1]}"


class Plugged:
    """A board at a listening socket: it has the line of whoever connects."""

    def __init__(self, server, layout, name=None, **cuts):
        self._server, self._layout, self._name, self._cuts = server, layout, name, cuts

    def provision(self, line_name, image, tell=print, board=None, patience=QUICK):
        """Provision over the socket; return (the board, what it was refused with or None)."""
        said = []

        def run():
            try:
                line_provision.provision(line_name, self._layout, lambda: image, tell, patience)
            except ToolError as error:
                said.append(str(error))

        host = threading.Thread(target=run, daemon=True)
        host.start()
        connected, _ = self._server.accept()
        with connected:
            link = Link(connected.fileno(), **self._cuts)
            board = board or Board(self._layout, link, self._name)
            with board:
                host.join(60)
                assert not host.is_alive()
        return board, said[0] if said else None


def test_a_board_becomes_the_image(made, wire):
    """Bit by bit, and the host is told how far it is."""
    layout, image = made
    told = []
    board, refusal = Plugged(wire[0], layout).provision(wire[1], image, told.append)
    assert refusal is None and board.is_reset
    assert board.flash.store == image
    assert "written: 100 %" in told


@pytest.mark.parametrize("cut", ["cut_read", "cut_write"])
def test_cuts_at_every_frame(small, wire, cut):
    """Whatever was lost with the power, a frame or its answer: the host begins anew, the board becomes the image."""
    layout, image = small
    number, cuts = 0, 1
    while cuts:
        number += 1
        board, refusal = Plugged(wire[0], layout, **{cut: number}).provision(wire[1], image)
        cuts = board.cuts
        # A complete board whose last answer was lost can't say so: the host says what may be.
        assert refusal is None or "if it isn't, it is complete" in refusal, number
        assert board.flash.store == image, number
    assert number > len(line_provision.spans(layout, image))


def test_over_a_serial_port(small):
    """A pseudo terminal, as a USB adapter would be."""
    layout, image = small
    board_end, host_end = pty.openpty()
    tty.setraw(board_end)
    tty.setraw(host_end)
    with Board(layout, Link(board_end)) as board:
        line_provision.provision(os.ttyname(host_end), layout, lambda: image, print, QUICK)
    os.close(host_end)
    os.close(board_end)
    assert board.flash.store == image


def test_a_provisioned_board_never_answers(small, wire):
    """Also not to the image that it has."""
    layout, image = small
    link = Link(os.open(os.devnull, os.O_RDWR))
    provisioned = Board(layout, link)
    provisioned.flash.store[:] = image
    _, refusal = Plugged(wire[0], layout).provision(wire[1], image, board=provisioned, patience=IMPATIENT)
    os.close(link.number)
    assert "no blank board answers" in refusal
    assert provisioned.flash.store == image


def test_another_board_is_not_written(small, wire):
    """It says its name; nothing is made for it."""
    layout, image = small
    board, refusal = Plugged(wire[0], layout, name="mps2_an385\x1b").provision(wire[1], image)
    assert "'mps2_an385\\x1b'" in refusal and "--board" in refusal
    assert board.flash.store == b"\xff" * layout.FLASH_BYTES


def keeps_nothing(offset, data):
    """A flash that took it, and has nothing."""


def test_what_the_board_says_is_told(small, wire):
    """A flash that doesn't keep: its words, and that it is blank still."""
    layout, image = small
    board = Board(layout, None)
    board.flash.program = keeps_nothing
    said = []

    def run():
        try:
            line_provision.provision(wire[1], layout, lambda: image, print, QUICK)
        except ToolError as error:
            said.append(str(error))

    host = threading.Thread(target=run, daemon=True)
    host.start()
    connected, _ = wire[0].accept()
    board.link = Link(connected.fileno())
    with connected, board:
        host.join(30)
    assert "refuses: flash did not keep what was programmed; it is blank still" in said[0]


def test_lines_that_cannot_be_used(small):
    """Nobody there, no such port, no line at all."""
    layout, image = small
    for name, says in (
        ("socket://127.0.0.1:1", "powered on"),
        ("/dev/ttyNONE7", "no such port"),
        ("COM 3", "a line is"),
    ):
        with pytest.raises(ToolError, match=says):
            line_provision.provision(name, layout, lambda: image, print, QUICK)


def test_an_image_in_use_is_not_written(small):
    """Its two identities are one."""
    layout, image = small
    changed = bytearray(image)
    changed[layout.REGIONS["identity_a"][0]] ^= 1
    with pytest.raises(ToolError, match="differ"):
        line_provision.spans(layout, bytes(changed))


def test_the_command_makes_and_writes(small, wire, tmp_path):
    """`pawl device write` with a device that was made: the board becomes its flash.bin."""
    layout, image = small
    (tmp_path / "flash.bin").write_bytes(image)
    arguments = ["device", "write", str(tmp_path), "--board", "unix", "--line", wire[1]]
    results = []

    def run():
        results.append(CliRunner().invoke(app, arguments, catch_exceptions=False))

    host = threading.Thread(target=run, daemon=True)
    host.start()
    connected, _ = wire[0].accept()
    with connected, Board(layout, Link(connected.fileno())) as board:
        host.join(60)
    assert results[0].exit_code == 0
    assert board.flash.store == image
