"""Event loops that take what they wait for from the tape: one delivery, then the agent runs to rest, then the next.

An answer, a timer or a thread's result reaches the agent only when none of its callbacks is ready to run, in a recording
as in a replay. A recorded run is thereby one that asyncio could have had, and its order is all that a replay needs.
Callbacks whose context has `inside` set are not the agent's: they do the real work of a boundary.

An agent that never comes to rest (`while not done: await asyncio.sleep(0)`) would starve. After RESTLESS turns of the
loop without a rest, what has come is delivered all the same, and the number of the turn is written before it: the turns
of a loop that have agent code to run are as many in every run.
"""

# ruff: noqa: SLF001  asyncio has no public place for any of this
from __future__ import annotations

import sys
import threading
from _thread import get_ident
from asyncio import base_events, events
from collections import deque
from contextvars import copy_context
from inspect import unwrap
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from playhead.capture.boundary import active
from playhead.capture.boundary.patches import asks_for_agent, is_agents
from playhead.capture.boundary.tasks import new_future
from playhead.core.boundary import Diverged

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from playhead.capture.boundary.patches import Patches
    from playhead.core.boundary import BoundaryTape, Call, Key, Lane

RESTLESS = 100
"""Turns of a loop without a rest after which deliveries are made all the same."""

TICK_S = 0.05
"""How often a replayed loop at rest looks whether the program has left the tape elsewhere."""


class Station:
    """One event loop of the agent. `under_way` counts the work that goes on in it at boundaries; `lane`
    names the loop in the order; `hashes` counts its tasks and futures. `rescue` is for a loop that is not the agent's
    alone, in which `others` run, too: called in place of raising Diverged out of the loop."""

    __slots__ = (
        "__weakref__",
        "_restless",
        "_soon",
        "_tick",
        "_turns",
        "apart",
        "has_raised",
        "hashes",
        "lane",
        "loop",
        "others",
        "rescue",
        "tape",
        "under_way",
    )

    def __init__(self, loop: Any, path: str, tape: BoundaryTape, rescue: Callable[[], object] | None = None) -> None:
        self.loop = loop
        self.tape = tape
        self.rescue = rescue
        self.others: WeakSet[Any] = WeakSet()
        self.lane = tape.lane(path)
        self.under_way = 0
        self.hashes = 0
        self.apart: dict[str, Lane] = {}
        self._turns = 0
        self._restless = 0
        self._soon: deque[Callable[[], None]] = deque()
        self.has_raised = False
        self._tick: Any = None

    def of_libraries(self, tape: BoundaryTape, lane: Lane) -> Lane:
        """Where what libraries read of the loop's clock in that lane is kept."""
        apart = self.apart.get(lane.path)
        if apart is None:
            apart = self.apart[lane.path] = tape.lane(f"{lane.path}~")
        return apart

    def wake(self) -> None:
        if self.loop._thread_id != get_ident():  # else `before` comes before the loop sleeps
            self.loop._write_to_self()

    def soon(self, act: Callable[[], None]) -> Callable[[], None] | None:
        """From any thread: have the loop do something of ours before its next turn. Returns what wakes it, for the first
        of a crowd."""
        if self.tape is not active.whole:
            self.hand_over(act)
            return None
        self._soon.append(act)
        return self.wake if len(self._soon) == 1 else None

    def hand_over(self, deliver: Callable[[], None]) -> None:
        """The tape has ended: deliver as if there had been none."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(deliver, context=_NOWHERE.copy())

    def before(self) -> None:
        """Before each turn of the loop: make the deliveries that may happen now. Raises Diverged, once."""
        while self._soon:
            self._soon.popleft()()
        tape = self.tape
        loop = self.loop
        if tape is not active.whole or loop._stopping:
            return
        ready = loop._ready
        if tape.diverged is not None:
            self._left(tape.diverged)
            return
        if ready and _has_agents(ready):
            self._go_on(tape)
            return
        self._restless = 0
        while (go := tape.next(self)) is not None:
            go()
            if _has_agents(ready):
                return
        if not tape.live and not ready:
            self._rest(tape)

    def _left(self, diverged: Diverged) -> None:
        """The program has left the tape."""
        if self.rescue is None:
            # whoever runs the loop cleans up in it, while there is anything to run
            if not self.loop._ready or not self.has_raised:
                raise Diverged(str(diverged), diverged.facts)
        elif not self.has_raised:
            self.has_raised = True
            self.rescue()

    def _rest(self, tape: BoundaryTape) -> None:
        """A replayed loop is about to sleep."""
        rests = tape.rests
        if any(not other.done() for other in self.others):
            if rests is not None:  # who may bring what is waited for
                rests.leave_out()
                rests.look_on()
        elif self.under_way or _waits_for_files(self.loop):
            if rests is not None:
                rests.leave_out()
        else:
            tape.idle(self)
        if self._tick is None:
            self._tick = self.loop.call_later(TICK_S, self._ticked, context=_NOWHERE.copy())

    def _go_on(self, tape: BoundaryTape) -> None:
        """The agent has something to run."""
        self._turns += 1
        self._restless += 1
        if self._restless >= RESTLESS:
            go = tape.next(self, (self.lane.path, self._turns))
            if go is not None:
                self._restless = 0
                go()

    def _ticked(self) -> None:
        self._tick = None


def _has_agents(ready: Any) -> bool:
    is_agents = active.is_agents
    for handle in ready.copy():  # noqa: SIM110  other threads may add to it meanwhile; a generator takes twice as long
        if not handle._cancelled and is_agents(handle._context):
            return True
    return False


def _waits_for_files(loop: Any) -> bool:
    """Whether a socket, pipe or process of the agent's own could bring something that is not on the tape."""
    selector = getattr(loop, "_selector", None)
    if selector is not None and len(selector.get_map() or ()) > loop._internal_fds:
        return True
    # asyncio waits for a process in a thread of its own, which bears this name
    return any("waitpid-" in thread.name for thread in threading.enumerate())


