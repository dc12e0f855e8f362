"""MQTT 3.1.1 client over an injected stream: one reader, bounded memory, QoS 0 and 1, clean sessions.

Refuses to reconnect, to retry, or to know TLS: a link that ends is an exception out of `run`, and what happens
then is the agent's business. The certificate is the name: no user name, password or will.

    client = Client(stream, "bench-1", 60, bytearray(8192), on_message, time.ticks_ms)
    await client.connect()
    reader = asyncio.create_task(client.run())        # must run for every call below
    await client.subscribe(["pawl/d/7/bench-1/offer"], 1)
    await client.publish("pawl/d/7/bench-1/up/hello", hello)

The stream: `await readinto(mv)` -> bytes read, 0 when closed; `write(data)` buffers; `await drain()`; `close()`.

`await on_message(topic, payload, retained)` is called by the reader, one at a time, and the next packet is read after
it returns: that is the back-pressure. The payload is valid during the call only. Inside it, `send_unsubscribe` and
`publish` with QoS 0 are safe; anything that waits for an acknowledgement would wait for itself.
"""

import asyncio

from pawl import codes
from pawl import mqtt_codec as codec
from pawl.compat import const
from pawl.errors import TransportError
from pawl.mqtt_frames import OVERSIZED, FrameReader

_TICKS_MASK = const(0x3FFFFFFF)  # every port's ticks_ms wraps at a multiple of this + 1


def _elapsed_ms(now, then):
    return (now - then) & _TICKS_MASK


async def _stop(task):
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass


class _Waiter:
    """Someone who waits for the acknowledgement of one packet id."""

    def __init__(self, kind):
        self.kind = kind
        self.done = asyncio.Event()
        self.result = b""


