"""What TLS runs over on the unix port: sockets of the system."""

import asyncio


async def open_stream(context, host, port, server_name):
    """Return an asyncio stream over a TLS socket on its way to a server; `server_name` is None only in anchor sessions.

    The name is looked up by the system, which blocks and isn't bounded by any time.
    """
    opening = asyncio.open_connection(host, port, context, server_name)  # pyright: ignore[reportCallIssue] (the stubs' is old)
    stream, _ = await opening
    return stream
