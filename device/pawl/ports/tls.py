"""TLS of every port: contexts, names of faults, and the stream that the MQTT client reads; `tls` is MicroPython's C module.

`context` refuses to connect without checking chain and server name: there is no switch. `anchor_context` checks nobody and
is for anchor sessions only, which can read anchors and nothing else. TLS 1.2 at least, P-256 certificates and keys in DER.
Every fault is a TransportError that names the cause and the next step.

    stream = await connect(opening, 20)

`opening` is a port's coroutine. It returns an asyncio stream over a TLS socket, and what is below that: None, or an object
with `close()` and `fault`, the TransportError that it ended with.
"""

import asyncio
import errno
import tls

from pawl import codes
from pawl.errors import TransportError
from pawl.ports import dates

FAULTS = (OSError, ValueError, EOFError)

_UNKNOWN_HOST = "unknown host name: check it and the DNS"
_SOCKET_CAUSES = {  # errno's numbers differ between systems
    errno.ETIMEDOUT: "no answer: check address, port and network",
    errno.ECONNREFUSED: "connection refused: does the server run, and on this port?",
    errno.EHOSTUNREACH: "no route to the server: check the network",
    -2: _UNKNOWN_HOST,
    -200: _UNKNOWN_HOST,  # lwIP: EAI_NONAME
    -202: _UNKNOWN_HOST,  # lwIP: EAI_FAIL
}
_FIRST_OF_MBEDTLS = -256  # its error numbers are below; errno is above
_ENDED_BY_SERVER = (
    32,
    errno.ECONNRESET,
    -0x7280,
)  # broken pipe, reset, mbedTLS: end of the stream without a goodbye
_TLS_ALERT = -0x7780  # mbedTLS: the server sent a fatal alert
_REFUSED = "it may not know our certificate, see its log"
_NO_TLS = "is this the TLS port, and does it speak TLS 1.2?"
_CERTIFICATE_WORDS = (
    (
        "not correctly signed by the trusted CA",
        "the server's CA isn't in the trust anchor, or memory ran out in the handshake",
    ),
    ("Common Name", "the certificate is for another server: check the server name"),
    ("expired", "renew the server's certificate"),
    ("in the future", "check the server's clock"),
)


def context(ca_der, cert_der, key_der):
    """Return the context of a connection to the broker; `ca_der` is a list of 1 to 4 CA certificates."""
    checked = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    checked.verify_mode = tls.CERT_REQUIRED  # pyright: ignore[reportAttributeAccessIssue] (the stubs lack it)
    try:
        for certificate in ca_der:
            checked.load_verify_locations(certificate)  # each call adds one
        checked.load_cert_chain(cert_der, key_der)
    except ValueError as error:
        raise TransportError(codes.REASON_LINK_TLS, "%s: DER expected, P-256" % error)
    return checked


def anchor_context():
    """Return the context of an anchor session: it checks nobody and shows no certificate, anchors authenticate themselves."""
    unchecked = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    unchecked.verify_mode = tls.CERT_NONE  # pyright: ignore[reportAttributeAccessIssue] (the stubs lack it)
    return unchecked


async def connect(opening, timeout_s):
    """Return a TlsStream over the stream that `opening` gives, within a time.

    The handshake runs with the first write, because the `tls` module doesn't tell when it is over: its faults come out of
    the first `drain`. Raises TransportError: REASON_LINK_TLS if the other side isn't trusted or doesn't trust us, else
    REASON_LINK_LOST.
    """
    try:
        return await asyncio.wait_for(_greet(opening), timeout_s)
    except asyncio.TimeoutError:
        raise TransportError(
            codes.REASON_LINK_LOST, "no connection in %d s: check address and port" % timeout_s
        )
    except FAULTS as error:
        raise _named(error, False)


async def _greet(opening):
    above, below = await opening
    stream = TlsStream(above, below)
    stream.greet()
    return stream


def _named(error, is_handshake_over):
    """Return the TransportError for what the socket or mbedTLS raised."""
    if isinstance(error, ValueError):
        return TransportError(codes.REASON_LINK_TLS, _certificate_fault(str(error)))
    number = error.args[0] if isinstance(error, OSError) and error.args else 0
    if number in _ENDED_BY_SERVER:
        if is_handshake_over:
            return TransportError(codes.REASON_LINK_LOST, "the server closed the connection")
        # It may have sent an alert that was lost, because we were still writing.
        return TransportError(codes.REASON_LINK_TLS, "the server ended the handshake: " + _REFUSED)
    if number == dates.ENDED:
        return TransportError(codes.REASON_LINK_TLS, "a certificate has ended by the time floor: renew it")
    if number <= _FIRST_OF_MBEDTLS:
        words = str(error.args[1]) if len(error.args) > 1 else "mbedTLS -0x%04x" % -number
        return TransportError(
            codes.REASON_LINK_TLS, words + ": " + (_REFUSED if number == _TLS_ALERT else _NO_TLS)
        )
    words = _SOCKET_CAUSES.get(number) or "%s %s" % (type(error).__name__, error)
    return TransportError(codes.REASON_LINK_LOST, words)


def _certificate_fault(words):
    for phrase, next_step in _CERTIFICATE_WORDS:
        if phrase in words:
            return "%s (%s)" % (words.strip(), next_step)
    return words.strip()


class TlsStream:
    """What the MQTT client reads and writes; faults come out as TransportError."""

    def __init__(self, stream, below):
        self._stream = stream
        self._below = below
        self._is_handshake_over = False

    def greet(self):
        """Send the ClientHello, or raise why it isn't connected."""
        try:
            self._stream.s.readinto(bytearray(1))
        except FAULTS as error:
            self.close()
            raise self._named(error)

    def _named(self, error):
        if self._below is not None and self._below.fault is not None:
            return self._below.fault
        return _named(error, self._is_handshake_over)

    async def readinto(self, view):
        """Read at least one byte, or 0 when the server closed."""
        try:
            while (got := await self._stream.readinto(view)) is None:
                pass  # a TLS record that isn't whole yet
        except FAULTS as error:
            raise self._named(error)
        return got

    def write(self, packet):
        """Write what the socket takes now and keep the rest for `drain`."""
        try:
            self._stream.write(packet)
        except FAULTS as error:
            raise self._named(error)

    async def drain(self):
        """Return when everything written was handed to the system; the first time, the handshake is over then."""
        try:
            await self._stream.drain()
        except FAULTS as error:
            raise self._named(error)
        self._is_handshake_over = True

    def close(self):
        """Close the connection; a second call does nothing."""
        self._stream.s.close()
        if self._below is not None:
            self._below.close()  # TLS that failed closes nothing
