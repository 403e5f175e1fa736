"""The group commit inside the agent, under `--durability fsync`: threads that wait for the device share its syncs.

Who finds no sync under way makes one, for all that has been written by then; who comes meanwhile waits, and then one of
them makes the next. No other thread is needed, and no lock that a signal handler's thread could hold. Event loops, which
must not wait, have it done by a thread. (`journal.commit` is the engine's, where one loop does everything.)
"""

from __future__ import annotations

import _thread

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
        self._syncing = _thread.RLock()  # a signal handler may wait in the thread that syncs
        self._durable = 0
        self._is_over = False
        self._later: SimpleQueue[tuple[int, Callable[[], None]]] | None = None

    def wait(self, records: int) -> None:
        """Return once the first `records` records, which have been written, are on the device."""
        if records <= self._durable:
            return
        with self._syncing:
            if records <= self._durable or self._is_over:
                return
            reached = self._writer.seq  # a sync promises only what was written before it began
            try:
                self._writer.sync()
            except OSError as error:
                self._is_over = True
                self._failed(error)
            else:
                self._durable = reached

    def when(self, records: int, then: Callable[[], None]) -> bool:
        """Whether that is so now. If not, `then` is called in another thread once it is, in the order of these calls."""
        if records <= self._durable or self._is_over:
            return True
        if self._later is None:
            from _queue import SimpleQueue  # not the module `queue`, whose classes are the agent's

            self._later = SimpleQueue()
            _thread.start_new_thread(self._work, (self._later,))
        self._later.put((records, then))
        return False

    def close(self) -> None:
        """Nothing waits any more, after the sync that may be under way."""
        with self._syncing:
            self._is_over = True

    def _work(self, later: SimpleQueue[tuple[int, Callable[[], None]]]) -> None:
        while True:
            due = [later.get()]
            while not later.empty():
                due.append(later.get())
            self.wait(due[-1][0])
            for _, then in due:
                then()
