"""Syncs that block nobody: the group commit of `--durability fsync`, and the sync in the background of `write`.

Group commit: records are written as they come. What may only happen once they are on the device waits here in order;
one sync at a time runs in a thread, and whatever came meanwhile shares the next one. (The idea is that of database
logs: DeWitt et al., "Implementation techniques for main memory database systems", SIGMOD 1984.)
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from playhead.core.tape import Bound, Rest

EVERY_S = 1.0


class GroupCommit:
    """What waits for one file to be durable. `resume` takes a callback from our thread to the caller's loop
    (`loop.call_soon_threadsafe`); all else is called on that loop only. `failed` hears of the sync that failed: from
    then on nothing waits any more."""

    def __init__(
        self,
        sync: Callable[[], None],
        resume: Callable[[Callable[[], None]], object],
        failed: Callable[[OSError], None],
    ) -> None:
        self._sync, self._resume, self._failed = sync, resume, failed
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._durable = 0  # bytes of the file known to be on the device
        self._under_way = self._over = False
        self._asked: SimpleQueue[int | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def when_durable(self, written: int, then: Callable[[], None]) -> None:
        """Call `then` once the first `written` bytes of the file, which have been written, are on the device: now if
        they are, else later, always in the order of these calls."""
        if not self._waiting and (written <= self._durable or self._over):
            then()
            return
        self._waiting.append((written, then))
        if not self._under_way:
            self._under_way = True
            self._resume(self._begin)  # behind what the loop does now: halves the syncs of a crowd

    def close(self) -> None:
        """End the thread (after the sync it may be in). The file is the caller's to sync; then call `release`."""
        self._over = True
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join()
            self._thread = None

    def release(self) -> None:
        """Nothing waits any more, for better or worse."""
        self._over = True
        while self._waiting:
            self._waiting.popleft()[1]()

    def _begin(self) -> None:
        if self._over:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="playhead-sync", daemon=True)
            self._thread.start()
        self._under_way = True
        self._asked.put(self._waiting[-1][0])

    def _work(self) -> None:
        while (written := self._asked.get()) is not None:
            error = None
            try:
                self._sync()
            except OSError as problem:
                error = problem
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it all who wait
                self._resume(partial(self._synced, written, error))

    def _synced(self, written: int, error: OSError | None) -> None:
        if self._over:
            return
        self._under_way = False
        if error is not None:
            self._failed(error)
            self.release()
            return
        self._durable = written
        while self._waiting and self._waiting[0][0] <= written:
            self._waiting.popleft()[1]()
        if self._waiting and not self._under_way:
            self._begin()  # behind those just let go: what they write at once shares this sync


class BackgroundSync:
    """A thread that syncs files once a second while they grow, whoever writes them; nobody waits for it."""

    def __init__(
        self,
        paths: Iterable[Path],
        resume: Callable[[Callable[[], None]], object],
        failed: Callable[[OSError], None],
        *,
        sync: Callable[[int], None] = os.fdatasync,
        every_s: float = EVERY_S,
    ) -> None:
        """Raises OSError when a file is not there."""
        self._resume, self._failed, self._sync, self._every_s = resume, failed, sync, every_s
        self._files: dict[int, int] = {}  # descriptor -> size when it was last synced
        for path in paths:
            self._files[os.open(path, os.O_RDONLY | os.O_CLOEXEC)] = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="playhead-background-sync", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, after the sync it may be in."""
        self._stop.set()
        self._thread.join()
        while self._files:
            os.close(self._files.popitem()[0])

    def _work(self) -> None:
        while not self._stop.wait(self._every_s):
            for fd, synced in self._files.items():
                try:
                    size = os.fstat(fd).st_size
                    if size != synced:
                        self._sync(fd)
                        self._files[fd] = size
                except OSError as error:
                    with contextlib.suppress(RuntimeError):
                        self._resume(partial(self._failed, error))
                    return


class Waiting(Protocol):
    """Whom deliveries wait for: a segment writer."""

    @property
    def settled(self) -> bool:
        """Whether nothing waits."""

    def when_durable(self, then: Callable[[], None]) -> None:
        """Call `then` once all that was written is durable, in order."""


class RestBehindCommit:
    """Rest as a gate may believe it when deliveries wait: a client that has not been given an answer yet is at rest,
    and says nothing about having seen it."""

    def __init__(self, rest: Rest, writer: Waiting) -> None:
        self._rest, self._writer = rest, writer

    def resting(self, ports: Iterable[int]) -> bool:
        return self._writer.settled and self._rest.resting(ports)

    def when_resting(self, ports: Iterable[int], then: Callable[[bool], None], bound: Bound) -> Callable[[], None]:
        cancels: list[Callable[[], None]] = []
        cancelled = False

        def look() -> None:
            if not cancelled:
                cancels.append(self._rest.when_resting(ports, then, bound))

        def cancel() -> None:
            nonlocal cancelled
            cancelled = True
            for each in cancels:
                each()

        self._writer.when_durable(look)
        return cancel
