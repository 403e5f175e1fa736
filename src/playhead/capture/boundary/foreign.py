"""What stands beside the standard event loop: uvloop gives way to it, trio is said, anyio's worker threads are named, and
a process that imports gevent or eventlet leaves its tape.

uvloop has no queue of ready callbacks that one could look into, and its loops are not asyncio's; an agent's choice of it
is one of speed, so a run on a tape takes the standard loop in its place.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.capture.boundary.patches import Patches


def give_way(patches: Patches, uvloop: Any) -> None:
    """Have uvloop's entrances give the standard loop."""
    import asyncio

    def install() -> None:
        asyncio.set_event_loop_policy(None)

    def run(main: Any, *, loop_factory: Any = None, debug: bool | None = None, **_options: Any) -> Any:
        with asyncio.Runner(debug=debug, loop_factory=loop_factory) as runner:
            return runner.run(main)

    standing_in = {
        "Loop": asyncio.SelectorEventLoop,
        "EventLoopPolicy": asyncio.DefaultEventLoopPolicy,
        "new_event_loop": asyncio.SelectorEventLoop,
        "install": install,
        "run": run,
    }
    for name, value in standing_in.items():
        if hasattr(uvloop, name):
            patches.put(uvloop, name, value)
    active.say("uvloop is imported: the standard event loop runs in its place")


def say_trio(_patches: Patches, _trio: Any) -> None:
    """Say that trio orders its tasks by itself."""
    active.say("trio is imported: calls are recorded, the order of its tasks is not")


def leave_to_greenlets(_patches: Patches, module: Any) -> None:
    """Take this process off its tape, while recording as in a replay: which greenlet goes on first is not asyncio's and no
    thread's, and `monkey.patch_all()` puts greenlets below what is ordered here."""
    tape = active.tape
    if tape is None:
        return
    active.say(f"{module.__name__} is imported: from there on what happens inside that process is not on the tape")
    active.end()
    tape.close()


def name_workers(patches: Patches, backend: Any) -> None:
    """Give what runs in anyio's worker threads a lane; the thread reports in that lane when it is done."""

    def making(real: Any) -> Any:
        async def run_sync_in_worker_thread(_cls: Any, func: Any, args: Any, *more: Any, **options: Any) -> Any:
            tape = active.tape
            if tape is None or active.inside.get():
                return await real(func, args, *more, **options)
            lane = tape.lane(active.current().child_path("x"))
            return await real(partial(_worked, lane, func), args, *more, **options)

        return run_sync_in_worker_thread

    name = "run_sync_in_worker_thread"
    wrapper = making(getattr(backend.AsyncIOBackend, name))
    patches.put(backend.AsyncIOBackend, name, classmethod(wrapper))


def _worked(lane: Any, func: Callable[..., Any], *args: Any) -> Any:
    active.enter_thread(lane)
    return func(*args)
