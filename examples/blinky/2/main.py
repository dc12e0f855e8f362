"""Blinky, version 2: the least that an application is, a coroutine called main."""

import asyncio

PERIOD_S = 2


async def main():
    """Blink for ever."""
    is_on = False
    while True:
        is_on = not is_on
        print("blinky 2:", "on" if is_on else "off")
        await asyncio.sleep(PERIOD_S)