_NOWHERE = copy_context()
_NOWHERE.run(active.inside.set, True)


def inside_context(call: Call | None = None) -> Context:
    """A context like the current one, in which everything passes the tape: for the real work of that call."""
    context = copy_context()
    context.run(active.inside.set, True)
    if call is not None:
        context.run(active.within.set, call)
    return context


_taken: WeakSet[Any] = WeakSet()


def take_up(loop: Any, tape: BoundaryTape, rescue: Callable[[], object] | None = None) -> Station:
    """Put that loop at a station of the tape."""
    station = loop._playhead = Station(loop, active.current().child_path("l"), tape, rescue)
    _taken.add(loop)
    return station


def _leave_all() -> None:
    """No loop is at a station any more."""
    for loop in _taken:
        station = loop.__dict__.pop("_playhead", None)
        while station is not None and station._soon:
            station.hand_over(station._soon.popleft())
    _taken.clear()


def station_of(loop: Any) -> Station | None:
    """The station of a loop that the agent made on a tape; None for others."""
    return getattr(loop, "_playhead", None)


def passing(loop: Any, context: Context | None = None) -> Station | None:
    """The station of that loop, when what is asked there now is the agent's; None when it passes the tape."""
    if active.tape is None or (active.inside.get() if context is None else context.get(active.inside)):
        return None
    return getattr(loop, "_playhead", None)


class Timer(events.TimerHandle):
    """A timer of the agent: its firing is a delivery. While recording, a real timer brings it; a replay does not wait."""

    __slots__ = ("_came", "_is_relative", "_key", "_real", "_station")

    def __init__(
        self,
        when: float,
        callback: Any,
        args: Any,
        station: Station,
        context: Context | None,
        *,
        is_relative: bool,
        call_at: Any,
    ) -> None:
        super().__init__(when, callback, args, station.loop, context)
        self._key = active.current().next_key()
        self._is_relative = is_relative
        self._station = station
        self._came = False
        self._real: Any = None
        if station.tape.live:
            self._real = call_at(station.loop, when, self._fire, context=_NOWHERE.copy())
        else:
            self._fire()

    def _fire(self) -> None:
        self._came = True
        tape = self._station.tape
        if tape is active.whole:
            tape.completed(None, self._key, None, self._deliver, self._station)
        else:
            self._deliver(None)  # the tape has ended meanwhile

    def _deliver(self, _outcome: Any) -> None:
        if not self._cancelled:
            self._station.loop._ready.append(self)

    def when(self) -> float:
        if self._is_relative:  # to a time that nobody has been told
            self._is_relative = False
            self._when = active.read("loop.time", super().when)
        return super().when()

    def cancel(self) -> None:
        if not self._cancelled:
            if self._real is not None:
                self._real.cancel()
                self._real = None
            if self._came and self._station.tape is active.whole:
                self._station.tape.withdraw(self._key)
        super().cancel()


def install(patches: Patches) -> None:
    """Put every loop that is made from now on at a station."""
    loops: Any = base_events.BaseEventLoop
    patches.when_undone(_leave_all)
    patches.wrap(loops, "__init__", _making)
    patches.wrap(loops, "_run_once", rests)
    patches.wrap(loops, "time", _telling)
    patches.wrap(loops, "create_future", _hashing)
    patches.wrap(loops, "call_soon_threadsafe", _joining)
    patches.wrap(loops, "shutdown_default_executor", _shutting)
    patches.wrap(loops, "_asyncgen_finalizer_hook", _finalizing)
    call_at = loops.call_at
    patches.wrap(loops, "call_at", lambda real: _timing(real, call_at, is_relative=False))
    patches.wrap(loops, "call_later", lambda real: _timing(real, call_at, is_relative=True))


