"""Handlers of signals that the agent's own code sets: where one ran is written down, and a replay runs it there.

A handler interrupts the main thread between any two steps of it. What counts is what the lane had read and done by then:
that stands among the lane's values, and the handler's own reads and acts follow it, in the same lane. A replay runs it once
the lane has come so far, at its next boundary, whether a signal comes or not. One that does come there runs it on the spot,
so that `os.kill` of the process itself and an alarm in a computation are met where they were; one that comes elsewhere is
passed over, unless it is there to end the process.

What a handler raises in the real work of a call (a tool, a sleep) is a part of what came of the call; so a replay runs it,
and takes the recorded end of the call.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from contextlib import suppress

from playhead.capture.boundary import active
from playhead.capture.boundary.patches import OURS, Patches, is_library, is_ours, runs_agents
from playhead.core.boundary import RAISED, SIGNAL, WITHIN, handlers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.core.boundary import BoundaryTape

_SOON_S = 0.001

_TO_END = {getattr(signal, name, 0) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")}
"""By which somebody ends a process, also one that replays."""

_AT_REST = (
    "a handler of signals ran while an event loop waited: a replay runs it only once its thread leaves the loop "
    "(loop.add_signal_handler is no better)"
)


def install(patches: Patches, when_imported: Any) -> None:  # noqa: ARG001
    """Put ours around the agent's handlers, those that are set already, too."""
    real: Any = signal.signal
    now: Any = signal.getsignal
    patches.wrap(signal, "signal", _setting)
    patches.wrap(signal, "getsignal", _getting)

    def put_back() -> None:
        for number, handler in list(handlers.items()):
            if now(number) is handler:
                with suppress(ValueError):  # in another thread than the main one, where only that may
                    real(number, handler.theirs)
        handlers.clear()

    patches.when_undone(put_back)
    patches.when_over(_end)
    for number in signal.valid_signals():
        theirs = now(number)
        if _is_agents(theirs):
            with suppress(ValueError):
                signal.signal(number, theirs)


def _end() -> None:
    """The agent is at its end. In a replay, which comes to it sooner, its alarms must not kill what has no handlers any more."""
    if active.whole is not None and not active.whole.live:
        for number in list(handlers):
            if number not in _TO_END:
                with suppress(ValueError):
                    signal.signal(number, signal.SIG_IGN)
    handlers.clear()


class Handler:
    """Ours, around the agent's."""

    __slots__ = ("__weakref__", "theirs")

    def __init__(self, theirs: Callable[[int, Any], Any]) -> None:
        self.theirs = theirs

    def __call__(self, number: int, frame: Any) -> None:
        """A signal came."""
        tape = active.tape
        if tape is None:
            self.theirs(number, frame)
        elif not active.inside.get() and _is_at_work(frame):
            if tape.live or number in _TO_END:
                _thread.start_new_thread(_send_again, (int(number),))
        elif tape.live:
            self._record(tape, number, frame)
        elif not tape.interrupted(active.current()) and number in _TO_END:
            self.theirs(number, frame)

    def _record(self, tape: BoundaryTape, number: int, frame: Any) -> None:
        lane = active.current()
        if active.lane_of_context.get() is None and _loop_runs():
            active.say(_AT_REST)
        is_inside = active.inside.get()
        token, within = active.inside.set(False), active.within.set(None)  # it runs again, where a tool does not
        try:
            tape.value(lane, SIGNAL, lambda: f"{int(number)} {lane.asked}{WITHIN if is_inside else ''}")
            self.theirs(number, frame)
        except BaseException:
            if is_inside:
                tape.value(lane, SIGNAL, lambda: RAISED)
            raise
        finally:
            active.within.reset(within)
            active.inside.reset(token)

    def again(self, number: int) -> None:
        """In a replay, where it ran."""
        self.theirs(number, sys._getframe(1))  # noqa: SLF001


def _is_at_work(frame: Any) -> bool:
    """Whether Playhead was interrupted: a tape, which must not be used in the midst of itself, or a step of a boundary. Where
    a thread waits for others it is not: they may wait for what the handler does."""
    file: str = frame.f_code.co_filename
    if is_ours(file):
        return frame.f_code.co_name not in _WAITING
    imports = False  # a module that one of ours needs
    while frame is not None and is_library(file):
        imports = imports or file.startswith("<frozen importlib")
        frame = frame.f_back
        file = "" if frame is None else frame.f_code.co_filename
    return file.startswith(_TAPES) or (imports and is_ours(file))


_WAITING = frozenset(("turn", "_try"))
_TAPES = tuple(f"{OURS}{os.sep}{room}{os.sep}" for room in ("core", "journal"))


def _send_again(number: int) -> None:
    pause = _thread.allocate_lock()
    pause.acquire()
    pause.acquire(timeout=_SOON_S)
    if number in handlers:
        signal.pthread_kill(threading.main_thread().ident or 0, number)


def _loop_runs() -> bool:
    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None  # noqa: SLF001


def _is_agents(handler: Any) -> bool:
    return callable(handler) and (runs_agents(handler) or runs_agents(type(handler).__call__))


def _theirs(handler: Any) -> Any:
    return handler.theirs if type(handler) is Handler else handler


def _setting(real: Callable[[Any, Any], Any]) -> Any:
    def set_handler(signalnum: Any, handler: Any) -> Any:
        if active.whole is None or not _is_agents(handler):
            before = real(signalnum, handler)
            handlers.pop(int(signalnum), None)
            return _theirs(before)
        ours = Handler(handler)
        before = real(signalnum, ours)
        handlers[int(signalnum)] = ours
        return _theirs(before)

    return set_handler


def _getting(real: Callable[[Any], Any]) -> Any:
    def getsignal(signalnum: Any) -> Any:
        return _theirs(real(signalnum))

    return getsignal