class Client:
    """One connection, from CONNECT to its end; never used again after that.

    `buffer` holds the largest packet that is delivered; whoever connects again and again makes it once.
    `ack_timeout_s` bounds every wait for an acknowledgement; `oversized` counts messages that did not fit.
    """

    def __init__(self, stream, client_id, keepalive_s, buffer, on_message, ticks_ms):
        self._stream = stream
        self._frames = FrameReader(stream, buffer)
        self._client_id = client_id
        self._keepalive_s = keepalive_s
        self._on_message = on_message
        self._ticks_ms = ticks_ms
        self._writing = asyncio.Lock()
        self._waiters = {}
        self._last_id = 0
        self._ended = asyncio.Event()
        # Both mean something once `_ended` is set: why no call can succeed, and what `run` raises, which may be
        # what on_message raised.
        self._error = TransportError(codes.REASON_LINK_LOST)
        self._fault = self._error
        self._is_handling = False
        self._is_ping_open = False
        self._sent_at = ticks_ms()  # when we last wrote
        self._heard_at = ticks_ms()  # when the link last showed life while a ping was open
        self._heard = 0  # bytes received by then
        self.ack_timeout_s = 20
        self.oversized = 0

    # --- what the agent calls

    async def connect(self):
        """Open a clean session; raises REASON_LINK_REFUSED if the server doesn't want us."""
        try:
            await asyncio.wait_for(self._connect(), self.ack_timeout_s)
        except asyncio.TimeoutError:
            raise TransportError(codes.REASON_LINK_TIMEOUT, "no answer to CONNECT")

    async def publish(self, topic, payload, qos=1):
        """Send a message; with QoS 1 return when the server has it (a topic denied by its ACL looks the same)."""
        if qos:
            await self._request(
                codec.PUBACK, lambda number: codec.encode_publish(topic, payload, qos, number)
            )
        else:
            await self._send(codec.encode_publish(topic, payload, 0, 0))

    async def subscribe(self, topics, qos):
        """Subscribe to a list of topic filters; raises REASON_LINK_DENIED with the first that was refused."""
        granted = await self._request(
            codec.SUBACK, lambda number: codec.encode_subscribe(number, topics, qos)
        )
        if len(granted) != len(topics):
            raise codec.malformed("SUBACK for %d of %d topics" % (len(granted), len(topics)))
        for topic, code in zip(topics, granted):
            if code == codec.SUBSCRIPTION_REFUSED:
                raise TransportError(codes.REASON_LINK_DENIED, topic)

    async def unsubscribe(self, topics):
        """Unsubscribe from a list of topic filters and wait until the server has done so."""
        await self._request(codec.UNSUBACK, lambda number: codec.encode_unsubscribe(number, topics))

    async def send_unsubscribe(self, topics):
        """Unsubscribe without waiting for the answer: safe inside `on_message`."""
        await self._send(codec.encode_unsubscribe(self._next_id(), topics))

    async def run(self):
        """Read packets and keep the link alive until it ends: raises TransportError, or what on_message raised."""
        reader = asyncio.create_task(self._read_all())
        try:
            await self._keep_alive()
        except TransportError as error:
            self._end(error)
        finally:
            self._end(TransportError(codes.REASON_LINK_LOST, "the reader was stopped"))
            await _stop(reader)
        raise self._fault

    async def disconnect(self):
        """Say goodbye if the link still works, and close the stream; never raises TransportError."""
        try:
            await asyncio.wait_for(self._send(codec.DISCONNECT_PACKET), self.ack_timeout_s)
        except (TransportError, asyncio.TimeoutError):
            pass
        self.close()

    def close(self):
        """Drop the connection at once; a second call does nothing."""
        self._end(TransportError(codes.REASON_LINK_LOST, "disconnected by us"))
        self._stream.close()

    # --- requests: a packet id and who waits for it

    def _next_id(self):
        for _ in range(65535):
            self._last_id = self._last_id % 65535 + 1
            if self._last_id not in self._waiters:
                return self._last_id
        raise RuntimeError("65535 requests are open")

    async def _request(self, kind, packet_for):
        packet_id = self._next_id()
        waiter = self._waiters[packet_id] = _Waiter(kind)
        try:
            await asyncio.wait_for(self._send_and_wait(packet_for(packet_id), waiter), self.ack_timeout_s)
        except asyncio.TimeoutError:
            raise TransportError(codes.REASON_LINK_TIMEOUT, "no acknowledgement in %d s" % self.ack_timeout_s)
        finally:
            self._waiters.pop(packet_id)
        if waiter.result is None:
            raise self._error
        return waiter.result

    async def _send_and_wait(self, packet, waiter):
        await self._send(packet)
        await waiter.done.wait()

    def _acknowledged(self, kind, packet_id, result=b""):
        waiter = self._waiters.get(packet_id)
        if waiter is None:
            return  # too late, or nobody waits: send_unsubscribe
        if waiter.kind != kind:
            raise codec.malformed("acknowledgement of another kind")
        waiter.result = result
        waiter.done.set()

    # --- the wire

    async def _send(self, packet):
        async with self._writing:
            if self._ended.is_set():
                raise self._error
            try:
                self._stream.write(packet)
                self._sent_at = self._ticks_ms()
                await self._stream.drain()
            except TransportError as error:
                self._end(error)
                raise
            except BaseException:
                # Cancelled or failed, perhaps in mid-packet: nothing that follows would make sense to the server.
                self._end(TransportError(codes.REASON_LINK_LOST, "a packet was not written to its end"))
                raise

    async def _connect(self):
        await self._send(codec.encode_connect(self._client_id, self._keepalive_s))
        head, body = await self._frames.next()
        if head != codec.CONNACK:
            raise codec.malformed("0x%02x in place of CONNACK" % head)
        codec.parse_connack(body)

    def _end(self, fault):
        """Remember why the link ended, the first reason only, and wake everyone who waits for it."""
        if self._ended.is_set():
            return
        is_ours = not isinstance(fault, TransportError)
        self._fault = fault
        self._error = (
            TransportError(codes.REASON_LINK_LOST, "the message handler failed") if is_ours else fault
        )
        self._ended.set()
        for waiter in self._waiters.values():
            waiter.result = None
            waiter.done.set()

    # --- keepalive

    async def _keep_alive(self):
        while not self._ended.is_set():
            try:
                await asyncio.wait_for(self._ended.wait(), self._keepalive_s / 4)
            except asyncio.TimeoutError:
                await self._check_link()

    async def _check_link(self):
        now = self._ticks_ms()
        if self._is_handling or self._frames.received != self._heard:
            # While a message is handled nothing is read, so silence proves nothing.
            self._heard, self._heard_at = self._frames.received, now
        if self._is_ping_open:
            if _elapsed_ms(now, self._heard_at) >= self._keepalive_s * 1000:
                raise TransportError(
                    codes.REASON_LINK_LOST, "no answer to PINGREQ in %d s" % self._keepalive_s
                )
        elif _elapsed_ms(now, self._sent_at) >= self._keepalive_s * 500:
            self._is_ping_open = True
            self._heard_at = now
            await self._ping()

    async def _ping(self):
        try:
            await asyncio.wait_for(self._send(codec.PINGREQ_PACKET), self._keepalive_s)
        except asyncio.TimeoutError:
            raise TransportError(codes.REASON_LINK_LOST, "the server takes no more bytes")

    # --- the reader

    async def _read_all(self):
        try:
            while True:
                head, body = await self._frames.next()
                await self._handle(head, body)
        except Exception as error:
            # Also a fault of on_message: it must not leave `run` waiting.
            self._end(error)

    async def _handle(self, head, body):
        if head == OVERSIZED:
            self.oversized += 1
            if body:
                await self._send(codec.encode_puback(body))
        elif head & 0xF0 == codec.PUBLISH:
            await self._deliver(head, body)
        elif head == codec.SUBACK:
            packet_id, granted = codec.parse_suback(body)
            self._acknowledged(head, packet_id, granted)
        elif head in (codec.PUBACK, codec.UNSUBACK):
            self._acknowledged(head, codec.parse_ack(body))
        elif head == codec.PINGRESP and not len(body):
            self._is_ping_open = False
        else:
            raise codec.malformed("0x%02x" % head)

    async def _deliver(self, head, body):
        topic, payload, qos, is_retained, packet_id = codec.parse_publish(head, body)
        self._is_handling = True
        await self._on_message(topic, payload, is_retained)
        self._is_handling = False
        if qos:
            await self._send(codec.encode_puback(packet_id))
