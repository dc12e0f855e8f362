"""Applications for boards, each with as much beside its code as a test needs."""

import hashlib

from pawl_tools import pack

STEADY = "print('application {version} runs')\n"
CRASHES_AT_IMPORT = "raise ValueError('at import')\n"
CRASHES = "async def main():\n    raise ValueError('in main')\n"
RETURNS = "async def main():\n    pass\n"
HANGS = "async def main():\n    while True:\n        pass\n"
# Says how long it runs, so that a console tells how much of the board's own time lay between its lines.
TICKS = """
import asyncio, time

async def main():
    while True:
        print("uptime", time.ticks_ms() // 1000)
        await asyncio.sleep(5)
"""


class Workshop:
    """Packs applications in a folder of its own; the same arguments give the same image."""

    def __init__(self, folder, programs):
        self._folder = folder
        self._programs = programs
        self._count = 0

    def image(self, main, *, asset_bytes=0, seed=0):
        """Return the image of this `main.py`, with so many bytes that no other seed has."""
        self._count += 1
        folder = self._folder / f"application-{self._count}"
        folder.mkdir(parents=True)
        (folder / "main.py").write_text(main)
        pages = [hashlib.sha256(f"{seed}.{at}".encode()).digest() for at in range(asset_bytes // 32)]
        (folder / "assets").write_bytes(b"".join(pages))
        return pack.pack_application(folder, self._programs)

    def steady(self, version, asset_bytes=0):
        """Return the image of an application that is well."""
        return self.image(STEADY.format(version=version), asset_bytes=asset_bytes, seed=version)
