"""`pawl demo`: a fleet of five devices updates itself in two groups, then is attacked in nine ways.

Everything is real: mosquitto, TLS, SQLite, and MicroPython processes that boot from their flash. Succeeds only if every
device says, signed, that it runs version 2 booted and confirmed, and every attack ended as it must.
"""

import asyncio
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from pawl_server.mqtt.broker import BrokerError
from pawl_server.mqtt.link import LinkError
from pawl_tools import toolchain
from pawl_tools.demo.result import Result
from pawl_tools.demo.screen import JsonScreen, PlainScreen, Screen, rich_screen
from pawl_tools.demo.walk import Walk
from pawl_tools.errors import ToolError
from pawl_tools.site import Site


def run(*, as_json: bool, keep: bool) -> bool:
    """Run the demo in a scratch folder; return whether everything went as it must.

    With `keep`, server and devices go on running until interrupted.
    """
    screen: Screen = JsonScreen() if as_json else rich_screen() or PlainScreen()
    with tempfile.TemporaryDirectory(prefix="pawl-demo-") as folder:
        try:
            site = Site(Path(folder), toolchain.find(), int(time.time()))
            result = asyncio.run(_walk(Walk(site, screen), keep=keep))
        except (BrokerError, LinkError) as error:
            raise ToolError(str(error)) from None
        finally:
            screen.close()
    if as_json:
        print(json.dumps({"ok": result.is_good, **asdict(result)}, indent=2))
    return result.is_good


async def _walk(walk: Walk, *, keep: bool) -> Result:
    async with walk.fleet():
        result = await walk.run()
        if keep:
            walk.screen.say("demo", f"goes on running in {walk.site.folder}; end it with Ctrl-C")
            await asyncio.Event().wait()
    return result
