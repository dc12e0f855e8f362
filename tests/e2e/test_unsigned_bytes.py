"""No byte that nobody signed runs around the boot: every way in that MicroPython's unix port has, with its control.

A control starts the same firmware plainly, at the same files: there the planted ones run. So each test can fail.
"""

import os
import signal
import subprocess

import pytest
from unix_device import Bench, place

TIMEOUT_S = 10
# Reached by a plain start: what a board runs by itself, what the boot imports, and what the agent imports, early or late.
STARTERS = ("boot", "main")
BOOT = ("stage0", "pawl", "asyncio")
BUILT_IN = ("os", "io", "time", "json", "errno", "socket", "select", "struct", "hashlib", "random")
ABSENT = ("ssl",)
NAMES = (
    *STARTERS,
    *BOOT,
    *BUILT_IN,
    *ABSENT,
)  # what a plain start finds in a folder, before what is built in
UNREACHED = ("tls", "sys")  # built in, and never looked for in a folder
FROZEN = ("stage0", "asyncio")
CODE = "print('PLANTED', {name!r})\n"
TYPED = b"\x03\x03\r\nprint('PLANTED', 'stdin')\r\n"

# What a signed application sees; it goes on for long enough for the agent's first attempt to connect.
LOOK = """
import asyncio, sys, vfs
import pawl
print('path', sys.path)
print('mounts', sorted(point for _, point in vfs.mount()))
print('files', pawl.__file__, __file__)
print('rom', hasattr(vfs, 'rom_ioctl'))
"""
GO_ON = """
async def main():
    await asyncio.sleep(0.4)
    {end}
"""
PROBE = LOOK + GO_ON.format(end="sys.exit(0)")
SEEN = [
    "path ['.frozen', '/agent', '/app']",
    "mounts ['/', '/agent', '/app']",
    "files /agent/pawl/__init__.mpy /app/main.mpy",
    "rom False",
]


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def device(board):
    """A device that looks around, says what it sees, and ends."""
    return board.provision("probe", board.application(PROBE))


@pytest.fixture(scope="module")
def bytecode(board):
    """Return the planted modules compiled."""
    image = board.folder / "planted"
    found = {}
    for name in (*NAMES, *UNREACHED):
        place(image / f"{name}.py", CODE.format(name=name))
        compiler = [board.toolchain.mpy_cross, "-o", image / f"{name}.mpy", image / f"{name}.py"]
        subprocess.run(compiler, check=True)
        found[name] = (image / f"{name}.mpy").read_bytes()
    return found


def planted(output):
    """Return the names of the planted modules that ran."""
    return {line.split()[1] for line in output.splitlines() if line.startswith("PLANTED")}


def seen(output):
    """Return what the application saw."""
    return [line for line in output.splitlines() if line.split(" ")[0] in ("path", "mounts", "files", "rom")]


def launch(command, folder, environment=(), descriptors=()):
    """Start a command in a folder, which is its home too."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env={"PATH": os.defpath, "HOME": str(folder), **dict(environment)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=descriptors,
    )


def finish(process, stdin=b"", interrupt_at=None):
    """Type Ctrl-C when its output has come so far, then the rest; return (exit code, output)."""
    before = b""
    if interrupt_at:
        while interrupt_at not in before:
            read = process.stdout.readline()
            assert read, before
            before += read
        process.send_signal(signal.SIGINT)
    try:
        output, _ = process.communicate(stdin, timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return process.returncode, (before + output).decode()


def start(device, folder, environment=(), **typed):
    """Start a device once, by the launcher's own command, but where somebody else prepared folder and environment."""
    feed, watchdog = os.pipe()
    try:
        return finish(launch(device._command(watchdog), folder, environment, (watchdog,)), **typed)
    finally:
        os.close(feed)
        os.close(watchdog)


def plainly(board, folder, names=NAMES, environment=()):
    """Return which of the modules run when the firmware is started plainly, and asked for each."""
    code = "; ".join(f"import {name}" for name in names)
    code, output = finish(launch([board.toolchain.micropython, "-c", code], folder, environment))
    assert code == 0, output
    return planted(output)


