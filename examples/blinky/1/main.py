"""Blinky, version 1: the least that an application is, a coroutine called main."""

import asyncio

PERIOD_S = 1


async def main():
    """Blink for ever."""
    is_on = False
    while True:
        is_on = not is_on
        print("blinky 1:", "on" if is_on else "off")
        await asyncio.sleep(PERIOD_S)
