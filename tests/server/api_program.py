"""The HTTP interface as a process of its own: the real service over a folder that is prepared, without a broker.

    python api_program.py <folder> <port>

Prints `ready` when it listens. Killed at any point, it is started again over the same folder and port.
"""

import asyncio
import socket
import sys
from pathlib import Path

import uvicorn
from api_bench import settings_in

from pawl_server.api import create_app
from pawl_server.service import FleetServer


async def _serve(folder, port):
    service = FleetServer(settings_in(folder))
    await service.open()
    with socket.create_server(("127.0.0.1", port)) as listener:
        config = uvicorn.Config(
            create_app(service, asyncio.Event()), log_level="warning", lifespan="off", server_header=False
        )
        print("ready", flush=True)  # noqa: T201  # who started it waits for this
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
