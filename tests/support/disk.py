"""A disk that can be cut from its power, fills up and breaks: what a segment writer takes for the operating system.

It keeps for each file what the page cache holds and what the device holds. `sync` brings the one to the other; a power
cut leaves what is on the device and, of what is not, whatever it likes: sectors in any order, a torn last write, zeros
in between, a file without a name.
"""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

SECTOR = 512


@dataclass
class File:
    """One file: its bytes as readers see them, how many are on the device, and whether its name is."""

    data: bytearray = field(default_factory=bytearray)
    durable: int = 0
    named: bool = False

    def after_power_cut(self, dice: random.Random) -> bytes | None:
        """What is found on the device; None when the file has no name there. The length may be any since the last
        sync; each sector of the rest may have been written or not, and the last one in part."""
        if not self.named and dice.random() < 0.5:
            return None
        length = dice.randint(self.durable, len(self.data))
        found = bytearray(self.data[:length])
        for at in range(self.durable, length, SECTOR):
            if dice.random() < 0.4:
                end = min(at + SECTOR, length)
                torn = dice.randint(at, end) if dice.random() < 0.5 else at
                found[torn:end] = bytes(end - torn)
        return bytes(found)


class Disk:
    """`playhead.journal.disk.Disk` in memory. `fails(call, nth, errno)` makes the nth call of a kind fail, and every
    later one of it with `for_good`; `room` limits the bytes of all files. `before_sync` runs in the syncing thread."""

    def __init__(self, room: int | None = None) -> None:
        self.files: dict[str, File] = {}
        self.open: dict[int, File] = {}
        self.calls: dict[str, int] = {}
        self.room = room
        self.before_sync: Callable[[], None] = lambda: None
        self._failing: dict[str, tuple[int, int, bool]] = {}
        self._lock = threading.Lock()

    def fails(self, call: str, nth: int, number: int, *, for_good: bool = True) -> None:
        """Make the nth call (from 1, counted from now) of `create`, `write`, `sync`, `sync_folder` or `truncate` fail."""
        self._failing[call] = (self.calls.get(call, 0) + nth, number, for_good)

    def _call(self, name: str) -> None:
        with self._lock:
            count = self.calls[name] = self.calls.get(name, 0) + 1
        nth, number, for_good = self._failing.get(name, (0, 0, False))
        if nth and (count == nth or (for_good and count > nth)):
            raise OSError(number, os.strerror(number))

    def create(self, path: Path | str) -> int:
        self._call("create")
        if str(path) in self.files:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        file = self.files[str(path)] = File()
        fd = 1000 + len(self.files)
        self.open[fd] = file
        return fd

    def write(self, fd: int, data: bytes) -> int:
        self._call("write")
        taken = len(data)
        if self.room is not None:
            taken = min(taken, self.room - sum(len(f.data) for f in self.files.values()))
            if taken <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.open[fd].data += data[:taken]
        return taken

    def sync(self, fd: int) -> None:
        file = self.open[fd]
        reached = len(file.data)  # a sync promises only what was written before it began
        self.before_sync()
        self._call("sync")
        file.durable = max(file.durable, min(reached, len(file.data)))

    def sync_folder(self, path: Path) -> None:
        self._call("sync_folder")
        for name, file in self.files.items():
            if Path(name).parent == path:
                file.named = True

    def truncate(self, fd: int, size: int) -> None:
        self._call("truncate")
        file = self.open[fd]
        del file.data[size:]
        file.durable = min(file.durable, size)

    def close(self, fd: int) -> None:
        del self.open[fd]

    def power_cut(self, dice: random.Random) -> dict[str, bytes]:
        """What is found of each file when the machine is on again. May be asked again and again, at any moment."""
        found = {name: file.after_power_cut(dice) for name, file in self.files.items()}
        return {name: data for name, data in found.items() if data is not None}
