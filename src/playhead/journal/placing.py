"""How sessions come to stand in their folder and go from it: under their names they are whole, or not there.

What is being made or cleared away has a name that begins with a point: `.<id>.tape.<pid>` a file, `.<id>.tape.d.<pid>` a
folder that is being made, `.<id>.tape.d.gone` one that is being cleared away. A process that is killed leaves it; `gc`
and `rm` clear it away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GONE = ".gone"


@contextmanager
def names_held(sessions: Path) -> Iterator[None]:
    """Nobody else who asks here gives or takes a name in this folder meanwhile: it is for a look and a rename. Where the
    file system has no locks for folders, it does nothing."""
    fd = os.open(sessions, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def beside(path: Path, *, wanted: Callable[[], bool] = lambda: True) -> Iterator[Path]:
    """A place for a file that takes `path` once the block has ended in order, synced; otherwise nothing is left. Raises
    FileNotFoundError when it is not `wanted` any more: what it was made of was deleted meanwhile. OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        with names_held(path.parent):
            if not wanted():
                raise FileNotFoundError(path)
            temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def making(folder: Path) -> Iterator[Path]:
    """A folder for the segments of a session that is made in one go, and is none before it is sealed. Raises OSError."""
    hidden = folder.with_name(f".{folder.name}.{os.getpid()}")
    hidden.mkdir(mode=0o700)
    try:
        yield hidden
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def clear_away(folder: Path) -> None:
    """Remove a folder so that it is there as a whole or not at all: a reader must not take half of it for a recording.
    Raises OSError."""
    gone = folder.with_name(f".{folder.name}{GONE}")
    shutil.rmtree(gone, ignore_errors=True)  # of a process that was killed here
    with contextlib.suppress(FileNotFoundError):
        folder.rename(gone)
        shutil.rmtree(gone)


def remove_hidden(path: Path) -> None:
    """Remove what a killed process left, file or folder. Raises OSError."""
    if path.is_dir():
        with contextlib.suppress(FileNotFoundError):  # another does so, too
            shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
