"""Which threads of the agent run in a replay, and which cannot go on until another one does.

The player lets one recorded act happen at a time, and only once every thread has come to rest: what a thread did after
its last act it has then done, as it had when the act was recorded. A thread rests while it waits for its turn, for
another thread, for a notification or for a lock. When all rest and none of them can move, nothing will ever happen again:
that is known at once, without a time-out.

A thread that runs on for long (native code, or blocked in a way that is not seen here) is left out until it rests.
Threads of libraries that run no code of the agent are counted only: while there are some, nobody can say that nothing will
happen.
"""

from __future__ import annotations

from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LOOK_S = 0.2
"""How often one who waits for something that is not on the tape looks whether the tape was left."""


def _yes() -> bool:
    return True


class Started:
    """A thread, or an item of an executor, of which Rests has been told. `can_start` says whether it will run by itself
    while it has not begun."""

    __slots__ = ("can_start", "ident", "is_daemon", "is_known", "is_over")

    def __init__(self, can_start: Callable[[], bool] | None, *, is_daemon: bool, is_known: bool) -> None:
        self.can_start = can_start or _yes
        self.is_daemon = is_daemon
        self.is_known = is_known
        self.is_over = False
        self.ident = 0


class Rests:
    """The threads of one process. `mutex` is the player's; `moved` is called with it held when one has come to rest or
    ended, `left` raises Diverged once the tape was left, `watch` is called when a second thread starts, `waits` by a thread that is
    about to wait for another."""

    def __init__(
        self,
        mutex: Any,
        moved: Callable[[], None],
        left: Callable[[], None],
        watch: Callable[[], None],
        waits: Callable[[], None],
    ) -> None:
        self._mutex = mutex
        self._moved = moved
        self._left = left
        self._watch = watch
        self._waits = waits
        self._coming: set[Started] = set()
        self._live: dict[int, Started | None] = {get_ident(): None}
        self._resting: dict[int, Callable[[], bool] | None] = {}
        self._slow: set[int] = set()
        self._unknown = 0

    # -- threads come and go

    def start(
        self, can_start: Callable[[], bool] | None = None, *, is_daemon: bool = False, is_known: bool = True
    ) -> Started:
        """A thread is about to be started; `is_known` unless it runs a library's code only."""
        started = Started(can_start, is_daemon=is_daemon, is_known=is_known)
        with self._mutex:
            if is_known:
                self._coming.add(started)
            else:
                self._unknown += 1
            self._watch()
        return started

    def begin(self, started: Started) -> None:
        """It runs: called in it."""
        started.ident = get_ident()
        if started.is_known:
            with self._mutex:
                self._coming.discard(started)
                self._live[started.ident] = started

    def end(self, started: Started) -> None:
        """It does nothing more, or never began."""
        with self._mutex:
            started.is_over = True
            if not started.is_known:
                self._unknown -= 1
            self._coming.discard(started)
            if self._live.get(started.ident) is started:
                del self._live[started.ident]
                self._slow.discard(started.ident)
            self._moved()

    # -- resting

    def rest(self, can_move: Callable[[], bool] | None = None) -> None:
        """This thread cannot go on, unless `can_move`. With the mutex held or not."""
        with self._mutex:
            ident = get_ident()
            self._slow.discard(ident)
            self._resting[ident] = can_move
            self._moved()

    def go_on(self, ident: int = 0) -> None:
        """That thread, or this one, runs again."""
        ident = ident or get_ident()
        self._resting.pop(ident, None)
        self._slow.discard(ident)

    def leave_out(self) -> None:
        """This thread goes where nobody sees what it does, and comes back by itself."""
        with self._mutex:
            self._slow.add(get_ident())
            self._moved()

    def look_on(self) -> None:
        """What this thread waits for may come from where nobody sees: have somebody look whether it ever does."""
        self._watch()

    def stay(self) -> None:
        """Raises Diverged when the program has left the tape."""
        self._left()

    def wait(self, attempt: Callable[[float], bool], can_move: Callable[[], bool]) -> None:
        """Rest until an attempt, which takes so many seconds at most, succeeds. Raises Diverged when the tape was left
        meanwhile."""
        self._waits()
        self.rest(can_move)
        try:
            while not attempt(_LOOK_S):
                self._left()
            self._left()
        finally:
            self.go_on()

    # -- asked by the player, with the mutex held

    def is_daemon(self, ident: int) -> bool:
        """Whether the interpreter ends without waiting for that thread."""
        started = self._live.get(ident)
        return started is not None and started.is_daemon

    def is_quiet(self, but: int) -> bool:
        """Whether every thread but that one rests, or has run on for long."""
        live = self._live
        if len(live) == 1 and but in live and not self._coming:
            return True
        for ident in live:
            if ident != but and ident not in self._slow and self._runs(ident):
                return False
        return not (self._coming and any(each.can_start() for each in self._coming))

    def is_stuck(self) -> bool:
        """Whether nothing can move any more."""
        if self._unknown or self._slow or (self._coming and any(each.can_start is _no for each in self._coming)):
            return False
        return self.is_quiet(0)

    def leave_out_those_who_run(self) -> None:
        """They have had their time."""
        self._slow.update(ident for ident in self._live if self._runs(ident))
        for each in [each for each in self._coming if each.can_start()]:
            each.can_start = _no

    def keeps_process(self) -> bool:
        """Whether a thread is there for which the interpreter waits at its end."""
        me = get_ident()
        return any(
            each is not None and ident != me and not each.is_daemon for ident, each in self._live.items()
        ) or any(not each.is_daemon for each in self._coming)

    def leaves_any(self) -> bool:
        """Whether there are threads for which the interpreter does not wait, or of which nothing is known."""
        return self._unknown > 0 or any(each is not None and each.is_daemon for each in self._live.values())

    def _runs(self, ident: int) -> bool:
        if ident not in self._resting:
            return True
        can_move = self._resting[ident]
        return can_move is not None and can_move()


def _no() -> bool:
    return False
