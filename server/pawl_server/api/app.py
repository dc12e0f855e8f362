"""The application: every noun's routes behind one gate, every error through one table.

app = create_app(service, stopping)       # `stopping` is set when streams have to end
"""

import asyncio
import time
from collections.abc import Callable

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer

from pawl_server import access
from pawl_server.api import (
    anchors,
    description,
    devices,
    enrolments,
    events,
    groups,
    history,
    problems,
    releases,
    rollouts,
)
from pawl_server.api.gate import Gate
from pawl_server.api.idempotency import Idempotency
from pawl_server.service import FleetServer

PREFIX = "/v1"


def create_app(
    service: FleetServer, stopping: asyncio.Event, clock: Callable[[], float] = time.time
) -> FastAPI:
    """Return the application over a service, which the caller starts and stops."""
    app = FastAPI(
        title="Pawl fleet server",
        version="1",
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        responses=description.PROBLEMS,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.service = service
    app.state.stopping = stopping
    problems.install(app)
    description.install(app)
    # The gate has looked already; this says so in /openapi.json.
    is_guarded = [Depends(HTTPBearer(auto_error=False))]
    for noun in (anchors, devices, enrolments, history, releases, groups, rollouts, events):
        app.include_router(noun.router, prefix=PREFIX, dependencies=is_guarded)
    app.get(f"{PREFIX}/health", tags=["health"])(health)

    async def who_has(token: str) -> str | None:
        return await access.name_of(service.store, token)

    # The one that is added last sees a request first.
    app.add_middleware(Idempotency, store=service.store, clock=clock)
    limits = {f"{PREFIX}/releases": service.settings.bundle_max_bytes}
    app.add_middleware(Gate, who_has=who_has, limits=limits)
    return app


async def health() -> dict[str, bool]:
    """Say that the server answers."""
    return {"ok": True}
