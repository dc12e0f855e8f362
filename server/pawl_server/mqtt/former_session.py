"""Empties the one session that servers had before there were slices: what the broker holds there was acknowledged to devices.

Nothing is lost on the way. First the sessions of the slices are made, unheard, so that whatever is said from then on waits
there. Then the former session gets nothing new, is heard to its end, and is forgotten. What both had comes twice.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from pawl_server.mqtt.inbox import Handler, Message
from pawl_server.mqtt.link import LinkSettings, MqttLink

CLIENT_ID = "_ingest"
TOPICS = ("pawl/d/+/+/up/#",)
QUIET_S = 1.0


async def drain(
    settings: LinkSettings, slices: Sequence[tuple[str, Sequence[str]]], handler: Handler
) -> bool:
    """Hand what is left to the handler; `slices` are the new sessions: client id and topics. False if there was none."""
    link = MqttLink(replace(settings, client_id=CLIENT_ID), handler)
    await link.start()
    had_session = link.had_session
    try:
        if had_session:
            await asyncio.gather(
                *[_make(replace(settings, client_id=client_id), topics) for client_id, topics in slices]
            )
            link.unsubscribe(TOPICS)
            await _quiet(link)
    except BaseException:
        await link.stop()
        raise
    await link.stop(ends_session=True)
    return had_session


async def _make(settings: LinkSettings, topics: Sequence[str]) -> None:
    """Leave a session behind that has these topics, and hear nothing of it."""
    link = MqttLink(settings, _never)
    link.inbox.close()
    await link.start(topics)
    await link.stop()


async def _never(_batch: list[Message]) -> None:
    raise AssertionError("an inbox that is closed hands nothing over")


async def _quiet(link: MqttLink) -> None:
    """Return when all that came was handled, and nothing has come for a while."""
    quiet_s = 0.0
    while quiet_s < QUIET_S:
        await asyncio.sleep(QUIET_S / 10)
        quiet_s = quiet_s + QUIET_S / 10 if link.inbox.is_empty else 0.0
