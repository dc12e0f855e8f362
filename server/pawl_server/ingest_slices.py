"""What devices say comes in by slices of eight partitions, each over a connection with a session of its own.

The session outlives the worker: what it held, and what was heard and not committed, goes to the next one that connects with
the slice's client id. A message is acknowledged after the commit.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from pawl_server.domain.leases import SLICES, up_filters
from pawl_server.leasing import Begun, Work
from pawl_server.mqtt import former_session
from pawl_server.mqtt.inbox import Handler
from pawl_server.mqtt.link import LinkSettings, MqttLink


def client_id(number: int) -> str:
    """Return the name of a slice's session at the broker."""
    return f"_ingest-{number}"


class IngestSlices:
    """Makes the works of the slices; `settings` are those of any connection of the server."""

    def __init__(
        self, settings: LinkSettings, handler: Handler, has_devices: Callable[[], Awaitable[bool]]
    ) -> None:
        self._settings = settings
        self._handler = handler
        self._has_devices = has_devices

    def work(self, number: int) -> Work:
        """Return the work of a slice."""

        async def run(begun: Begun) -> None:
            link = MqttLink(replace(self._settings, client_id=client_id(number)), self._handler)
            try:
                await link.start(up_filters(number))
                begun()
                await asyncio.Event().wait()
            finally:
                await link.stop()

        return run

    async def drain_former(self, _begun: Begun) -> None:
        """Hear what servers of before left unheard; with nobody enrolled, nobody was heard."""
        if await self._has_devices():
            slices = [(client_id(number), up_filters(number)) for number in range(SLICES)]
            await former_session.drain(self._settings, slices, self._handler)
