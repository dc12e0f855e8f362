"""What TLS runs over on the ESP32: TCP, once the board has joined its Wi-Fi; and the dates that its mbedTLS doesn't compare."""

from pawl.compat import const
from pawl.ports import dates, tcp

# Less than a connection has in all, so that the fault that comes out is the one that names Wi-Fi.
_JOIN_TIMEOUT_S = const(15)


class Path:
    """The way to the servers; `floor_s` is the time floor that certificates are judged by."""

    def __init__(self, station):
        self.station = station
        self.floor_s = 0

    async def open_stream(self, context, identity, target, server_name):
        """Return what `tls.connect` wants; without a server name, in anchor sessions, nobody is judged."""
        if server_name is not None:
            context.verify_callback = dates.verifier(self.floor_s)
        await self.station.join(_JOIN_TIMEOUT_S)
        return await tcp.open_stream(context, identity, target, server_name)
