"""Applications for boards, made from text; and what is in a board's flash."""

from pawl.compat import sha256
from pawl.flash import MemoryFlash
from pawl.storage import Storage
from pawl_boards import maps
from pawl_tools import pack, toolchain

# It goes on for ever, and says that it lives.
GO_ON = """
import asyncio
async def main():
    count = 0
    while True:
        count += 1
        print('alive', count)
        await asyncio.sleep(0.2)
"""


def image_of(folder, files):
    """Return the ROMFS image of {name: text or bytes}; Python is compiled. `folder` is a scratch folder."""
    tree = folder / f"tree-{len(list(folder.glob('tree-*')))}"
    for name, content in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return pack.pack(tree, toolchain.find())


def held(board):
    """Return {region: digest of what it holds} of a board that is off, and of what is behind all regions."""
    layout, content = maps.load(board.name), board.read_flash()
    found = {name: sha256(content[start : start + size]) for name, (start, size) in layout.REGIONS.items()}
    end = max(start + size for start, size in layout.REGIONS.values())
    return found | {"behind all": sha256(content[end:])}


def changed(before, after):
    """Return the names of the regions that differ."""
    return {name for name in before if before[name] != after[name]}


def stored(board):
    """Return the Storage of a copy of what is in the flash of a board that is off."""
    layout = maps.load(board.name)
    flash = MemoryFlash(layout.FLASH_BYTES, layout.ERASE_BYTES, layout.PROGRAM_BYTES)
    flash.store[:] = board.read_flash()
    return Storage(flash, layout.REGIONS)
