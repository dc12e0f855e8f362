"""What TLS runs over on the ESP32: TCP, once the board has joined its Wi-Fi."""

from pawl.compat import const
from pawl.ports import tcp

# Less than a connection has in all, so that the fault that comes out is the one that names Wi-Fi.
_JOIN_TIMEOUT_S = const(15)


def opener(station):
    """Return `open_stream` of a board with this station."""

    async def open_stream(context, identity, target, server_name):
        await station.join(_JOIN_TIMEOUT_S)
        return await tcp.open_stream(context, identity, target, server_name)

    return open_stream
