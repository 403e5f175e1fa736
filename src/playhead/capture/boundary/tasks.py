"""Tasks and futures of the agent: a lane for each task, sets of them that iterate alike in every run, results of threads.

A set iterates by hash, and a task's hash is its address: `asyncio.wait`, TaskGroup and the agent's own sets of tasks
would cancel and report in another order each time. Tasks made on a tape have the number of their making in their loop
as their hash; two are equal only if they are one, as before.
"""

# ruff: noqa: SLF001  asyncio has no public place for any of this
from __future__ import annotations

import concurrent.futures
import itertools
import sys
from asyncio import base_events, events, futures, runners, tasks
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from playhead.capture.boundary.patches import Patches

_inner_names = itertools.count(1).__next__


def _hash(self: Any) -> int:
    try:
        return self._playhead_hash  # type: ignore[no-any-return]
    except AttributeError:
        loop = self.get_loop()
        station = getattr(loop, "_playhead", None)
        if station is None or active.inside.get():
            number = object.__hash__(self)
        else:
            station.hashes = number = station.hashes + 1
        self._playhead_hash = number
        return number


class Task(tasks.Task):  # type: ignore[type-arg]
    """An asyncio task whose hash is a number."""

    _playhead_inside = False
    __hash__ = _hash


class Future(futures.Future):  # type: ignore[type-arg]
    """An asyncio future whose hash is a number."""

    __hash__ = _hash


for _each in (Task, Future):
    _each.__module__ = "_asyncio"
    _each.__qualname__ = _each.__name__
    _each.__doc__ = _each.__mro__[1].__doc__


def new_future(loop: Any) -> Any:
    """What `loop.create_future` gives."""
    return Future(loop=loop)


def install(patches: Patches) -> None:
    """Give tasks their lanes."""
    patches.wrap(base_events.BaseEventLoop, "create_task", _creating)
    _everywhere(patches, tasks, "Task", Task)
    if hasattr(tasks, "create_eager_task_factory"):
        _everywhere(patches, tasks, "eager_task_factory", tasks.create_eager_task_factory(Task))
    for module, name, make in (
        (tasks, "all_tasks", _listing),
        (tasks, "as_completed", _in_order),
        (futures, "wrap_future", _wrapping),
    ):
        patches.wrap(module, name, make)
        _everywhere(patches, module, name, getattr(module, name))


def _everywhere(patches: Patches, module: Any, name: str, value: Any) -> None:
    """Also in the package, when it had been imported before the tape began."""
    patches.put(module, name, value)
    package = sys.modules.get("asyncio")
    if package is not None and hasattr(package, name):
        patches.put(package, name, value)


def _creating(real: Any) -> Any:
    def create_task(self: Any, coro: Any, *, context: Context | None = None, **options: Any) -> Any:
        tape = active.tape
        station = getattr(self, "_playhead", None)
        if tape is None or station is None:
            task = real(self, coro, context=context, **options)
            if station is not None:
                station.others.add(task)
            return task
        if active.inside.get():
            # names are counted over the process, and a replay has no such tasks
            options["name"] = options.get("name") or f"Task-inner-{_inner_names()}"
            task = real(self, coro, context=context, **options)
            if isinstance(task, Task):
                task._playhead_inside = True
            return task
        lane = tape.lane(active.current().child_path("t"))
        if context is not None:
            with suppress(RuntimeError):  # the context that runs now: the task goes on in its maker's lane
                context.run(active.lane_of_context.set, lane)
            return real(self, coro, context=context, **options)
        context = copy_context()
        context.run(active.lane_of_context.set, lane)
        if self._task_factory is None:
            return real(self, coro, context=context, **options)
        return context.run(partial(real, self, coro, **options))  # a factory of the agent may know of no contexts

    return create_task


def _listing(real: Any) -> Any:
    runners_file = runners.__file__

    def all_tasks(loop: Any = None) -> set[Any]:
        if active.is_live():
            return real(loop)  # type: ignore[no-any-return]
        found = sorted(real(events.get_running_loop() if loop is None else loop), key=hash)
        if sys._getframe(1).f_code.co_filename != runners_file:  # which cancels all of them at the end
            found = [task for task in found if not getattr(task, "_playhead_inside", False)]
        return set(found)

    return all_tasks


def _in_order(real: Any) -> Any:
    def as_completed(fs: Any, **options: Any) -> Any:
        if not active.is_live() and not futures.isfuture(fs) and not hasattr(fs, "__await__"):
            loop = events.get_running_loop() if events._get_running_loop() is not None else events.get_event_loop()
            # the real one goes through a set of what it is given, coroutines by address
            fs = [tasks.ensure_future(each, loop=loop) for each in dict.fromkeys(fs)]
        return real(fs, **options)

    return as_completed


def _wrapping(real: Any) -> Any:
    def wrap_future(future: Any, *, loop: Any = None) -> Any:
        if active.tape is None or not isinstance(future, concurrent.futures.Future):
            return real(future, loop=loop)
        if loop is None:
            loop = events.get_event_loop()
        station = getattr(loop, "_playhead", None)
        if station is None:
            return real(future, loop=loop)
        return _joined(future, loop, station)

    return wrap_future


def _joined(source: Any, loop: Any, station: Any) -> Any:
    """A future of the loop that has what a thread's future has: when that is an ordered completion, or `inside` as soon as
    the thread says so."""
    from playhead.capture.boundary.stations import come, inside_context

    destination = loop.create_future()

    def copy() -> None:
        if not destination.done():
            futures._copy_future_state(source, destination)  # type: ignore[attr-defined]

    def cancel(_destination: Any) -> None:
        if destination.cancelled():
            source.cancel()

    arrived: Callable[[Any], None]
    if active.inside.get():
        context = inside_context()

        def arrived(_source: Any) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(copy, context=context)
    else:
        key = active.current().next_key()

        def arrived(_source: Any) -> None:
            if not loop.is_closed():
                come(station, key, copy)

    destination.add_done_callback(cancel)
    source.add_done_callback(arrived)
    return destination
