"""What TLS runs over on the ESP32: sockets of lwIP, over Wi-Fi."""

import asyncio

from pawl.compat import const

# Less than a connection has in all, so that the fault that comes out is the one that names Wi-Fi.
_JOIN_TIMEOUT_S = const(15)


async def open_stream(station, context, host, port, server_name):
    """Return an asyncio stream over a TLS socket on its way to a server; `server_name` is None only in anchor sessions.

    The name is looked up by lwIP, which blocks and isn't bounded by any time.
    """
    await station.join(_JOIN_TIMEOUT_S)
    opening = asyncio.open_connection(host, port, context, server_name)  # pyright: ignore[reportCallIssue] (the stubs' is old)
    stream, _ = await opening
    return stream
