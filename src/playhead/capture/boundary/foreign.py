"""What stands beside the standard event loop: uvloop gives way to it, trio is said, anyio's worker threads are named, and
a process in which gevent or eventlet runs leaves its tape.

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


def say_trio(patches: Patches, trio: Any) -> None:
    """Say that trio orders its tasks by itself, once it runs: clients import it because it is installed."""
    text = "trio runs: calls are recorded, the order of its tasks is not"
    for name in ("run", "start_guest_run"):
        owner = trio if name == "run" else trio.lowlevel
        patches.wrap(owner, name, partial(_first, do=partial(active.say, text)))


def leave_to_greenlets(patches: Patches, module: Any) -> None:
    """Take this process off its tape, while recording as in a replay, once greenlets run or stand in for threads: which of
    them goes on first is not asyncio's and no thread's."""
    owner = getattr(module, "Hub", module)
    for name in ("__init__",) if owner is not module else ("patch_all", "patch_module", "monkey_patch", "use_hub"):
        if hasattr(owner, name):
            package = module.__name__.partition(".")[0]
            patches.wrap(owner, name, partial(_first, do=partial(_leave, package)))


def _first(real: Callable[..., Any], do: Callable[[], None]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        do()
        return real(*args, **options)

    return call


def _leave(package: str) -> None:
    tape = active.tape
    if tape is None:
        return
    active.say(f"{package} runs: from there on what happens inside that process is not on the tape")
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
