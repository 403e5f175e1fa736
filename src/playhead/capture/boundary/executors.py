"""Executors of threads: an item has a lane, `/x<n>` of the one who submits it; its worker has none that counts.

Submissions to one executor are ordered, and so are the acquisitions of the lock inside each future: who cancels, starts,
finishes, waits or adds a callback first is what `concurrent.futures` makes of that. Which worker takes an item is left
open, and the item is told the name of the recorded one.

An item of a library is ordered like the agent's, and counted apart (`/y<n>`): frameworks run the agent's code that way.
"""

from __future__ import annotations

import threading
from sys import _getframe
from types import SimpleNamespace

from playhead.capture.boundary import active, locks
from playhead.capture.boundary.patches import Patches, asks_for_agent, known
from playhead.core.boundary import Diverged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from playhead.core.boundary import BoundaryTape, Lane

_RANK = "_playhead_rank"
_POOL = "_playhead_pool"


def install(patches: Patches, when_imported: Any) -> None:
    """Once `concurrent.futures` is imported: its items are on the tape."""
    when_imported("concurrent.futures._base", lambda module: _patch_futures(patches, module))
    when_imported("concurrent.futures.thread", lambda module: _patch_threads(patches, module))


class _Pool:
    """What an executor is to the tape. Items have the numbers of their submission: `open` are those that are not over,
    `futures` has the futures of those that have not run."""

    def __init__(self) -> None:
        self.lock = locks.Lock.made()
        self.open: set[int] = set()
        self.futures: dict[int, Any] = {}
        self.submitted = 0
        self.running = 0
        self.starting = 0  # workers that have not come to their initializer
        self.ready = 0  # workers that an item may find, or have one

    def has_free(self) -> bool:
        """Whether a worker will take the next item by itself."""
        return self.starting > 0 or self.running < self.ready

    def initializing(self, initializer: Callable[..., Any], tape: BoundaryTape) -> Callable[..., None]:
        """An initializer that is known to run."""

        def run(*args: Any) -> None:
            self.starting -= 1
            rests = tape.rests
            if rests is None or active.whole is not tape:
                initializer(*args)
                return
            started = rests.start()
            rests.begin(started)
            try:
                initializer(*args)
            finally:
                self.ready += 1
                rests.end(started)

        return run


class _Item:
    """The function of an item, and its lane. `lane` is None when it runs as a part of a boundary."""

    def __init__(self, function: Callable[..., Any], tape: BoundaryTape, lane: Lane | None, pool: _Pool) -> None:
        self.function = function
        self.tape = tape
        self.lane = lane
        self.pool = pool
        self.number = 0
        self.started: Any = None
        self._within = active.in_whose_course() if lane is None else None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def run(self, run: Callable[[], None], future: Any) -> None:
        """In the worker."""
        if self.lane is None:
            token, within = active.inside.set(True), active.within.set(self._within)
            try:
                run()
            finally:
                active.within.reset(within)
                active.inside.reset(token)
            return None
        if active.whole is not self.tape:
            return run()
        if not self.tape.foreseen((self.lane.path, 1)):
            self.over()
            return None  # the recorded one was cancelled, or its process ended, before a worker took it
        before = active.enter_thread(self.lane)
        rests = self.tape.rests
        if rests is not None:
            self.pool.running += 1
            rests.begin(self.started)
        self.pool.futures.pop(self.number, None)
        try:
            worker = threading.current_thread()
            worker._name = self.tape.value(self.lane, "worker", lambda: worker.name)  # type: ignore[attr-defined]  # noqa: SLF001
            run()
        except Diverged as error:
            _end(future, error)
        finally:
            active.enter_thread(before)
            self.over()

    def over(self) -> None:
        """It does nothing more."""
        self.pool.open.discard(self.number)
        if self.started is not None and not self.started.is_over:
            if self.started.ident:
                self.pool.running -= 1
            self.tape.rests.end(self.started)  # type: ignore[union-attr]


def _end(future: Any, error: Diverged) -> None:
    """The tape was left while the item ran: whoever waits for it is told so, past the tape."""
    token = active.inside.set(True)
    try:
        if not future.done():
            future.set_exception(error)
    finally:
        active.inside.reset(token)


