"""The group commit inside the agent, under `--durability fsync`: whoever waits for the device shares its writes and syncs.

What is appended is held in memory until somebody needs it. A thread that finds nobody else waiting writes and syncs by
itself. Of a crowd one thread of ours does it for all, one sync at a time: whatever came meanwhile shares the next one. A
crowd would fall apart into several that wait for each other's syncs, so each sync begins as late as can be:

- Threads that the last one let go are given half the time that it took to be back, as databases do it (`commit_delay` of
  PostgreSQL).
- What event loops ask for waits until a loop comes to rest, or PATIENCE_S: before that it would not run what is let go. So
  it does when a loop that rested has been woken.

(`journal.commit` is the engine's, where one loop does everything.)
"""

from __future__ import annotations

from _thread import RLock, allocate_lock, start_new_thread
from collections import deque
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _queue import SimpleQueue
    from collections.abc import Callable
    from typing import Any

    from playhead.core.boundary import Then
    from playhead.journal.segment import SegmentWriter

PATIENCE_S = 0.005
"""How long a loop that does not come to rest may go on before what it asked for is synced."""

_NEVER = 1 << 60


class SharedSync:
    """What waits for the records of one segment to be on the device; records are counted by `writer.seq`, and appended
    under `mutex`, an RLock. `failed` hears of the write or sync that failed: from then on nothing waits any more. All
    methods may be called from any thread, also by a signal handler in one that holds the mutex: it waits for nobody."""

    def __init__(self, writer: SegmentWriter, mutex: Any, failed: Callable[[OSError], None]) -> None:
        self._writer = writer
        self._mutex = mutex
        self._failed = failed
        self._durable = 0
        self._is_over = False
        self._syncing: Any = RLock()
        self._starting = RLock()
        self._crowd = 1  # of threads that shared a sync of late
        self._asked: deque[Then] = deque()
        self._since = 0.0  # when the first of them did, or the last sync ended
        self._is_due = False  # a thread waits for the next sync
        self._is_at_rest = False  # so does a loop, and has nothing else to do
        self._enough = 1  # in `_asked` for our thread to be told
        self._bell: SimpleQueue[None] | None = None

    def wait(self, records: int) -> None:
        """Return once the first `records` records are on the device."""
        if records <= self._durable or self._is_over:
            return
        if self._mutex._is_owned():  # noqa: SLF001  as `threading.Condition` asks it
            self._sync()
        elif self._crowd <= 1 and self._syncing.acquire(blocking=False):
            try:
                self._sync()
            finally:
                self._syncing.release()
        elif self._syncing._is_owned():  # noqa: SLF001
            self._sync()
        else:
            done = allocate_lock()
            done.acquire()
            self._asked.append(done.release)
            self._is_due = True
            if len(self._asked) >= self._enough:
                self._ring()
            done.acquire()

    def when(self, records: int, then: Then) -> bool:
        """Whether that is so now. If not, `then` is called in another thread once it is, in the order of these calls; and
        what it returned, once all have been called that share a sync. The sync comes after `rest`."""
        if records <= self._durable or self._is_over:
            return True
        if not self._asked:
            self._since = monotonic()
        self._asked.append(then)
        if self._is_over:  # meanwhile
            self.rest()
        return False

    def rest(self, *, is_at_rest: bool = True) -> None:
        """A loop runs nothing more before something comes; or only says that it is still there."""
        if self._asked and (is_at_rest or monotonic() - self._since > PATIENCE_S):
            self._is_at_rest = True
            self._ring()

    def close(self) -> None:
        """Nothing waits any more, once the sync has ended that may be under way."""
        self._is_over = True
        if not self._mutex._is_owned():  # noqa: SLF001  else that sync may be waiting for us
            with self._syncing:
                pass
        self.rest()

    def _ring(self) -> None:
        self._enough = _NEVER
        if self._bell is None:
            with self._starting:
                if self._bell is None:
                    from _queue import SimpleQueue  # not the module `queue`, whose classes are the agent's

                    self._bell = SimpleQueue()
                    start_new_thread(self._work, (self._bell,))
        self._bell.put(None)

    def _work(self, bell: SimpleQueue[None]) -> None:
        took = 0.0
        while True:
            self._await(bell, took)
            with self._syncing:
                self._is_due = self._is_at_rest = False
                count = len(self._asked)
                if not count:
                    continue
                began = monotonic()
                self._sync()
                self._since = monotonic()
                took = self._since - began
            self._crowd = max(count, self._crowd // 2)
            self._let_go(count)

    def _await(self, bell: SimpleQueue[None], took: float) -> None:
        """Until somebody waits for a sync, and a crowd has had the time to come together."""
        from _queue import Empty

        while not self._is_due and not self._is_at_rest:
            self._enough = 1  # before looking: whoever comes behind that rings
            if self._is_due or self._is_at_rest:
                break
            try:
                bell.get(timeout=PATIENCE_S if self._asked else None)
            except Empty:
                break
        until = monotonic() + took / 2
        while not self._is_at_rest:
            self._enough = self._crowd
            if len(self._asked) >= self._crowd:
                break
            try:
                bell.get(timeout=max(until - monotonic(), 0))
            except Empty:
                break
        self._enough = _NEVER

    def _let_go(self, count: int) -> None:
        was_at_rest, self._is_at_rest = self._is_at_rest, False
        finish: dict[Callable[[], object], None] = {}
        for _ in range(count):
            last = self._asked.popleft()()
            if last is not None:
                finish[last] = None
        if was_at_rest and not finish:
            self._is_at_rest = True  # nobody is woken, who would come to rest again
        for last in finish:  # whoever is woken takes the interpreter from us
            last()

    def _sync(self) -> None:
        """Nobody who waits is told by this."""
        if self._is_over:
            return
        try:
            with self._mutex:
                reached = self._writer.seq
                self._writer.settle()
            self._writer.sync()  # it promises only what was written before it began
        except OSError as error:
            if not self._is_over:
                self._is_over = True
                self._failed(error)
        else:
            self._durable = max(reached, self._durable)
