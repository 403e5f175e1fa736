"""The group commit inside the agent, under `--durability fsync`: whoever waits for the device shares its syncs.

One sync at a time runs in a thread; whatever came meanwhile shares the next one. Before that, whoever the last sync let go is
given half the time that one took to be back, as databases do it (`commit_delay` of PostgreSQL): else a crowd falls apart
into two that wait for each other's syncs. The thread takes no lock of the recorder: a signal handler may have interrupted
one who holds it, and wait here. (`journal.commit` is the engine's, where one loop does everything.)
"""

from __future__ import annotations

import _thread
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _queue import SimpleQueue
    from collections.abc import Callable

    from playhead.journal.segment import SegmentWriter


class SharedSync:
    """What waits for the records of one segment to be on the device; records are counted by `writer.seq`. `failed` hears
    of the sync that failed: from then on nothing waits any more. All methods may be called from any thread."""

    def __init__(self, writer: SegmentWriter, failed: Callable[[OSError], None]) -> None:
        self._writer = writer
        self._failed = failed
        self._durable = 0
        self._is_over = False
        self._syncing = _thread.allocate_lock()
        self._starting = _thread.RLock()
        self._asked: SimpleQueue[Callable[[], None]] | None = None

    def wait(self, records: int) -> None:
        """Return once the first `records` records, which have been written, are on the device."""
        if records > self._durable and not self._is_over:
            done = _thread.allocate_lock()
            done.acquire()
            self._ask(done.release)
            done.acquire()

    def when(self, records: int, then: Callable[[], None]) -> bool:
        """Whether that is so now. If not, `then` is called in another thread once it is, in the order of these calls."""
        if records <= self._durable or self._is_over:
            return True
        self._ask(then)
        return False

    def close(self) -> None:
        """Nothing waits any more, once the sync has ended that may be under way."""
        self._is_over = True
        with self._syncing:
            pass

    def _ask(self, then: Callable[[], None]) -> None:
        if self._asked is None:
            with self._starting:
                if self._asked is None:
                    from _queue import SimpleQueue  # not the module `queue`, whose classes are the agent's

                    asked = self._asked = SimpleQueue()
                    _thread.start_new_thread(self._work, (asked,))
        self._asked.put(then)

    def _work(self, asked: SimpleQueue[Callable[[], None]]) -> None:
        from _queue import Empty

        crowd, took = 1, 0.0
        while True:
            due = [asked.get()]
            until = monotonic() + took / 2
            try:
                while not asked.empty() or len(due) < crowd:
                    due.append(asked.get(timeout=max(until - monotonic(), 0)))
            except Empty:
                pass
            began = monotonic()
            self._sync()
            crowd, took = max(len(due), crowd // 2), monotonic() - began
            for then in due:
                then()

    def _sync(self) -> None:
        with self._syncing:
            if self._is_over:
                return
            reached = self._writer.seq  # a sync promises only what was written before it began
            try:
                self._writer.sync()
            except OSError as error:
                self._is_over = True
                self._failed(error)
            else:
                self._durable = reached
