"""Throughput of `pawl bridge`: from a server to a device's end of a line, beside the same bytes over plain TCP.

Both ends of the line are sockets of this machine, as an emulator's are, and the device's end is `pawl.line` in this
process, on CPython: the figure says what bridge and frames cost together, not what a UART carries.
"""

import socket
import threading
import time
from collections.abc import Callable

from benchmarks.figures import Figure
from pawl import line
from pawl_tools.bridge import Address, BridgeThread
from pawl_tools.toolchain import Toolchain

_BYTES = 8 * 1024 * 1024
_WINDOW_BYTES = 16384
_PIECE_BYTES = 65536
_TIMEOUT_S = 60


def measure(_programs: Toolchain) -> list[Figure]:
    """Return how long the same bytes take on both ways."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        plain_s = _timed(server, _read_plain)
        bridged_s = _timed(server, _read_bridged)
    return [
        Figure(
            name=f"{_BYTES >> 20} MiB from a server over a bridge's line",
            value=1000 * bridged_s,
            unit="ms",
            reference="over plain TCP",
            reference_value=1000 * plain_s,
        )
    ]


def _timed(server: socket.socket, read: Callable[[Address], float]) -> float:
    source = threading.Thread(target=_pour, args=(server,))
    source.start()
    seconds = read(server.getsockname())
    source.join(_TIMEOUT_S)
    return seconds


def _pour(server: socket.socket) -> None:
    connected, _ = server.accept()
    with connected:
        connected.sendall(bytes(_BYTES))
        connected.recv(1)  # until the other side has it all


def _read_plain(address: Address) -> float:
    with socket.create_connection(address, _TIMEOUT_S) as connected:
        began = time.perf_counter()
        left = _BYTES
        while left:
            left -= len(connected.recv(_PIECE_BYTES))
        return time.perf_counter() - began


def _read_bridged(address: Address) -> float:
    with socket.create_server(("127.0.0.1", 0)) as emulator:
        host, port = emulator.getsockname()
        with BridgeThread([f"socket://{host}:{port}"], address):
            wire, _ = emulator.accept()
            with wire:
                wire.settimeout(_TIMEOUT_S)
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return _read_frames(wire)


def _read_frames(wire: socket.socket) -> float:
    """Open a connection, take all bytes against credit, and close it."""
    end, frames = line.End(1, _WINDOW_BYTES), line.Frames()
    began = time.perf_counter()
    wire.sendall(end.open(line.BROKER))
    left = _BYTES
    while left:
        frames.add(wire.recv_into(frames.room()))
        while (found := frames.next()) is not None:
            kind, _, sequence, payload = found
            if not end.note(kind, sequence, payload) or kind == line.CLOSE:
                raise RuntimeError(f"the connection ended with {left} bytes to come")
            if kind == line.DATA:
                left -= len(payload)
                credit = end.consumed(len(payload))
                if credit is not None:
                    wire.sendall(credit)
    seconds = time.perf_counter() - began
    wire.sendall(end.close(line.ENDED))
    return seconds
