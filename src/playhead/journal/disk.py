"""What a segment writer needs of the operating system, as a port: tests put a disk behind it that forgets, tears and
fills up."""

from __future__ import annotations

import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Protocol
else:
    Protocol = object


class Disk(Protocol):
    """Files by descriptor, as POSIX has them. Every call may raise OSError."""

    def create(self, path: Path | str) -> int:
        """A new file (mode 0600) that only grows, locked for as long as it is open. FileExistsError if it is there."""

    def write(self, fd: int, data: bytes, /) -> int:
        """Append; returns how many bytes were taken, which may be fewer."""

    def sync(self, fd: int, /) -> None:
        """Return once all bytes written before are on the device."""

    def sync_folder(self, path: Path) -> None:
        """Return once the names in this folder are on the device."""

    def truncate(self, fd: int, size: int, /) -> None:
        """Cut the file."""

    def close(self, fd: int, /) -> None:
        """Give the descriptor back, and the lock with it."""


class SystemDisk:
    """The real one. The calls of every record are the system's own, with nothing in between."""

    write = staticmethod(os.write)
    sync = staticmethod(os.fdatasync)
    truncate = staticmethod(os.ftruncate)
    close = staticmethod(os.close)

    def create(self, path: Path | str) -> int:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fd

    def sync_folder(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


SYSTEM = SystemDisk()
