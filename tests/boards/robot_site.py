"""Keywords of the Renode suite that need this project's Python, served by Robot's remote protocol, which is XML-RPC.

`renode-test` runs a Python of its own, so this is a program: it writes its port to FOLDER/port and serves until it is killed.

    .venv/bin/python tests/boards/robot_site.py FOLDER
"""

import asyncio
import secrets
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from xmlrpc.server import SimpleXMLRPCServer

from rig import Rig

from pawl_boards import drivers, firmware, maps, parameters, renode_machine
from pawl_boards.bench import Bench
from pawl_boards.emulated import write_erased
from pawl_tools import toolchain
from pawl_tools.bridge import BridgeThread
from pawl_tools.demo.applications import blinky
from pawl_tools.site import HOST

BOARD = "virt_rv32"
KEYWORD_TIMEOUT_S = 400


class SiteKeywords:
    """A keyword is a public method; a board is the name of its folder, and Renode runs it where the suite is."""

    def __init__(self, folder):
        self._folder = folder
        self._layout = maps.load(BOARD)
        bench = Bench(BOARD, drivers.EMULATORS[drivers.RENODE], folder, drivers.PATIENCE[drivers.RENODE])
        self._rig = Rig(folder / "site", bench)
        self._loop = asyncio.new_event_loop()
        self._bridge = None
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._await(self._rig.__aenter__())

    def _await(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(KEYWORD_TIMEOUT_S)

    def _file(self, board, name="flash.bin"):
        return self._folder / board / name

    def _release(self, version):
        return self._rig.release(blinky(version, toolchain.find()), version)

    def make_blank_board(self):
        """Return a board with nothing in its flash."""
        board = f"board-{secrets.token_hex(4)}"
        (self._folder / board).mkdir()
        write_erased(self._file(board), self._layout)
        return board

    def make_provisioned_board(self):
        """Return an enrolled board with version 1 in slot A."""
        board = self.make_blank_board()
        made = self._await(self._rig.enroll(board, self._release(1), self._layout))
        self._file(board).write_bytes(made.read_bytes())
        return board

    def machine_of(self, board):
        """Return the script that makes the machine for one start, with fresh entropy."""
        page = parameters.fresh(heap_bytes=0)
        return str(renode_machine.write(self._folder / board, self._layout, firmware.find(BOARD), page))

    def break_image_of_slot_a(self, board):
        """Change one bit in the middle of an image."""
        with self._file(board).open("r+b") as flash:
            flash.seek(self._layout.REGIONS["image_a"][0] + 4096)
            byte = flash.read(1)[0]
            flash.seek(-1, 1)
            flash.write(bytes([byte ^ 1]))

    def ratchet_in_flash(self, board):
        """Return what the region of the ratchet holds."""
        start, size = self._layout.REGIONS["ratchet"]
        with self._file(board).open("rb") as flash:
            flash.seek(start)
            held = flash.read(size).rstrip(b"\xff")
        assert held, f"{board} has no ratchet"
        return held.hex()

    def free_port(self):
        """Return a TCP port for a line."""
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            return probe.getsockname()[1]

    def start_bridge(self, port):
        """Carry the line at this port to the broker."""
        broker = (HOST, self._rig.site.ports.devices)
        self._bridge = BridgeThread([f"socket://{HOST}:{port}"], broker)
        self._bridge.start()

    def stop_bridge(self):
        """Carry nothing any more."""
        if self._bridge is not None:
            self._bridge.stop()
            self._bridge = None

    def assign_version(self, board, version):
        """Offer a version to a board."""
        self._await(self._rig.assign(board, self._release(int(version))))

    def settled_state(self, board):
        """Return how the assignment ended."""
        return str(self._await(self._rig.settled(board)).state)

    def ratchet_at_server(self, board):
        """Return the sequence number that the board reported."""
        return self._await(self._rig.site.server.device(board)).ratchet.sequence


class RemoteProtocol:
    """What Robot calls: names of keywords, and running one; an exception becomes a failed keyword."""

    def __init__(self, keywords):
        self._keywords = keywords

    def get_keyword_names(self):
        """Return the public methods."""
        return [name for name in vars(type(self._keywords)) if not name.startswith("_")]

    def run_keyword(self, name, arguments):
        """Return the outcome as Robot wants it."""
        began = time.monotonic()
        try:
            value = getattr(self._keywords, name)(*arguments)
        except Exception as error:  # noqa: BLE001 (it is told there)
            return {"status": "FAIL", "error": repr(error), "traceback": traceback.format_exc()}
        seconds = f"{time.monotonic() - began:.1f} s"
        return {"status": "PASS", "output": seconds, "return": "" if value is None else value}


def main():
    """Serve, on a port of the system's choice."""
    folder = Path(sys.argv[1])
    server = SimpleXMLRPCServer((HOST, 0), allow_none=True, logRequests=False)
    server.register_instance(RemoteProtocol(SiteKeywords(folder)))
    unfinished = folder / "port.new"
    unfinished.write_text(str(server.server_address[1]))
    unfinished.rename(folder / "port")
    server.serve_forever()


if __name__ == "__main__":
    main()
