"""The server's connection to the broker: MQTT 5, a session that outlives it, acknowledgement by hand.

Refuses to lose: a message is acknowledged after the handler returned, `publish` returns after the broker acknowledged,
and what was open when a connection broke is sent again. So both sides may see a message twice, and must not mind.
`strangers` counts messages of topics that aren't the session's: they are acknowledged, and not handed on.
The broker's own memory is as good as its last save: `session_losses` counts reconnects that it had forgotten us at, and
`on_reconnected` is called after each one, because what it had retained may be gone with or without our session.

    link = MqttLink(settings, handler)             # async def handler(batch: list[Message]) -> None
    await link.start(["pawl/d/+/+/up/#"])
    await link.publish("pawl/r/" + name, envelope, retain=True)

paho runs a thread of its own. It only hands over (`call_soon_threadsafe`); everything else happens in the event loop.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TypeVarTuple

from paho.mqtt.client import (
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    MQTTv5,
    topic_matches_sub,
)
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from pawl_server.mqtt.broker_config import MESSAGE_MAX_BYTES
from pawl_server.mqtt.inbox import Handler, Inbox, Message, Received

Arguments = TypeVarTuple("Arguments")
_log = logging.getLogger(__name__)

_RECONNECT_MIN_S = 1
_RECONNECT_MAX_S = 30
_IN_FLIGHT_MAX = 100


class LinkError(Exception):
    """The broker refused something, or the link stopped before it was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """Where the broker is, who we are there, and how much may wait; PEM files."""

    host: str
    port: int
    client_id: str
    authority: Path
    certificate: Path
    key: Path
    keepalive_s: int = 30
    session_expiry_s: int = 7 * 86400
    receive_max: int = 1000
    publish_max: int = 1000
    start_timeout_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse a client id that a device could have: the broker keeps one session an id, on all its listeners."""
        if not self.client_id.startswith("_"):
            raise ValueError(
                f"client id {self.client_id!r} could be a device's, which would take over this session: "
                "let it begin with _"
            )


class MqttLink:
    """One client of the broker; started once, stopped once."""

    def __init__(
        self, settings: LinkSettings, handler: Handler, on_reconnected: Callable[[], None] | None = None
    ) -> None:
        self.session_losses = 0
        self.strangers = 0
        self.had_session = False
        self._on_reconnected = on_reconnected
        self.inbox = Inbox(handler, self._acknowledge, capacity=settings.receive_max)
        self._settings = settings
        self._subscriptions: Sequence[str] = ()
        self._hears: Sequence[str] = ()
        self._connection = 0
        self._connection_lock = Lock()
        self._publishing: dict[int, asyncio.Future[None]] = {}
        self._room = asyncio.Semaphore(settings.publish_max)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started: asyncio.Future[None] | None = None
        self._consumer: asyncio.Task[None] | None = None
        self._last_fault = "no answer"
        self._is_stopped = False
        self._was_connected = False
        self._has_lost_session = False
        self._client = self._make_client()

    async def start(self, subscriptions: Sequence[str] = (), *, hears: Sequence[str] = ()) -> None:
        """Return when connected and subscribed (QoS 1); raises LinkError if that fails within the timeout.

        `hears` are topics that the session was subscribed to before. Nothing else is handed on: a session outlives its
        connections, and whoever once had its name may have subscribed it to more.
        """
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.create_future()
        self._subscriptions = subscriptions
        self._hears = (*subscriptions, *hears)
        self._consumer = asyncio.create_task(self.inbox.run())
        self._client.connect_async(
            self._settings.host,
            self._settings.port,
            self._settings.keepalive_s,
            clean_start=False,
            properties=self._connect_properties(),
        )
        self._client.loop_start()
        try:
            await asyncio.wait_for(asyncio.shield(self._started), self._settings.start_timeout_s)
        except TimeoutError:
            await self.stop()
            where = f"{self._settings.host} port {self._settings.port}"
            raise LinkError(f"no link to the broker at {where}: {self._last_fault}") from None
        except LinkError:
            await self.stop()
            raise

    async def stop(self, *, ends_session: bool = False) -> None:
        """Let the handler finish its batch, acknowledge it, and disconnect; the broker keeps the session, or forgets it."""
        if self._is_stopped:
            return
        self._is_stopped = True
        self.inbox.close()
        if self._consumer is not None:
            await self._consumer
        self._client.disconnect(properties=_session_end() if ends_session else None)
        await asyncio.to_thread(self._client.loop_stop)
        for waiting in self._publishing.values():
            if not waiting.done():
                waiting.set_exception(LinkError("the link was stopped before the broker acknowledged"))

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Return when the broker acknowledged (QoS 1), however often the connection breaks until then.

        Raises ValueError for a payload that the broker would cut the connection for, LinkError if it refuses or the link stops.
        """
        if len(payload) > MESSAGE_MAX_BYTES:
            raise ValueError(f"{len(payload)} bytes for {topic}: {MESSAGE_MAX_BYTES} is the most")
        async with self._room:
            if self._is_stopped or self._loop is None:
                raise LinkError("the link doesn't run")
            info = self._client.publish(topic, payload, qos, retain)
            if info.rc not in {MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN}:
                raise LinkError(f"can't publish {topic}: {info.rc.name}")
            if qos:
                await self._acknowledgement(info.mid)

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Let the session get no more than it has."""
        self._client.unsubscribe(list(topics))

    async def _acknowledgement(self, mid: int) -> None:
        assert self._loop is not None  # noqa: S101  # publish has looked
        waiting = self._publishing[mid] = self._loop.create_future()
        try:
            await waiting
        finally:
            del self._publishing[mid]

    # --- paho's side: set up here, called on its thread

    def _make_client(self) -> Client:
        settings = self._settings
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=settings.client_id, protocol=MQTTv5, manual_ack=True
        )
        context = ssl.create_default_context(cafile=str(settings.authority))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(settings.certificate, settings.key)
        client.tls_set_context(context)
        client.reconnect_delay_set(_RECONNECT_MIN_S, _RECONNECT_MAX_S)
        client.max_inflight_messages_set(_IN_FLIGHT_MAX)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def _connect_properties(self) -> Properties:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._settings.session_expiry_s
        properties.ReceiveMaximum = (
            self._settings.receive_max
        )  # the broker waits for acknowledgements beyond it
        return properties

    def _on_connect(
        self, client: Client, _user: object, flags: ConnectFlags, reason: ReasonCode, _p: Properties | None
    ) -> None:
        if reason.is_failure:
            self._last_fault = str(reason)
            return
        self._has_lost_session = self._was_connected and not flags.session_present
        if self._has_lost_session:
            _log.warning("the broker has forgotten this session; what it held for us is lost")
        self.had_session = flags.session_present
        self._was_connected = True
        if self._subscriptions:
            options = SubscribeOptions(qos=1)
            client.subscribe([(topic, options) for topic in self._subscriptions])
        else:
            self._hand_over(self._has_started, None)

    def _on_connect_fail(self, _client: Client, _user: object) -> None:
        self._last_fault = (
            "connection refused or TLS failed; is the broker there, and does each side trust the other?"
        )

    def _on_disconnect(
        self, _c: Client, _user: object, _flags: DisconnectFlags, reason: ReasonCode, _p: Properties | None
    ) -> None:
        # From here on an acknowledgement belongs to the next connection, where its number may mean another message.
        with self._connection_lock:
            self._connection += 1
        self._last_fault = f"disconnected: {reason}"
        _log.info("disconnected from the broker: %s", reason)

    def _on_subscribe(
        self, _c: Client, _user: object, _mid: int, reasons: list[ReasonCode], _p: Properties | None
    ) -> None:
        refused = [
            topic for topic, reason in zip(self._subscriptions, reasons, strict=False) if reason.is_failure
        ]
        self._hand_over(self._has_started, f"the broker refused {', '.join(refused)}" if refused else None)

    def _on_message(self, _client: Client, _user: object, message: MQTTMessage) -> None:
        content = Message(topic=message.topic, payload=bytes(message.payload), retained=message.retain)
        received = Received(
            message=content, connection=self._connection, number=message.mid if message.qos else 0
        )
        is_ours = any(topic_matches_sub(topic, message.topic) for topic in self._hears)
        self._hand_over(self.inbox.put if is_ours else self._ignore, received)

    def _on_publish(
        self, _client: Client, _user: object, mid: int, reason: ReasonCode, _p: Properties | None
    ) -> None:
        self._hand_over(self._was_published, mid, reason)

    def _hand_over(self, function: Callable[[*Arguments], None], *arguments: *Arguments) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    # --- the event loop's side

    def _has_started(self, refusal: str | None) -> None:
        if self._started is None or self._started.done():
            self._has_reconnected(refusal)
            return
        if refusal:
            self._started.set_exception(LinkError(refusal))
        else:
            self._started.set_result(None)

    def _has_reconnected(self, refusal: str | None) -> None:
        # Counted when the subscription is back: from then on nothing more is lost.
        self.session_losses += self._has_lost_session
        if refusal:
            _log.error(refusal)
        if self._on_reconnected is not None:
            self._on_reconnected()

    def _was_published(self, mid: int, reason: ReasonCode) -> None:
        waiting = self._publishing.get(mid)
        if waiting is None or waiting.done():
            return
        if reason.is_failure:
            waiting.set_exception(LinkError(f"the broker refused a message: {reason}"))
        else:
            waiting.set_result(None)

    def _ignore(self, received: Received) -> None:
        if not self.strangers:
            _log.error(
                "session %s hears what the server never subscribed to: somebody with a certificate in that name has had "
                "it. Revoke that, then stop server and broker and delete the broker's mosquitto.db",
                self._settings.client_id,
            )
        self.strangers += 1
        self._acknowledge(received)

    def _acknowledge(self, received: Received) -> None:
        if not received.number:
            return
        with self._connection_lock:
            if received.connection == self._connection:
                self._client.ack(received.number, 1)


def _session_end() -> Properties:
    properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 0
    return properties
