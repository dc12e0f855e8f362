"""The HTTP interface: parses requests, asks the service, answers; decides nothing."""

from pawl_server.api.app import create_app

__all__ = ["create_app"]
