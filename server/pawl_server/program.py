"""The server as a program: broker, link, rollouts and HTTP interface in one process, until it is told to stop.

    asyncio.run(run(settings, print))
    asyncio.run(run_worker(settings, "w2", print))   # a second process, which takes a share of the works

Killed at any point, it goes on where it was when it is started again.
"""

import asyncio
import fcntl
import os
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from pawl.errors import PawlError
from pawl_server.api import create_app
from pawl_server.configuration import ConfigurationError
from pawl_server.mqtt.broker import Broker, BrokerError
from pawl_server.mqtt.broker_config import BrokerSettings
from pawl_server.mqtt.link import LinkError
from pawl_server.service import REPLACED, FleetServer
from pawl_server.settings import ApiSettings, ProgramSettings
from pawl_server.signing import DirectorKeyError
from pawl_server.store import MAIN_WORKER, FencedError, SchemaError

LOCK_NAME = "lock"
BROKER_LOOK_S = 1.0
STOP_TIMEOUT_S = 5
BACKLOG = 128

Say = Callable[[str], None]


class ProgramError(Exception):
    """The server can't run; one line with the cause and the next step."""


# What is the operator's to mend, and tells how in one line; anything else is ours, and shows its traceback.
_FAULTS = (
    BrokerError,
    LinkError,
    DirectorKeyError,
    ConfigurationError,
    SchemaError,
    FencedError,
    PawlError,
    OSError,
    SQLAlchemyError,
    sqlite3.Error,
)


async def run(settings: ProgramSettings, say: Say) -> None:
    """Serve until SIGINT or SIGTERM; ProgramError if something that is needed is missing or taken."""
    stopping = _signalled()
    try:
        async with AsyncExitStack() as stack:
            stack.enter_context(_only_one(settings, LOCK_NAME))
            service = FleetServer(settings.server)  # first, as it looks at every file it will need
            listening = stack.enter_context(listening_at(settings.api))
            if settings.broker is not None:
                await stack.enter_async_context(_broker(settings.broker, say))
            await stack.enter_async_context(_started(service))
            await stack.enter_async_context(_api(settings.api, service, listening, stopping))
            for line in _addresses(settings):
                say(line)
            await _stopped_or_replaced(stopping, service)
            say("stopping")
    except _FAULTS as error:
        raise ProgramError(" ".join(str(error).split())) from error


async def run_worker(settings: ProgramSettings, name: str, say: Say) -> None:
    """Take a share of the works over the same folder, and all of them if the others die; no broker and no API.

    ProgramError if a worker of this name runs, or something that is needed is missing.
    """
    if name == MAIN_WORKER:
        raise ProgramError(f"{MAIN_WORKER} is the worker of `pawl server run`: choose another name")
    stopping = _signalled()
    try:
        server = replace(settings.server, worker=name)
        async with AsyncExitStack() as stack:
            stack.enter_context(_only_one(settings, f"{LOCK_NAME}-{name}"))
            service = FleetServer(server)
            await stack.enter_async_context(_started(service))
            say(f"worker {name}: takes its share of {server.folder}")
            await _stopped_or_replaced(stopping, service)
            say("stopping")
    except (*_FAULTS, ValueError) as error:
        raise ProgramError(" ".join(str(error).split())) from error


def _signalled() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    return stopping


async def _stopped_or_replaced(stopping: asyncio.Event, service: FleetServer) -> None:
    """Return when told to stop; FencedError if another process took the database over."""
    waits = [asyncio.create_task(event.wait()) for event in (stopping, service.store.fenced)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if service.store.fenced.is_set():
        raise FencedError(f"{REPLACED}; stop one of the two for good")


def _addresses(settings: ProgramSettings) -> Iterator[str]:
    if settings.broker is not None:
        yield f"devices: {settings.broker.device_address} port {settings.broker.device_port} (MQTT over TLS)"
    yield f"API: {settings.api.url}"


@contextmanager
def _only_one(settings: ProgramSettings, lock_name: str) -> Iterator[None]:
    """Keep a second process of this name out of the folder: a server would take this one's broker for a left-over."""
    settings.server.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(settings.server.folder / lock_name, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ProgramError(
                f"a {'server' if lock_name == LOCK_NAME else 'worker of this name'} runs in "
                f"{settings.server.folder} already: stop that one first"
            ) from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def listening_at(api: ApiSettings) -> Iterator[socket.socket]:
    """Listen for the interface; ProgramError if somebody else does there."""
    family = socket.AF_INET6 if ":" in api.address else socket.AF_INET
    # asyncio sends at once, without waiting for acknowledgements, where the socket says that it is TCP.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((api.address, api.port))
            listener.listen(BACKLOG)
        except OSError as error:
            where = f"{api.address} port {api.port}"
            raise ProgramError(
                f"can't listen on {where} for the API: {error.strerror}; choose another api.port in server.toml"
            ) from None
        yield listener


@asynccontextmanager
async def _broker(settings: BrokerSettings, say: Say) -> AsyncIterator[None]:
    broker = Broker(settings)
    await asyncio.to_thread(broker.start)
    watch = asyncio.create_task(_keep_running(broker, say))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await asyncio.to_thread(broker.stop)


async def _keep_running(broker: Broker, say: Say) -> None:
    """Start the broker again if it died; the link reconnects by itself."""
    while True:
        await asyncio.sleep(BROKER_LOOK_S)
        if broker.is_running:
            continue
        say("the broker ended; starting it again")
        try:
            await asyncio.to_thread(broker.start)
        except BrokerError as error:
            say(str(error))


@asynccontextmanager
async def _started(service: FleetServer) -> AsyncIterator[None]:
    await service.start()
    try:
        yield
    finally:
        await service.stop()


@asynccontextmanager
async def _api(
    settings: ApiSettings, service: FleetServer, listener: socket.socket, stopping: asyncio.Event
) -> AsyncIterator[None]:
    config = uvicorn.Config(
        create_app(service, stopping),
        log_level="warning",
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=STOP_TIMEOUT_S,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
    config.load()  # a certificate that can't be used is said here
    server = _Uvicorn(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        stopping.set()
        server.should_exit = True
        await task


class _Uvicorn(uvicorn.Server):
    """Leaves the signals to the program, which has more than this to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
