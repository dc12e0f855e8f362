"""What a bridge's line is made of: a serial port, or an emulator's socket, as bytes in and out.

Nothing is buffered here: what isn't read stays with the system, so a bridge's memory doesn't grow with what others send.

    spec = parse("/dev/ttyUSB0,921600")        # or "socket://127.0.0.1:5001"
    wire = await spec.open()
    piece = await wire.read()                  # b"": the other side is gone
"""

import asyncio
import errno
import os
import socket
from dataclasses import dataclass
from typing import Protocol

from pawl_tools.errors import ToolError

PIECE_BYTES = 4096
DEFAULT_BAUD = 115200
SOCKET_SCHEME = "socket://"
CONNECT_TIMEOUT_S = 10.0
_KEEPALIVE_S = 30
_SYSTEM_BYTES = 65536  # what the system may hold of a connection, each way: credit ends where it is full
_WORDS = {"lock": errno.EBUSY, "configure": errno.ENOTTY}

Address = tuple[str, int]


class LineError(ToolError):
    """A line or an address that can't be used as it was given."""


class Wire(Protocol):
    """An open line."""

    async def read(self) -> bytes:
        """Return what came, at least one byte, or none when the other side is gone; raises OSError."""

    async def write(self, data: bytes) -> None:
        """Return when all of it was handed to the system; raises OSError."""

    def close(self) -> None:
        """Close it."""


class LineSpec(Protocol):
    """What a line was called on the command line."""

    @property
    def name(self) -> str:
        """Return it as it was given."""

    async def begin(self) -> Wire | None:
        """Return it open if it has to be there at the start; raises LineError if it can't ever be opened as it is."""

    async def open(self) -> Wire:
        """Return it open; raises OSError."""


def parse_address(text: str) -> Address:
    """Return (host, port) of HOST:PORT; raises LineError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise LineError(f"{text}: write an address as HOST:PORT, such as updates.example:8883")
    return host.removeprefix("[").removesuffix("]"), int(port)


def parse(text: str) -> LineSpec:
    """Return the line that a text names; raises LineError."""
    if text.startswith(SOCKET_SCHEME):
        return SocketLine(name=text, address=parse_address(text.removeprefix(SOCKET_SCHEME)))
    path, _, baud = text.partition(",")
    if not path.startswith("/") or (baud and not baud.isdecimal()):
        raise LineError(f"{text}: a line is /dev/ttyUSB0, /dev/ttyUSB0,921600 or socket://HOST:PORT")
    return SerialLine(name=text, path=path, baud=int(baud or DEFAULT_BAUD))


async def check_name(address: Address) -> None:
    """Raise LineError if the host's name doesn't resolve."""
    try:
        await asyncio.get_running_loop().getaddrinfo(*address, type=socket.SOCK_STREAM)
    except OSError as error:
        raise LineError(f"{address[0]}: unknown host name ({error}): check it and the DNS") from None


async def dial(address: Address) -> socket.socket:
    """Return a TCP connection that sends at once; raises OSError, a TimeoutError among them."""
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        found = await asyncio.get_running_loop().getaddrinfo(*address, type=socket.SOCK_STREAM)
        failed = OSError(errno.EHOSTUNREACH, "no address")
        for family, kind, protocol, _, place in found:
            try:
                return await _connect(socket.socket(family, kind, protocol), place)
            except OSError as error:
                failed = error
    raise failed


async def _connect(made: socket.socket, place: object) -> socket.socket:
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SYSTEM_BYTES)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SYSTEM_BYTES)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
        await asyncio.get_running_loop().sock_connect(made, place)  # type: ignore[arg-type] # getaddrinfo's
    except BaseException:
        made.close()
        raise
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketLine:
    """The socket at which an emulator shows a UART."""

    name: str
    address: Address

    async def begin(self) -> Wire | None:
        """An emulator may start later: only the name of its host is asked for."""
        await check_name(self.address)
        return None

    async def open(self) -> Wire:
        """Connect."""
        return SocketWire(await dial(self.address))


class SocketWire:
    """An open socket."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    async def read(self) -> bytes:
        """Return what came."""
        return await asyncio.get_running_loop().sock_recv(self._socket, PIECE_BYTES)

    async def write(self, data: bytes) -> None:
        """Send all of it."""
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    def close(self) -> None:
        """Close it."""
        self._socket.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialLine:
    """A serial port, which nobody else may use meanwhile."""

    name: str
    path: str
    baud: int

    async def begin(self) -> Wire | None:
        """What can't be opened at the start is a mistake, not a cable that was pulled."""
        try:
            return await self.open()
        except OSError as error:
            raise LineError(f"{self.path}: {_why(error)}") from None

    async def open(self) -> Wire:
        """Open the port."""
        return SerialWire(self.path, self.baud)


def _why(error: OSError) -> str:
    remedies = {
        errno.ENOENT: "no such port: plug the board in, and see `ls /dev/serial/by-id`",
        errno.EACCES: "not allowed: add yourself to the group that owns it, such as dialout",
        errno.EAGAIN: "busy: another program has this port open",
        errno.EBUSY: "busy: another program has this port open",
        errno.ENOTTY: "this is no serial port",
    }
    return remedies.get(error.errno or 0, str(error))


class SerialWire:
    """An open port. pyserial sets it up and locks it; its bytes are moved here, without blocking."""

    def __init__(self, path: str, baud: int) -> None:
        import serial  # noqa: PLC0415  only who has a serial port waits for it

        try:
            self._port = serial.Serial(path, baud, timeout=0, exclusive=True)
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error)) from None
        except serial.SerialException as error:
            raise _with_number(error) from None
        self._number: int = self._port.fileno()
        os.set_blocking(self._number, False)

    async def read(self) -> bytes:
        """Return what came."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._number, _settle, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._number)
        return os.read(self._number, PIECE_BYTES)

    async def write(self, data: bytes) -> None:
        """Write all of it."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._number, rest) :]
            except BlockingIOError:
                await self._writable()

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(self._number, _settle, ready)
        try:
            await ready
        finally:
            loop.remove_writer(self._number)

    def close(self) -> None:
        """Close it; what wasn't sent yet is the port's."""
        self._port.close()


def _settle(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


def _with_number(error: OSError) -> OSError:
    """Return pyserial's error with the system's number, which it keeps for itself in two cases."""
    if error.errno is not None:
        return error
    found = (number for word, number in _WORDS.items() if word in str(error))
    return OSError(next(found, errno.EIO), str(error))
