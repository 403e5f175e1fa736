"""asyncio on a tape: what an agent awaits comes in one recorded order.

    stations   a loop takes one delivery at a time, and only when none of the agent's callbacks is ready to run
    tasks      lanes of tasks; sets of tasks that iterate alike in every run; futures of other threads
    awaited    `acall`, `series`: a question whose answer is awaited
    foreign    loops that are not the standard library's: uvloop gives way, trio is said, anyio's worker threads are named

All of them import asyncio, so none is imported before the agent does.
"""

from __future__ import annotations

__all__ = ["acall", "astream", "install", "series"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.capture.boundary.awaited import acall, astream, series
    from playhead.capture.boundary.patches import Patches


def install(patches: Patches, when_imported: Any) -> None:
    """Have asyncio patched as soon as it has been imported, and what stands beside it."""

    def asyncio_came(_module: Any) -> None:
        from playhead.capture.boundary import stations, tasks

        tasks.install(patches)
        stations.install(patches)

    when_imported("asyncio.base_events", asyncio_came)

    def with_foreign(name: str) -> Callable[[Any], None]:
        def came(module: Any) -> None:
            from playhead.capture.boundary import foreign

            getattr(foreign, name)(patches, module)

        return came

    when_imported("uvloop", with_foreign("give_way"))
    for greenlets in ("gevent.monkey", "gevent.hub", "eventlet.patcher", "eventlet.hubs"):
        when_imported(greenlets, with_foreign("leave_to_greenlets"))
    when_imported("trio", with_foreign("say_trio"))
    when_imported("anyio._backends._asyncio", with_foreign("name_workers"))


def __getattr__(name: str) -> Any:
    """`acall`, `astream` and `series` of `awaited`, once the agent has a loop to call them on."""
    if name not in ("acall", "astream", "series"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from playhead.capture.boundary import awaited

    globals()[name] = value = getattr(awaited, name)
    return value
