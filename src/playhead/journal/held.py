"""Whether a segment is being written: its writer holds a lock on the file for as long as it is open."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def is_being_written(path: Path) -> bool:
    """Whether a live process holds the writer's lock of this segment file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)


@contextmanager
def locked(paths: Iterable[Path], *, wait: bool) -> Iterator[None]:
    """Hold the writers' locks of these segments: nobody writes them, and nobody else who asks here seals or removes
    them. Raises BlockingIOError when somebody else has one and we are not to wait; OSError when one is not there."""
    fds: list[int] = []
    try:
        for path in paths:
            fds.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))  # noqa: PERF401  those opened before one that is not there are closed
        for fd in fds:
            fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        for fd in fds:
            os.close(fd)