def _making(real: Any) -> Any:
    def make(self: Any, *args: Any, **options: Any) -> None:
        real(self, *args, **options)
        if active.whole is not None and not active.is_live():
            take_up(self, active.whole)

    return make


def rests(real: Any) -> Any:
    """A loop's `_run_once` that asks its station first."""

    def _run_once(self: Any) -> None:
        station = getattr(self, "_playhead", None)
        if station is not None:
            try:
                station.before()
            except Diverged:
                if station.rescue is None:
                    station.has_raised = True
                    raise
                station.before()
        real(self)

    return _run_once


def _telling(real: Any) -> Any:
    loops = vars(base_events.BaseEventLoop)
    run_once, call_later = (unwrap(loops[name]).__code__ for name in ("_run_once", "call_later"))

    def time(self: Any) -> float:
        code = sys._getframe(1).f_code  # told by identity: every hash of a code object goes through all of it
        if code is run_once or code is call_later:
            return real(self)  # type: ignore[no-any-return]
        tape = active.tape
        if tape is None or active.inside.get() or getattr(self, "_playhead", None) is None:
            return float(real(self))
        lane = active.current()
        if lane.is_stranger:
            return float(real(self))
        if not asks_for_agent():
            # how often a library asks may depend on how long things take: apart, and no divergence
            lane = self._playhead.of_libraries(tape, lane)
            if not tape.live and not tape.is_next(lane, "loop.time"):
                return float(real(self))
        return float(tape.value(lane, "loop.time", lambda: real(self)))

    return time


def _hashing(real: Any) -> Any:
    def create_future(self: Any) -> Any:
        return real(self) if passing(self) is None else new_future(self)

    return create_future


def _timing(real: Any, call_at: Any, *, is_relative: bool) -> Any:
    def arrange(self: Any, when: Any, callback: Any, *args: Any, context: Context | None = None) -> Any:
        station = passing(self, context)
        if station is None or when is None or self._closed:
            return real(self, when, callback, *args, context=context)
        if self._debug:
            self._check_thread()
            self._check_callback(callback, "call_later" if is_relative else "call_at")
        if is_relative:
            when += _clock(self)
        return Timer(when, callback, args, station, context, is_relative=is_relative, call_at=call_at)

    return arrange


def _clock(loop: Any) -> Any:
    """The loop's own time, which nobody is told."""
    return type(loop).time.__wrapped__(loop) if hasattr(type(loop).time, "__wrapped__") else loop.time()


def _joining(real: Any) -> Any:
    def call_soon_threadsafe(self: Any, callback: Any, *args: Any, context: Context | None = None) -> Any:
        station = passing(self, context)
        if station is None or self._closed or self._thread_id == get_ident():
            return real(self, callback, *args, context=context)
        lane = active.current()
        if lane.is_stranger:
            return real(self, callback, *args, context=context)
        if self._debug:
            self._check_callback(callback, "call_soon_threadsafe")
        handle = events.Handle(callback, args, self, context)
        come(station, lane.next_key(), lambda: self._ready.append(handle))
        return handle

    return call_soon_threadsafe


def come(station: Station, key: Key, deliver: Callable[[], None]) -> None:
    """Another thread brings something without a content of its own; `deliver` runs in its turn."""
    if station.tape is active.whole:
        station.tape.completed(None, key, None, lambda _outcome: deliver(), station)
    else:
        station.hand_over(deliver)


def _finalizing(real: Any) -> Any:
    def _asyncgen_finalizer_hook(self: Any, agen: Any) -> None:
        """An async generator that nobody went through to its end is collected: a library's anywhere and at any time, so that
        what it does then has no place in the agent's lanes."""
        if passing(self) is None or is_agents(agen.ag_code.co_filename):
            real(self, agen)
        else:
            inside_context().run(real, self, agen)

    return _asyncgen_finalizer_hook


def _shutting(real: Any) -> Any:
    async def shutdown_default_executor(self: Any, *args: Any, **options: Any) -> None:
        tape = active.tape
        if tape is None or passing(self) is None or not _awaits_threads(self, tape):
            await real(self, *args, **options)
            return
        from playhead.capture.boundary.awaited import waited

        await waited(lambda: real(self, *args, **options))

    return shutdown_default_executor


def _awaits_threads(loop: Any, tape: BoundaryTape) -> bool:
    """Whether there are threads to wait for: also in a replay in which there are none, as only a tool had some."""
    if tape.live:
        return loop._default_executor is not None
    lane = active.current()
    return tape.foreseen((lane.path, lane.asked + 1))
