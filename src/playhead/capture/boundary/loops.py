"""asyncio on a tape: what an agent awaits comes in one recorded order.

    stations   a loop takes one delivery at a time, and only when none of the agent's callbacks is ready to run
    tasks      lanes of tasks; sets of tasks that iterate alike in every run; futures of other threads
    awaited    `acall`, `series`: a question whose answer is awaited
    foreign    loops that are not the standard library's: uvloop gives way, trio is said, anyio's worker threads are named

All of them import asyncio, so none is imported before the agent does.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Any

    from playhead.capture.boundary.awaited import Series
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
    when_imported("trio", with_foreign("say_trio"))
    when_imported("anyio._backends._asyncio", with_foreign("name_workers"))


async def acall(
    kind: str,
    name: str,
    arguments: bytes,
    do: Callable[[], Awaitable[Any]],
    *,
    effect: str = "",
    is_passed: bool = False,
) -> Any:
    """One awaited call at a boundary: what `do()` gives or raises, from the world or from the tape, in its order.

    The real work runs in a task of its own, `inside`. Cancelling the caller cancels that work, and what it then ends
    with is what the caller gets, as if it had awaited `do()` itself. With `is_passed` the work runs in a replay too, and
    only its place in the order is the tape's. Raises Diverged.
    """
    from playhead.capture.boundary import awaited

    return await awaited.acall(kind, name, arguments, do, effect=effect, is_passed=is_passed)


def astream(
    kind: str, name: str, arguments: bytes, do: Callable[[], AsyncIterator[Any]], *, effect: str = ""
) -> AsyncIterator[Any]:
    """The items of `do()`, each an awaited call of its own; closing early closes `do()`'s iterator. Raises Diverged."""
    from playhead.capture.boundary import awaited

    return awaited.astream(kind, name, arguments, do, effect=effect)


def series() -> Series:
    """Several awaited calls whose real work runs in one task, one after another: what an async generator needs."""
    from playhead.capture.boundary.awaited import Series

    return Series()
