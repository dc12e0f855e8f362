"""MicroPython's source: `MICROPYTHON_DIR`, an upstream checkout, or Debian's source archives, pinned by SHA-256."""

import os
import re
import shutil
import tempfile
from pathlib import Path

from build_cache import BuildError, cached, run, sha256_of

SUITE = "trixie"
PINS = {
    "micropython_1.25.0+ds.orig.tar.xz": "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea",
    "mbedtls_3.6.6.orig.tar.bz2": "8fb65fae8dcae5840f793c0a334860a411f884cc537ea290ce1c52bb64ca007a",
}
UNPACK_AT = {"micropython": ".", "mbedtls": "lib/mbedtls"}
VERSION_MIN = (1, 25)
# What builds read of a checkout.
_PARTS = (
    *("py", "extmod", "shared", "mpy-cross", "ports/unix", "tools"),
    *("lib/mbedtls", "lib/mbedtls_errors", "lib/libm", "lib/libm_dbl", "lib/uzlib"),
)
FETCH_TIMEOUT_S = 600

HOW_TO_GET_IT = """\
No MicroPython source: {reason}

Get it yourself: MicroPython's release archive from its GitHub page, version 1.25 or later (the file
micropython-<version>.tar.xz has all submodules; a git clone needs `make -C ports/unix submodules`). Unpack it, then
    MICROPYTHON_DIR=<that folder> make setup"""


class NoSourceError(BuildError):
    """A source of MicroPython that can't be had here."""


# --- Debian's source archives -----------------------------------------------------------------------------------


def debian_mirrors() -> list:
    """Return (URI, keyring or None) of every entry of the machine's own apt sources that serves `main`."""
    apt = Path("/etc/apt")
    entries = []
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if path.suffix == ".sources":
            entries += mirrors_in_deb822(path.read_text())
        elif path.suffix == ".list" and path.is_file():
            entries += mirrors_in_one_line_format(path.read_text())
    return list(dict.fromkeys(entries))


def mirrors_in_one_line_format(text) -> list:
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb(?:-src)?\s+(?:\[(.*?)\]\s*)?(\S+)\s+(\S+)\s+([^#]*)", line)
        if match and serves_main(suites=[match[3]], components=match[4].split()):
            keyring = re.search(r"signed-by=(\S+)", match[1] or "", re.IGNORECASE)
            found.append((match[2], keyring[1] if keyring else None))
    return found


def mirrors_in_deb822(text) -> list:
    found = []
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", lines):
        fields = {
            name.lower(): value.split()
            for name, value in re.findall(r"^([\w-]+):((?:.*(?:\n[ \t].*)*))", stanza, re.MULTILINE)
        }
        if fields.get("enabled") == ["no"]:
            continue
        if serves_main(suites=fields.get("suites", []), components=fields.get("components", [])):
            keyring = fields.get("signed-by", [""])[0]
            found += [(uri, keyring if keyring.startswith("/") else None) for uri in fields.get("uris", [])]
    return found


def serves_main(*, suites, components) -> bool:
    return "main" in components and not all("security" in suite for suite in suites)


def fetch_archives(folder, mirror, keyring) -> None:
    """Download the pinned archives through an apt configuration of our own; the system's is only read."""
    private = {"sources": folder / "sources.list", "lists": folder / "lists", "cache": folder / "cache"}
    for name in ("lists", "cache"):
        (private[name] / ("partial" if name == "lists" else "archives/partial")).mkdir(parents=True)
    signed_by = f"[signed-by={keyring}] " if keyring else ""
    private["sources"].write_text(f"deb-src {signed_by}{mirror} {SUITE} main\n")
    settings = {
        "Dir::Etc::sourcelist": private["sources"],
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": private["lists"],
        "Dir::Cache": private["cache"],
        # apt would give the files to its own user, who can't enter a private folder.
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in settings.items())]
    run([*apt, "update"], cwd=folder, timeout=FETCH_TIMEOUT_S)
    names = [archive.split("_")[0] for archive in PINS]
    run([*apt, "source", "--download-only", *names], cwd=folder, timeout=FETCH_TIMEOUT_S)
    check_pins(folder)


def check_pins(folder) -> None:
    for archive, pin in PINS.items():
        if not (folder / archive).is_file():
            raise NoSourceError(f"the mirror's suite {SUITE} has no {archive} (any more)")
        if sha256_of(folder / archive) != pin:
            raise NoSourceError(f"{archive} isn't the pinned one")


def unpack_archives(archives, target) -> None:
    for archive in PINS:
        place = target / UNPACK_AT[archive.split("_")[0]]
        place.mkdir(parents=True, exist_ok=True)
        run(["tar", "-xf", archives / archive, "-C", place, "--strip-components=1", "--no-same-owner"])


def produce_source(entry) -> None:
    if not shutil.which("apt-get"):
        raise NoSourceError(
            "MICROPYTHON_DIR isn't set, and there is no apt here to get Debian's source packages with"
        )
    mirrors = debian_mirrors()
    reason = "this machine's apt sources name no mirror with a component `main`"
    for mirror, keyring in mirrors:
        with tempfile.TemporaryDirectory(prefix="pawl-") as folder:
            try:
                fetch_archives(Path(folder), mirror, keyring)
            except BuildError as error:
                reason = f"{mirror}: {error}"
                continue
            unpack_archives(Path(folder), entry / "src")
            return
    raise NoSourceError(reason)


# --- which source -----------------------------------------------------------------------------------------------


def users_source(folder) -> tuple:
    """Return the user's checkout and what identifies its state, after a look at whether it can be built."""
    source = Path(folder).expanduser().resolve()
    if not (source / "py" / "mpconfig.h").is_file():
        raise BuildError(f"MICROPYTHON_DIR={folder} is no MicroPython source tree")
    text = (source / "py" / "mpconfig.h").read_text()
    version = tuple(int(re.search(rf"MICROPY_VERSION_{part} (\d+)", text)[1]) for part in ("MAJOR", "MINOR"))
    if version < VERSION_MIN:
        raise BuildError(
            f"MICROPYTHON_DIR={folder} is {version[0]}.{version[1]}: Pawl needs 1.25 (ROMFS) or later"
        )
    if not (source / "lib" / "mbedtls" / "library").is_dir():
        raise BuildError(
            f"MICROPYTHON_DIR={folder} lacks lib/mbedtls: run `make -C {folder}/ports/unix submodules`"
        )
    return source, state_of(source)


def state_of(source) -> list:
    """Name, size and time of every file that a build reads: a change to any of them is another cache entry."""
    state = [str(source)]
    for part in _PARTS:
        for folder, subfolders, names in os.walk(source / part):
            subfolders[:] = [
                name for name in subfolders if not name.startswith(("build", ".", "__pycache__", "tests"))
            ]
            for name in names:
                path = f"{folder}/{name}"
                status = os.lstat(path)
                state.append(f"{path} {status.st_size} {status.st_mtime_ns}")
    return sorted(state)


def find_source() -> tuple:
    if folder := os.environ.get("MICROPYTHON_DIR"):
        return users_source(folder)
    identity = [f"{archive} {pin}" for archive, pin in PINS.items()]
    return cached("micropython-source", identity, produce_source) / "src", identity
