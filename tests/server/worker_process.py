"""A worker as a process of its own, for tests that kill it: `python worker_process.py '{"worker": "w2", ...}'`."""

import asyncio
import json
import logging
import sys
from pathlib import Path

from pawl_server.service import FleetServer
from pawl_server.settings import ServerSettings

TERM_S = 3
_PATHS = ("folder", "tls_authority", "tls_certificate", "tls_key", "director_key", "anchor")


def arguments(settings):
    """Return the settings as a command line has them."""
    names = (*_PATHS, "broker_host", "broker_port", "worker", "lease_term_s", "watch_pass_s")
    return json.dumps({name: getattr(settings, name) for name in names}, default=str)


async def main(text):
    """Work until killed; say so when it has begun."""
    fields = {name: Path(value) if name in _PATHS else value for name, value in json.loads(text).items()}
    server = FleetServer(ServerSettings(**fields))
    await server.start()
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main(sys.argv[1]))
