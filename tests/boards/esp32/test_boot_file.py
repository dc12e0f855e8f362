"""What the firmware is made of: the frozen first file, run with stand-ins of MicroPython's modules, and the manifest."""

import builtins
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
BOARD = ROOT / "boards" / "esp32"


class Reset(BaseException):
    """The chip is reset: nothing that follows runs."""


def modules(agent, events):
    """Return stand-ins for the modules that only the chip has."""

    def reset():
        events.append("reset")
        raise Reset

    def umount(path):
        events.append(f"umount {path}")
        raise OSError(22)

    def sleep(seconds):
        events.append(f"sleep {seconds}")

    def print_exception(error):
        events.append(f"print {type(error).__name__}")

    made = {name: ModuleType(name) for name in ("machine", "time", "vfs", "layout", "sys")}
    made["machine"].WDT = lambda timeout: events.append(f"watchdog {timeout}")
    made["machine"].reset = reset
    made["time"].sleep = sleep
    made["vfs"].umount = umount
    made["layout"].WATCHDOG_MS = 30000
    made["sys"].path = ["", ".frozen", "/rom", "/rom/lib", "/lib"]
    made["sys"].modules = {}
    made["sys"].print_exception = print_exception
    main = ModuleType("main")
    main.run = agent
    made["pawl.ports.esp32"] = ModuleType("pawl.ports.esp32")
    made["pawl.ports.esp32"].main = main
    return made


def boot(agent):
    """Run `_boot.py`; return what happened, and the path that it left."""
    events = []
    made = modules(agent, events)

    def importer(name, *rest):
        return made[name] if name in made else builtins.__import__(name, *rest)

    names = {"__builtins__": {**vars(builtins), "__import__": importer}}
    with pytest.raises(Reset):
        exec(compile((BOARD / "_boot.py").read_text(), "_boot.py", "exec"), names)
    return events, made["sys"]


@pytest.mark.parametrize("fault", [OSError(5), SystemExit(), KeyboardInterrupt(), MemoryError(), None])
def test_whatever_ends_the_agent_resets_the_chip(fault):
    """Also a way out that isn't an error: what MicroPython goes on with has a prompt."""

    def agent(watchdog, layout):
        if fault is not None:
            raise fault

    events, _ = boot(agent)
    assert events[0] == "watchdog 30000"
    assert events[-1] == "reset"
    assert (f"print {type(fault).__name__}" in events) == (fault is not None)


def test_nothing_but_frozen_modules_is_importable():
    """When the agent starts, the path holds them alone, /rom is gone, and what is imported late is loaded."""
    seen = []

    def agent(watchdog, layout):
        seen.append("started")

    events, system = boot(agent)
    assert seen == ["started"]
    assert system.path == [".frozen"]
    assert "umount /rom" in events
    assert {"errno", "io", "socket"} <= set(system.modules)


def frozen():
    """Return the names that the manifest freezes, as MicroPython's own tool sees them."""
    tools = ROOT / "build" / "micropython" / "src" / "tools"
    sys.path.insert(0, str(tools))
    try:
        import manifestfile  # noqa: PLC0415 (MicroPython's)
    finally:
        sys.path.remove(str(tools))
    variables = {"MPY_DIR": str(tools.parent), "MPY_LIB_DIR": str(tools / "none")}
    manifest = manifestfile.ManifestFile(manifestfile.MODE_FREEZE, variables)
    manifest.execute(str(BOARD / "manifest.py"))
    return {file.target_path: Path(file.full_path).resolve() for file in manifest.files()}


def test_what_is_frozen():
    """The first file is ours; the agent is whole; no other port, and none of MicroPython's own scripts."""
    names = frozen()
    assert names["_boot.py"] == BOARD / "_boot.py"
    assert "layout.py" in names
    assert not {"flashbdev.py", "inisetup.py", "boot.py", "main.py"} & set(names)
    agent = {
        path.relative_to(ROOT / "device").as_posix()
        for path in (ROOT / "device" / "pawl").rglob("*.py")
        if "ports" not in path.parts or path.parent.name in {"ports", "esp32"}
    }
    assert {name for name in names if name.startswith("pawl/")} == agent
