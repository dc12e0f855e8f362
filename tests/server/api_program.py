"""The HTTP interface as a process of its own: the real service over a folder that is prepared, without a broker.

    python api_program.py <folder> <port> [--streams-end]

Prints `ready` when it listens. Killed at any point, it is started again over the same folder and port. With `--streams-end`,
streams end behind what there is, as they do when the server stops.
"""

import asyncio
import socket
import sys
from pathlib import Path

import uvicorn
from api_bench import settings_in

from pawl_server.api import create_app
from pawl_server.service import FleetServer


async def _serve(folder, port, *, streams_end):
    stopping = asyncio.Event()
    if streams_end:
        stopping.set()
    service = FleetServer(settings_in(folder))
    await service.open()
    with socket.create_server(("127.0.0.1", port)) as listener:
        config = uvicorn.Config(
            create_app(service, stopping), log_level="warning", lifespan="off", server_header=False
        )
        print("ready", flush=True)  # noqa: T201  # who started it waits for this
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), streams_end="--streams-end" in sys.argv))
