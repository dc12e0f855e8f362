"""A folder that is made whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pawl_tools.errors import ToolError


@contextmanager
def new_folder(folder: Path, why_once: str) -> Iterator[Path]:
    """Give a folder beside the one wanted, which takes its place when it is complete; ToolError if it can't."""
    # A rename would replace a folder that is there and empty.
    if folder.exists():
        raise ToolError(f"{folder} exists: {why_once}, choose another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise ToolError(f"cannot make {folder}: {error.strerror}") from None
    try:
        yield partial
        partial.rename(folder)
    except OSError as error:
        raise ToolError(f"cannot write {folder}: {error.strerror}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
