"""What routes are given: the service behind the application."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from pawl_server.service import FleetServer


def _service(request: Request) -> FleetServer:
    service: FleetServer = request.app.state.service
    return service


Service = Annotated[FleetServer, Depends(_service)]
