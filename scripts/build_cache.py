"""Builds whose results lie in the user's cache, by content: an entry appears by one rename, when it is complete."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


class BuildError(Exception):
    """Something that the reader of the message can put right."""


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "pawl"
    if re.search(r"\s", str(folder)):
        raise BuildError(
            f"make can't build in a path with spaces ({folder}): set XDG_CACHE_HOME to another folder"
        )
    return folder


def cached(name, inputs, produce) -> Path:
    """Return the cache entry for these inputs; `produce(folder)` fills it if it is missing."""
    machine = [os.uname().sysname, os.uname().machine]
    digest = hashlib.sha256("\0".join([*inputs, *machine]).encode()).hexdigest()
    entry = cache_folder() / f"{name}-{digest[:16]}"
    if entry.is_dir():
        return entry
    with locked(entry):
        if not entry.is_dir():
            unfinished = Path(f"{entry}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            produce(unfinished)
            unfinished.rename(entry)
    return entry


@contextlib.contextmanager
def locked(entry):
    """Make a second call wait for the first one's result; the kernel drops the lock if its holder dies."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{entry}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def recipe_of(program) -> list:
    """Return what identifies how a program here builds: it and the modules that the programs share."""
    return [sha256_of(path) for path in (program, *sorted(Path(__file__).parent.glob("*.py")))]


def sha256_of(path) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run(command, *, cwd=None, timeout=None) -> str:
    """Run a command; its output is shown only if it fails."""
    ours = {"LC_ALL": "C", "MAKEFLAGS": "", "MFLAGS": "", "MAKELEVEL": ""}
    # Not the version of a repository that the cache may lie in, when the source itself is no checkout.
    ours["GIT_CEILING_DIRECTORIES"] = str(cache_folder())
    try:
        done = subprocess.run(
            [str(word) for word in command],
            check=False,
            cwd=cwd,
            env=os.environ | ours,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except FileNotFoundError:
        raise BuildError(f"`{command[0]}` isn't installed (make setup installs it)") from None
    except subprocess.TimeoutExpired:
        raise BuildError(f"`{command[0]}` took more than {timeout} s") from None
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-30:])
        raise BuildError(f"`{' '.join(map(str, command[:6]))} …` failed:\n{tail}")
    return done.stdout


def make(folder, build, *variables) -> None:
    jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # -Wno-error: a compiler newer than the source warns about more, and must still build it.
    always = [f"PYTHON={sys.executable}", f"BUILD={build}", "CFLAGS_EXTRA=-Wno-error"]
    run(["make", "-C", folder, f"-j{jobs}", *always, *variables])


def link(place, target) -> Path:
    """Point a path of the project at the target in one step, so that a reader never finds it missing."""
    if not (place.is_symlink() and place.readlink() == target):
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(f".{place.name}.{os.getpid()}")
        fresh.symlink_to(target)
        with contextlib.suppress(OSError):
            fresh.replace(place)
            return place
        fresh.unlink()
        raise BuildError(f"{place} is in the way: remove it")
    return place
