"""Empties the one session that servers had before there were slices: what the broker holds there was acknowledged to devices.

Nothing is lost on the way. First the sessions of the slices are made, unheard, so that whatever is said from then on waits
there. Then the former session gets nothing new, is heard to its end, and is forgotten. What both had comes twice. Its end is
a connection that brings nothing: a silence isn't, as mosquitto 2.0.11 was seen to hold back what it had until the next one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from pawl_server.mqtt.inbox import Handler, Message
from pawl_server.mqtt.link import LinkSettings, MqttLink

CLIENT_ID = "_ingest"
TOPICS = ("pawl/d/+/+/up/#",)
# As servers of before had it: with less, mosquitto 2.0.11 was seen to stop in the middle of what it had queued.
RECEIVE_MAX = 1000
QUIET_S = 1.0


async def drain(
    settings: LinkSettings, slices: Sequence[tuple[str, Sequence[str]]], handler: Handler
) -> None:
    """Hand what is left to the handler; `slices` are the new sessions: client id and topics."""
    former = replace(settings, client_id=CLIENT_ID, receive_max=RECEIVE_MAX)
    is_first = True
    while await _hear(former, slices if is_first else (), handler):
        is_first = False


async def _hear(former: LinkSettings, slices: Sequence[tuple[str, Sequence[str]]], handler: Handler) -> bool:
    """Hear the session over one connection; False, and it is forgotten, if there was nothing to be heard."""
    link = MqttLink(former, handler)
    await link.start(hears=TOPICS)
    has_more = False
    try:
        if link.had_session:
            await asyncio.gather(
                *[_make(replace(former, client_id=client_id), topics) for client_id, topics in slices]
            )
            link.unsubscribe(TOPICS)
            has_more = await _quiet(link)
    except BaseException:
        await link.stop()
        raise
    await link.stop(ends_session=not has_more)
    return has_more


async def _make(settings: LinkSettings, topics: Sequence[str]) -> None:
    """Leave a session behind that has these topics, and hear nothing of it."""
    link = MqttLink(settings, _never)
    link.inbox.close()
    await link.start(topics)
    await link.stop()


async def _never(_batch: list[Message]) -> None:
    raise AssertionError("an inbox that is closed hands nothing over")


async def _quiet(link: MqttLink) -> bool:
    """Return when all that came was handled, and nothing has come for a while; True if anything had come."""
    quiet_s, has_come = 0.0, False
    while quiet_s < QUIET_S:
        await asyncio.sleep(QUIET_S / 10)
        has_come |= link.inbox.taken > 0
        quiet_s = quiet_s + QUIET_S / 10 if link.inbox.is_empty else 0.0
    return has_come
