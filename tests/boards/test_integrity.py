"""Nothing that nobody signed runs around the boot of a board; what must not run does run in a control beside it.

What an application sees is printed by one: paths, mounts, where its modules come from, whether a console can be read.
"""

import asyncio
import re

import pytest
from impostor import Impostor
from programs import GO_ON, image_of

from pawl_boards import maps

NAME = "bench-1"
# What first code and agent import: frozen, built in but looked for in folders first, built in alone.
FROZEN = ("_boot", "asyncio", "layout", "pawl")
BUILT_IN = ("binascii", "collections", "errno", "hashlib", "io", "os", "random", "select", "time")
ALONE = ("_asyncio", "_board", "deflate", "gc", "sys", "tls", "vfs")
STARTERS = ("boot", "socket")
NAMES = (*FROZEN, *BUILT_IN, *STARTERS)
PLANTED = "print('PLANTED {name}')\n"
TYPED = "\x03\x03\x04\x01\x02\r\nprint('PLANTED typed')\r\n\x05"
LOOK = """
import sys, vfs, asyncio, io, pawl
print('path', sys.path)
print('mounts', sorted(point for _, point in vfs.mount()))
print('files', pawl.__file__, __file__)
print('rom', hasattr(vfs, 'rom_ioctl'))
print('streams', [name for name in ('stdin', 'stdout', 'stderr') if hasattr(sys, name)])
"""
SEEN = [
    "path ['.frozen', '/app']",
    "mounts ['/app']",
    "files pawl/__init__.py /app/main.mpy",
    "rom False",
    "streams []",
]
# The control: what is beside an application is found once it puts its own folder first, and what is typed once it reads
# the UART itself.
CONTROL = """
import sys, uctypes
console = uctypes.bytearray_at({console}, 8)
sys.path[:] = ['/app']
for name in list(sys.modules):
    del sys.modules[name]
for name in {names}:
    __import__(name)
print('ready')
while True:
    if console[5] & 1:
        print('typed', console[0])
"""


def beside(main):
    """Return the files of an application with a module of its own for each name that boot and agent ask for."""
    files = {f"{name}.py": PLANTED.format(name=name) for name in (*NAMES, *ALONE)}
    files["pawl/__init__.py"] = files.pop("pawl.py")
    return files | {"main.py": main}


def planted(lines):
    """Return the names of the planted modules that ran."""
    return {line.split()[1] for line in lines if line.startswith("PLANTED")}


def alive(lines):
    """Return the numbers that an application counted."""
    return [int(line.split()[1]) for line in lines if re.fullmatch(r"alive \d+", line)]


async def goes_on(rig, name):
    """Wait until the application has counted on for a while."""
    await rig.printed(name, f"alive {len(alive(rig.lines(name))) + 5}$")


@pytest.mark.emulators("qemu")  # whose standard input is the console
def test_no_module_of_an_application_and_nothing_typed_runs(play, tmp_path):
    """Modules named like those of boot and agent are never asked for, over a whole check-in; the console takes no input."""

    async def walk(rig):
        board = await rig.add(NAME, rig.release(image_of(tmp_path, beside(LOOK + GO_ON)), 1))
        other = rig._bench.board("control")
        await rig.power_on()
        await Impostor.of(rig, NAME)  # it has connected, said hello and signed by now: everything is imported
        board.process.send(TYPED)
        await goes_on(rig, NAME)
        lines = rig.lines(NAME)
        assert [
            line for line in lines if line.split(" ")[0] in {"path", "mounts", "files", "rom", "streams"}
        ] == SEEN
        assert planted(lines) == set()
        assert alive(lines) == list(range(1, len(alive(lines)) + 1))
        assert not re.search(r">>>|KeyboardInterrupt|MicroPython|raw REPL", "\n".join(lines))
        assert len(rig.boots(NAME)) == 1
        board.power_off()
        await runs_in_the_control(rig, other, tmp_path)

    play(walk)


async def runs_in_the_control(rig, board, folder):
    """An application that asks for them finds the same modules, and reads what is typed."""
    main = CONTROL.format(console=maps.load(board.name).CONSOLE_ADDRESS, names=NAMES)
    flash = await rig.enroll("control", rig.release(image_of(folder, beside(main)), 1), maps.load(board.name))
    board.write_flash(flash.read_bytes())
    board.power_on()
    await asyncio.to_thread(board.console.wait_for, "ready")
    board.process.send(TYPED)
    await asyncio.to_thread(board.console.wait_for, f"typed {ord(TYPED[-1])}")
    lines = [line.text for line in board.console.lines]
    assert planted(lines) == set(NAMES)
    assert [line for line in lines if line.startswith("typed")] == [f"typed {ord(sign)}" for sign in TYPED]


@pytest.mark.emulators("qemu", "renode")  # the flash of a real board can't be written from here
def test_images_that_lie_about_are_never_mounted(play, tmp_path):
    """A ROMFS at the start of a region, in the other slot, behind all regions, or in the confirmed slot: not a byte of it runs."""

    async def walk(rig):
        layout = maps.load(rig._bench.kind)
        signed = image_of(tmp_path, {"main.py": "print('signed')" + GO_ON})
        lying = image_of(
            tmp_path, {"main.py": "print('PLANTED main')" + GO_ON, "boot.py": "print('PLANTED boot')"}
        )
        board = await rig.add(NAME, rig.release(signed, 1))
        content = board.read_flash()
        for region in ("staging", "image_b", "data_a", "data_b", "envelope_b", "page_b"):
            board.write_flash(lying, layout.REGIONS[region][0])
        board.write_flash(lying, max(start + size for start, size in layout.REGIONS.values()))
        board.power_on()
        await goes_on(rig, NAME)
        board.power_off()
        assert planted(rig.lines(NAME)) == set()
        assert rig.boots(NAME) == ["row 7 slot A"]

        await never_runs(rig, board, content, layout, lying)

        flash = await rig.enroll("control", rig.release(lying, 1), layout)
        board.write_flash(flash.read_bytes())
        board.power_on()
        await rig.printed(NAME, "^PLANTED main")

    play(walk)


async def never_runs(rig, board, content, layout, lying):
    """Boot with one byte of the confirmed image or its envelope changed, and with another image in its place."""
    places = {name: layout.REGIONS[name][0] for name in ("image_a", "envelope_a")}
    image, envelope = places["image_a"], places["envelope_a"]
    last = len(content[image : image + layout.REGIONS["image_a"][1]].rstrip(b"\xff")) - 1
    flips = [
        (place, bytes([content[place] ^ 1]))
        for place in (image, image + last // 2, image + last, envelope + 200)
    ]
    for place, changed in (*flips, (image, lying)):
        board.write_flash(content)
        board.write_flash(changed, place)
        since = len(rig.lines(NAME))
        board.power_on()
        await rig.printed(NAME, "state IDLE", since=since)
        board.power_off()
        lines = rig.lines(NAME)[since:]
        assert next(line for line in lines if line.startswith("pawl: boot")).endswith("slot -"), hex(place)
        assert not {"signed", "PLANTED main"} & set(lines), hex(place)
