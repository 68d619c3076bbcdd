"""The folder that keeps compiled code between starts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch._inductor.runtime.cache_dir_utils import default_cache_dir

CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
_UNFINISHED = "unfinished."
"""Beginning of a file's name in the folder; the id of the process that compiles follows."""


def graph_cache() -> Path:
    """Return the folder: the variable's, or one of the user's.

    torch sets the variable itself, to a folder of /tmp, which a computer empties when it starts.
    """
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named and named != default_cache_dir() else own_cache()


def own_cache() -> Path:
    """Return the folder where the variable names none."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "vla_sae_ros" / "compiled"


@contextmanager
def compiling_into(folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Note that this process compiles; throw away what one left that ended while it did.

    A compiler that is killed leaves half a library, which torch would load at every later start.
    While another process compiles, nothing is thrown away: the mark stays for a later start. A
    folder that the user named is left as it is, and named.
    """
    marks = list(folder.glob(f"{_UNFINISHED}*"))
    broken_off = [mark for mark in marks if not _is_alive(mark)]
    if broken_off and len(broken_off) < len(marks):
        tell(
            f"a compilation was broken off, and another process compiles into {folder}: if this "
            "one fails, start it again when the other one is done"
        )
    elif broken_off and folder == own_cache():
        tell(f"a compilation was broken off: what it left in {folder} is thrown away")
        shutil.rmtree(folder)
    elif broken_off:
        tell(f"a compilation was broken off: delete {folder} if this one fails")
        for mark in broken_off:
            mark.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f"{_UNFINISHED}{os.getpid()}"
    mark.touch()
    yield
    # Not in a finally: what an error left may be half, too.
    mark.unlink(missing_ok=True)


def _is_alive(mark: Path) -> bool:
    number = mark.name.removeprefix(_UNFINISHED)
    return Path("/proc", number).exists() and number != str(os.getpid())
