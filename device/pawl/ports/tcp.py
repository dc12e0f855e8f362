"""What TLS runs over on ports with sockets: TCP to the broker, or to the anchor listener on its host."""

import asyncio

from pawl import codes


async def open_stream(context, identity, target, server_name):
    """Return what `tls.connect` wants of a connection to a target; `server_name` is None only in anchor sessions."""
    port = identity.port if target == codes.SERVER_BROKER else identity.anchor_port
    return await dial(context, identity.host, port, server_name)


async def dial(context, host, port, server_name):
    """Return (asyncio stream over a TLS socket on its way to a host, None).

    The name is looked up by the system, which blocks and isn't bounded by any time.
    """
    opening = asyncio.open_connection(host, port, context, server_name)  # pyright: ignore[reportCallIssue] (the stubs' is old)
    stream, _ = await opening
    return stream, None
