"""A device's side of a serial line, for tests: the frames of `pawl.line`, TLS in memory over them, a few MQTT packets."""

import os
import select
import socket
import ssl
import time

from pawl import line

WAIT_S = 10


def until(fact, what):
    """Return what `fact` returns once it is true."""
    deadline = time.monotonic() + WAIT_S
    while not (found := fact()):
        assert time.monotonic() < deadline, f"waited too long: {what}"
        time.sleep(0.005)
    return found


class Emulator:
    """Shows a UART at a socket, as emulators do; `restart` is a kill and a new start."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT_S)
        self.name = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._wire = None

    def attach(self):
        """Wait for the bridge."""
        self._wire, _ = self._listener.accept()
        self._wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        if self._wire is None:
            self.attach()
        self._wire.sendall(data)

    def receive(self, timeout_s):
        """Return what came, b"" if nothing does; raises ConnectionError when the bridge is gone."""
        if not select.select([self._wire], [], [], timeout_s)[0]:
            return b""
        data = self._wire.recv(4096)
        if not data:
            raise ConnectionResetError("the bridge closed the line")
        return data

    def restart(self):
        self._wire.close()
        self._wire = None

    def close(self):
        self._listener.close()
        if self._wire is not None:
            self._wire.close()


class Pty:
    """A serial port: the device's end of a pseudo terminal."""

    def __init__(self):
        self._mine, self._its = os.openpty()
        self.name = os.ttyname(self._its)

    def send(self, data):
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._mine, rest) :]

    def receive(self, timeout_s):
        return os.read(self._mine, 4096) if select.select([self._mine], [], [], timeout_s)[0] else b""

    def close(self):
        os.close(self._mine)
        os.close(self._its)


class LineDevice:
    """A device on a wire; `open` begins a connection under a number that wasn't used before."""

    def __init__(self, wire):
        self.wire = wire
        self.frames = line.Frames()
        self.end = None
        self.closed = None  # reason of the CLOSE
        self.answers = []  # (connection, reason) of CLOSEs for other connections
        self.received = bytearray()
        self.held = 0  # payload bytes that no credit was given back for
        self._number = 0
        self.is_generous = True

    def open(self, target=line.BROKER, window=4096):
        """Send OPEN and return whether OPENED came back; else `closed` says why."""
        self.send_open(target, window)
        until(lambda: self.poll() or self.closed is not None or self.end.credit, "OPENED or CLOSE")
        return self.closed is None

    def send_open(self, target=line.BROKER, window=4096):
        self._number = self._number % 255 + 1
        self.end = line.End(self._number, window)
        self.closed = None
        self.received.clear()
        self.held = 0
        self.wire.send(bytes(self.end.open(target)))

    def poll(self, timeout_s=0.02):
        """Read what is there."""
        rest = memoryview(self.wire.receive(timeout_s))
        while rest:
            room = self.frames.room()
            count = min(len(room), len(rest))
            room[:count] = rest[:count]
            self.frames.add(count)
            rest = rest[count:]
            while (found := self.frames.next()) is not None:
                self._take(*found)

    def _take(self, kind, number, sequence, payload):
        if number != self.end.connection or self.closed is not None:
            if kind == line.CLOSE:
                self.answers.append((number, payload[0]))
            return
        if kind == line.CLOSE:
            self.closed = payload[0]
            return
        if not self.end.note(kind, sequence, payload):
            self.closed = line.LOST
            self.wire.send(bytes(self.end.close(line.LOST)))
            return
        if kind == line.DATA:
            self.received += payload
            self.held += line.OVERHEAD + len(payload)
            if self.is_generous and (credit := self.end.consumed(len(payload))) is not None:
                self.wire.send(bytes(credit))

    def write(self, data):
        """Send data as credit allows."""
        rest = memoryview(data)
        while rest and self.closed is None:
            if (room := self.end.room()) <= 0:
                self.poll()
                continue
            self.wire.send(bytes(self.end.data(rest[:room])))
            rest = rest[room:]

    def read(self, count):
        """Return exactly so many bytes, or fewer if the connection ends."""
        deadline = time.monotonic() + WAIT_S
        while len(self.received) < count and self.closed is None:
            assert time.monotonic() < deadline, f"{len(self.received)} of {count} bytes came"
            self.poll()
        data = bytes(self.received[:count])
        del self.received[:count]
        return data

    def close(self):
        self.wire.send(bytes(self.end.close(line.ENDED)))


class TlsError(Exception):
    """The connection ended inside TLS."""


class Tls:
    """TLS over an open connection of a LineDevice."""

    def __init__(self, device, context, name="updates.example"):
        self.device = device
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._until_done(self._tls.do_handshake)

    def exchange(self, packet, count):
        """Send an MQTT packet and return so many bytes of answer."""
        self._until_done(self._tls.write, packet)
        return self.read(count)

    def read(self, count):
        found = b""
        while len(found) < count:
            piece = self._until_done(self._tls.read, count - len(found))
            if not piece:
                raise TlsError("the server closed")
            found += piece
        return found

    def _until_done(self, action, *arguments):
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                result = action(*arguments)
            except ssl.SSLWantReadError:
                self.device.write(self._out.read())
                self._fill(deadline)
                continue
            self.device.write(self._out.read())
            return result

    def _fill(self, deadline):
        while not self.device.received:
            if self.device.closed is not None or time.monotonic() > deadline:
                raise TlsError(f"no more bytes: {self.device.closed}")
            self.device.poll()
        self._in.write(self.device.read(len(self.device.received)))


def device_context(folder, name=None):
    """Return the TLS settings of a device; without a name, of one that has no certificate and checks nobody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if name is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context.load_verify_locations(folder / "device-ca.pem")
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return context