def _patch_threads(patches: Patches, module: Any) -> None:
    real_item = module._WorkItem  # noqa: SLF001

    class WorkItem(real_item):  # type: ignore[misc, valid-type]
        __slots__ = ()

        def __init__(self, future: Any, fn: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(future, fn, *args, **kwargs)
            if type(fn) is _Item and fn.lane is not None:
                future._condition = threading.Condition(locks.RLock.made())  # noqa: SLF001
                future.__dict__[_RANK] = fn.lane.path
                fn.pool.futures[fn.number] = future

        def run(self) -> None:
            item = self.fn
            if type(item) is _Item:
                item.run(super().run, self.future)
            else:
                super().run()

    WorkItem.__name__ = WorkItem.__qualname__ = real_item.__name__
    WorkItem.__module__ = real_item.__module__
    patches.put(module, "_WorkItem", WorkItem)
    patches.wrap(module.ThreadPoolExecutor, "submit", _submit)
    patches.wrap(module.ThreadPoolExecutor, "shutdown", _shutdown)


def _pool_of(executor: Any) -> _Pool:
    """Made by the first who asks; two threads that do make one."""
    pool: _Pool | None = executor.__dict__.get(_POOL)
    return executor.__dict__.setdefault(_POOL, _Pool()) if pool is None else pool


def _submit(real: Callable[..., Any]) -> Any:
    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        tape = active.tape
        if tape is None:
            return real(self, fn, *args, **kwargs)
        pool = _pool_of(self)
        if active.inside.get():
            return real(self, _Item(fn, tape, None, pool), *args, **kwargs)
        lane = tape.lane(active.current().child_path("x" if asks_for_agent() else "y"))
        item = _Item(fn, tape, lane, pool)
        with pool.lock:
            pool.submitted += 1
            item.number = pool.submitted
            pool.open.add(item.number)
            if tape.rests is not None:
                item.started = tape.rests.start(pool.has_free)
            if self._initializer is None:
                pool.ready = self._max_workers
            elif pool.submitted == 1:
                self._idle_semaphore = _NEVER_IDLE  # how many run it must not depend on who was idle
                self._initializer = pool.initializing(self._initializer, tape)
            workers = len(self._threads)
            try:
                future = real(self, item, *args, **kwargs)
            except BaseException:
                item.over()
                raise
            if self._initializer is not None:
                pool.starting += len(self._threads) - workers
            return future

    return submit


def _shutdown(real: Callable[..., None]) -> Any:
    def shutdown(self: Any, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002  the real one's
        tape = active.tape
        if tape is None or active.inside.get() or _POOL not in self.__dict__:
            return real(self, wait, cancel_futures=cancel_futures)
        pool = _pool_of(self)
        with pool.lock:
            real(self, False)
            if cancel_futures:
                left = tape.value(active.current(), "cancelled", lambda: _drained(self))
                for number in left.split():
                    pool.open.discard(int(number))
                    future = pool.futures.pop(int(number), None)
                    if future is not None:
                        future.cancel()
        if wait:
            for thread in self._threads:
                _join(tape, pool, thread)
        return None

    return shutdown


def _drained(executor: Any) -> str:
    """Take the items that no worker has taken; their numbers."""
    numbers = []
    queue = executor._work_queue  # noqa: SLF001
    while not queue.empty():
        item = queue.get_nowait()
        if item is not None and type(item.fn) is _Item:
            numbers.append(str(item.fn.number))
    queue.put(None)
    return " ".join(numbers)


def _join(tape: BoundaryTape, pool: _Pool, thread: Any) -> None:
    if tape.rests is None:
        thread.join()
        return None

    def attempt(seconds: float) -> bool:
        thread.join(seconds)
        return not thread.is_alive()

    return tape.rests.wait(attempt, lambda: not pool.open)


class _NeverIdle:
    """In the place of the semaphore that counts idle workers."""

    def acquire(self, timeout: float | None = None) -> bool:  # noqa: ARG002  the real one's
        return False

    def release(self) -> None:
        """Nobody counts."""


_NEVER_IDLE = _NeverIdle()


def _patch_futures(patches: Patches, module: Any) -> None:
    locks.THROUGH.add(module.__file__)
    known[module.__file__] = None  # `map` submits for its caller
    patches.wrap(module.Future, "__hash__", _hash)
    patches.wrap(module._AcquireFutures, "__init__", _sorted)  # noqa: SLF001
    patches.wrap(module, "_create_and_install_waiters", _waiters)
    patches.wrap(module, "as_completed", _as_completed)
    patches.put(module, "time", SimpleNamespace(monotonic=_clock(module.time.monotonic)))


def _is_item(future: Any) -> bool:
    return _RANK in getattr(future, "__dict__", ())


def _hash(real: Callable[[Any], int]) -> Any:
    def hash_of(self: Any) -> int:
        rank = self.__dict__.get(_RANK)
        return real(self) if rank is None else hash(rank)  # sets of futures iterate alike

    return hash_of


def _sorted(real: Callable[..., None]) -> Any:
    def init(self: Any, futures: Any) -> None:
        futures = list(futures)
        real(self, futures)
        if any(map(_is_item, futures)):  # they are sorted by address: so that no two wait for each other
            self.futures = sorted(futures, key=lambda f: (0, f.__dict__[_RANK]) if _is_item(f) else (1, id(f)))

    return init


def _waiters(real: Callable[..., Any]) -> Any:
    def create(fs: Any, return_when: Any) -> Any:
        waiter = real(fs, return_when)
        if active.tape is not None and any(map(_is_item, fs)):
            # nothing has come in yet: the futures' locks are held
            waiter.event._cond = threading.Condition(locks.Lock.made())  # noqa: SLF001
            if hasattr(waiter, "lock"):
                waiter.lock = locks.Lock.made()
        return waiter

    return create


def _as_completed(real: Callable[..., Any]) -> Any:
    def as_completed(fs: Any, timeout: float | None = None) -> Iterator[Any]:
        yield from real(fs if timeout is None else list(fs), timeout)

    return as_completed


def _clock(real: Callable[[], float]) -> Callable[[], float]:
    """By which `as_completed` and `map` wait: a value when items are waited for."""

    def monotonic() -> float:
        tape = active.tape
        if tape is None or active.inside.get():
            return real()
        found = _getframe(1).f_locals
        fs = found.get("fs")
        if not (
            _POOL in getattr(found.get("self"), "__dict__", ())
            or (fs is not None and (not fs or any(map(_is_item, fs))))
        ):
            return real()
        return float(tape.value(active.current(), "wait clock", real))

    return monotonic