def plant(folder, contents=None):
    """Put every module into a folder, `pawl` as a package; or compiled, from {name: bytecode}."""
    for name in (*NAMES, *UNREACHED):
        if contents is not None:
            place(folder / f"{name}.mpy", contents[name])
        else:
            place(folder / ("pawl/__init__.py" if name == "pawl" else f"{name}.py"), CODE.format(name=name))


def test_what_the_application_sees(device, tmp_path):
    """Frozen modules, then the agent, then the verified slot; nothing else is mounted, and no ROMFS mounts itself."""
    code, output = start(device, tmp_path)
    assert (code, seen(output)) == (0, SEEN)


@pytest.mark.parametrize("form", ["sources and a package", "bytecode"])
def test_nothing_of_the_working_folder_runs(board, device, bytecode, tmp_path, form):
    """Nor of the home folder, which is the same here: no boot.py, no main.py, no module, no `pawl`."""
    plant(tmp_path, bytecode if form == "bytecode" else None)
    assert plainly(board, tmp_path) == set(NAMES)
    code, output = start(device, tmp_path)
    assert (code, planted(output), seen(output)) == (0, set(), SEEN)


def test_nothing_of_the_home_folders_library_runs(board, device, tmp_path):
    """MicroPython looks in ~/.micropython/lib by itself."""
    plant(tmp_path / ".micropython" / "lib")
    found_there = set(NAMES) - set(FROZEN)
    assert plainly(board, tmp_path, found_there) == found_there
    code, output = start(device, tmp_path)
    assert (code, planted(output), seen(output)) == (0, set(), SEEN)


def test_nothing_on_micropypath_runs(board, device, tmp_path):
    """Nor what is first on it."""
    plant(tmp_path / "elsewhere")
    environment = {"MICROPYPATH": f"{tmp_path / 'elsewhere'}:.frozen"}
    assert plainly(board, tmp_path, environment=environment) == set(NAMES)
    code, output = start(device, tmp_path, environment=environment)
    assert (code, planted(output), seen(output)) == (0, set(), SEEN)


def test_nothing_beside_the_flash_runs(board):
    """The device's folder, with the launcher as it is."""
    device = board.provision("folder", board.application(PROBE))
    plant(device.folder)
    assert plainly(board, device.folder) == set(NAMES)
    output = "\n".join(board.power(device, lambda lines: len(seen("\n".join(lines))) >= 2 * len(SEEN)))
    assert (planted(output), seen(output)) == (set(), 2 * SEEN)


@pytest.mark.parametrize("form", ["package", "module"])
@pytest.mark.parametrize("component", ["app", "data"])
def test_no_image_shadows_the_agent(board, bytecode, tmp_path, component, form):
    """Signed, but in the agent's place: neither `pawl` nor what the agent imports, at its start or for a connection."""
    names = set(NAMES) - {"main"}
    files = {f"{name}.mpy": bytecode[name] for name in (*names, *UNREACHED)}
    if form == "package":
        files["pawl/__init__.mpy"] = files.pop("pawl.mpy")
    shadows = board.image(files | ({"main.mpy": b"never read"} if component == "data" else {}))
    (tmp_path / "image").write_bytes(shadows)
    mounted = (
        "import sys, vfs; vfs.mount(vfs.VfsRom(open('image', 'rb').read()), '/x'); sys.path[:] = ['/x']; "
    )
    control = mounted + "; ".join(f"import {name}" for name in names)
    assert planted(finish(launch([board.toolchain.micropython, "-c", control], tmp_path))[1]) == names
    application = board.image(files | {"main.py": PROBE}) if component == "app" else board.application(PROBE)
    name = f"shadow-{component}-{form}"
    device = board.provision(name, application, data=shadows if component == "data" else None)
    code, output = start(device, tmp_path)
    assert (code, planted(output)) == (0, set())
    assert seen(output)[0] == SEEN[0]
    assert "connection refused" in output


