"""The HTTP interface as a process of its own: the real service over a folder that is prepared, without a broker.

    python api_program.py <folder> <port> [--streams-end] [--faults]

Prints `ready` when it listens. Killed at any point, it is started again over the same folder and port. With `--streams-end`,
streams end behind what there is, as they do when the server stops. With `--faults`, it has two routes that do what none may.
"""

import asyncio
import sys
from pathlib import Path

import uvicorn
from api_bench import settings_in
from fastapi import Response

from pawl_server.api import create_app
from pawl_server.program import listening_at
from pawl_server.service import FleetServer
from pawl_server.settings import ApiSettings


async def _fault() -> dict[str, bool]:
    """Fail."""
    raise RuntimeError("planted")


async def _undeclared(response: Response) -> dict[str, bool]:
    """Answer with a status that the description doesn't have."""
    response.status_code = 202
    return {"ok": True}


async def _serve(folder, port, options):
    stopping = asyncio.Event()
    if "--streams-end" in options:
        stopping.set()
    service = FleetServer(settings_in(folder))
    await service.open()
    with listening_at(ApiSettings(address="127.0.0.1", port=port)) as listening:
        app = create_app(service, stopping)
        if "--faults" in options:
            app.get("/v1/planted/fault")(_fault)
            app.get("/v1/planted/undeclared")(_undeclared)
        config = uvicorn.Config(app, log_level="warning", lifespan="off", server_header=False)
        print("ready", flush=True)  # noqa: T201  # who started it waits for this
        await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
