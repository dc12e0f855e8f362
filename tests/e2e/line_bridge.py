"""A small bridge for tests: the other end of a serial line, which is a socket here, and one server behind it."""

import contextlib
import select
import socket
import threading

from pawl import line


class LineBridge:
    """Serves one line at `port` in a thread: `with LineBridge(server_port) as bridge`."""

    def __init__(self, server_port):
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._wire = self._server = self._end = None
        self._frames = line.Frames()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self):
        with contextlib.suppress(OSError):
            self._wire = self._listener.accept()[0]
            self._wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._wire:
                while self._turn():
                    pass
        self._hang_up()

    def _turn(self):
        """Wait for either side, and take what it sent; return whether the line is still there."""
        waiting = [self._wire]
        if self._server is not None and self._end.room() > 0:
            waiting.append(self._server)
        ready, _, _ = select.select(waiting, [], [])
        if self._server in ready:
            self._carry_down()
        if self._wire in ready:
            got = self._wire.recv_into(self._frames.room())
            if not got:
                return False
            self._frames.add(got)
            while (found := self._frames.next()) is not None:
                self._take(*found)
        return True

    def _carry_down(self):
        piece = self._server.recv(self._end.room())
        self._wire.sendall(self._end.data(piece) if piece else self._end.close(line.ENDED))
        if not piece:
            self._hang_up()

    def _take(self, kind, connection, sequence, payload):
        if kind == line.OPEN:
            self._end = line.End(connection, 8192)
        assert self._end.note(kind, sequence, payload), (kind, sequence)
        if kind == line.OPEN:
            self._dial()
        elif kind == line.DATA and self._server is not None:
            self._server.sendall(payload)
            credit = self._end.consumed(len(payload))
            if credit is not None:
                self._wire.sendall(credit)
        elif kind == line.CLOSE:
            self._hang_up()

    def _hang_up(self):
        if self._server is not None:
            self._server.close()
            self._server = None

    def _dial(self):
        try:
            self._server = socket.create_connection(("127.0.0.1", self._server_port))
        except OSError:
            self._wire.sendall(self._end.close(line.UNREACHABLE))
            return
        self._server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wire.sendall(self._end.opened())