def test_data_is_not_on_the_path(board, tmp_path):
    """It is mounted and can be read; its modules are found only by an application that asks for them."""
    look = """
import sys
open('/data/extra.mpy').close()
try:
    import extra
except ImportError:
    print('not found')
sys.path.append('/data')
import extra
sys.exit(0)
"""
    data = board.image({"extra.py": CODE.format(name="extra")})
    device = board.provision("data", board.application(look), data=data)
    _, output = start(device, tmp_path)
    assert output.splitlines()[-2:] == ["not found", "PLANTED extra"]


SABOTAGE = """
import os
try:
    os.stat('was-here')
except OSError:
    open('was-here', 'w').close()
    for name in {names}:
        with open(name + '.py', 'w') as file:
            file.write('print("PLANTED", "%s")' % name)
    os.putenv('MICROPYPATH', '')
    sys.path[:] = ['']
    for name in list(sys.modules):
        sys.modules[name] = sys
    pawl.boot = pawl.bootloader = None
    print('sabotaged')
    sys.exit(75)
"""


def test_an_application_harms_itself_until_the_next_boot_only(board, tmp_path):
    """What it does to paths and modules ends with its process, and what it leaves in the working folder isn't looked at."""
    image = board.application(LOOK + SABOTAGE.format(names=NAMES) + GO_ON.format(end="sys.exit(0)"))
    device = board.provision("sabotage", image)
    code, output = start(device, tmp_path)
    assert (code, output.splitlines()[-1]) == (75, "sabotaged")
    assert plainly(board, tmp_path) == set(NAMES)
    code, output = start(device, tmp_path)
    assert (code, planted(output), seen(output)) == (0, set(), SEEN)
    assert "boot 2 row 7 slot A" in output


ENDINGS = {
    "exit": "sys.exit(0)",
    "crash": "raise ValueError('on purpose')",
    "agent ends": "raise asyncio.CancelledError",
    "prompt": "import os; os.putenv('MICROPYINSPECT', '1'); sys.exit(3)",
    "memory": "import os; os.putenv('MICROPYINSPECT', '1'); raise MemoryError",
}
CODES = {"exit": 0, "crash": 75, "agent ends": 1, "prompt": 3, "memory": 75}


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_prompt_after_the_end(board, tmp_path, ending):
    """Whatever ends the application or the agent ends the process: what comes in on stdin is never read."""
    plain = [board.toolchain.micropython]
    asked = {"MICROPYINSPECT": "1"}
    assert planted(finish(launch(plain, tmp_path), TYPED[4:])[1]) == {"stdin"}
    inspected = finish(launch([*plain, "-c", "raise SystemExit(3)"], tmp_path, asked), TYPED)[1]
    assert "PLANTED stdin" in inspected
    image = board.application(LOOK + GO_ON.format(end=ENDINGS[ending]))
    device = board.provision(f"ends-{ending.replace(' ', '-')}", image)
    code, output = start(device, tmp_path, asked, stdin=TYPED)
    assert "PLANTED" not in output
    assert ">>>" not in output
    assert code == CODES[ending]


def test_no_prompt_after_ctrl_c(board, tmp_path):
    """An interrupt ends the process, as any other end does; the launcher starts it again."""
    asked = {"MICROPYINSPECT": "1"}
    waiting = [board.toolchain.micropython, "-c", "import time; print('here'); time.sleep(20)"]
    control = finish(launch(waiting, tmp_path, asked), TYPED, b"here")[1]
    assert "PLANTED stdin" in control
    device = board.provision("ctrl-c", board.application(LOOK + GO_ON.format(end="await asyncio.sleep(20)")))
    code, output = start(device, tmp_path, asked, stdin=TYPED, interrupt_at=b"rom False")
    assert code == 1
    assert "KeyboardInterrupt" in output
    assert "PLANTED" not in output


def test_the_launcher_gives_no_prompt(device):
    """Its command has no -i, nor anything but what is frozen to begin with."""
    command = device._command(3)
    assert command[1:4] == ["-X", f"heapsize={device.heap}", "-c"]
    assert len(command) == 5
    assert command[4].startswith("import sys; sys.path[:] = ['.frozen']; import stage0; stage0.main(")
