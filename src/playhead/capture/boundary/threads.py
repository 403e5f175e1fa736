"""Threads: each has a lane of its own, named by who started it; who joins one knows what came of it.

A thread that the agent starts, or that runs the agent's code, is `/h<n>` of its starter. One that a library starts for
itself is `/b<n>`: counted apart, since how many a library starts may depend on the time, and then would rename the
agent's own. Nothing needs an order here but what threads do: to join without a time-out is to wait until the other has
done all it does. With one, whether it was over in time is a value of the lane, and a replay does not wait.
"""

from __future__ import annotations

import _thread
import threading
from _thread import get_ident

from playhead.capture.boundary import active
from playhead.capture.boundary.patches import Patches, asks_for_agent, runs_agents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.core.boundary import BoundaryTape, Lane

_MARK = "_playhead_thread"


def install(patches: Patches, when_imported: Any) -> None:  # noqa: ARG001
    """Wrap what starts, runs, and waits for threads."""
    patches.wrap(threading.Thread, "start", _start)
    patches.wrap(threading.Thread, "_bootstrap", _bootstrap)
    patches.wrap(threading.Thread, "join", _join)
    patches.wrap(threading.Thread, "is_alive", _is_alive)
    patches.wrap(threading, "_shutdown", _shutdown)
    for name in ("start_new_thread", "start_new"):
        patches.wrap(_thread, name, _start_new)


class Begun:
    """What a thread is to the tape: made in its starter, entered and left in itself."""

    def __init__(self, tape: BoundaryTape, lane: Lane | None, started: Any) -> None:
        self.tape = tape
        self.lane = lane  # None: it runs as a part of a boundary
        self._within = active.in_whose_course() if lane is None else None
        self.started = started  # of the tape's rests; None while recording

    def enter(self) -> None:
        """In the thread, before anything else."""
        if self.lane is None:
            active.inside.set(True)
            active.within.set(self._within)
        elif active.whole is self.tape:
            active.enter_thread(self.lane)
            if self.started is not None:
                self.tape.rests.begin(self.started)  # type: ignore[union-attr]

    def leave(self) -> None:
        """When it does nothing more, or could not be started."""
        if self.started is not None:
            self.tape.rests.end(self.started)  # type: ignore[union-attr]


def begun(tape: BoundaryTape, *, is_agents_own: bool, is_daemon: bool, is_known: bool = True) -> Begun:
    """A thread that the running lane is about to start."""
    if active.inside.get():
        return Begun(tape, None, None)
    lane = tape.lane(active.current().child_path("h" if is_agents_own else "b"))
    rests = tape.rests
    return Begun(tape, lane, None if rests is None else rests.start(is_daemon=is_daemon, is_known=is_known))


def _start(real: Callable[[Any], None]) -> Any:
    def start(self: threading.Thread) -> None:
        tape = active.tape
        if tape is None or self._started.is_set():  # type: ignore[attr-defined]
            return real(self)
        target = getattr(self, "_target", None)
        own = asks_for_agent() or runs_agents(target) or runs_agents(type(self).run)
        # an idle worker of a pool has nothing that could happen: its items are told of one by one
        is_worker = getattr(target, "__module__", "") == "concurrent.futures.thread"
        mine = begun(tape, is_agents_own=own, is_daemon=self.daemon, is_known=own and not is_worker)
        if is_worker:
            mine.leave()
            mine.started = None
        self.__dict__[_MARK] = mine
        try:
            return real(self)
        except BaseException:
            mine.leave()
            raise

    return start


def _bootstrap(real: Callable[[Any], None]) -> Any:
    def bootstrap(self: threading.Thread) -> None:
        mine: Begun | None = self.__dict__.get(_MARK)
        if mine is None:
            return real(self)
        mine.enter()
        try:
            return real(self)
        finally:
            mine.leave()

    return bootstrap


def _start_new(real: Callable[..., int]) -> Any:
    def start_new_thread(function: Any, args: Any, *more: Any) -> int:
        tape = active.tape
        if tape is None or not callable(function) or not asks_for_agent():
            return real(function, args, *more)
        mine = begun(tape, is_agents_own=True, is_daemon=True)

        def run(*args: Any, **kwargs: Any) -> None:
            mine.enter()
            try:
                function(*args, **kwargs)
            finally:
                mine.leave()

        try:
            return real(run, args, *more)
        except BaseException:
            mine.leave()
            raise

    return start_new_thread


def _ours(thread: threading.Thread) -> Begun | None:
    """What that thread is to the tape; None when the real function is to be asked alone."""
    tape = active.tape
    if tape is None or active.inside.get():
        return None
    mine: Begun | None = thread.__dict__.get(_MARK)
    if mine is None or mine.tape is not tape or mine.lane is None or thread.ident == get_ident():
        return None
    return mine


def _join(real: Callable[..., None]) -> Any:
    def join(self: threading.Thread, timeout: float | None = None) -> None:
        mine = _ours(self)
        if mine is None or (mine.started is None and timeout is None):
            return real(self, timeout)
        if timeout is not None:
            if not asks_for_agent():
                return real(self, timeout)

            def ask() -> bool:
                real(self, timeout)
                return not _lives(self)

            if not mine.tape.value(active.current(), "join", ask) or mine.tape.live:
                return None
        _until_over(real, self, mine)
        return None

    return join


def _is_alive(real: Callable[[Any], bool]) -> Any:
    def is_alive(self: threading.Thread) -> bool:
        mine = _ours(self)
        if mine is None or not asks_for_agent():
            return real(self)
        alive = bool(mine.tape.value(active.current(), "alive", lambda: real(self)))
        if not alive and not mine.tape.live:
            _until_over(_join_really, self, mine)
        return alive

    return is_alive


def _until_over(real: Callable[..., None], thread: threading.Thread, mine: Begun) -> None:
    """In a replay: the thread is over when this returns."""
    rests = mine.tape.rests
    if rests is None or mine.started is None:
        return real(thread, None)

    def attempt(seconds: float) -> bool:
        real(thread, seconds)
        return not _lives(thread)

    return rests.wait(attempt, lambda: bool(mine.started.is_over))


def _lives(thread: threading.Thread) -> bool:
    return bool(threading.Thread.is_alive.__wrapped__(thread))  # type: ignore[attr-defined]


def _join_really(thread: threading.Thread, timeout: float | None) -> None:
    threading.Thread.join.__wrapped__(thread, timeout)  # type: ignore[attr-defined]


def _shutdown(real: Callable[[], None]) -> Any:
    def shutdown() -> None:
        rests = None if active.whole is None or active.is_in_part() else active.whole.rests
        if rests is None:
            return real()
        rests.rest(lambda: not rests.keeps_process())
        try:
            return real()
        finally:
            rests.go_on()

    return shutdown
