"""The queue by which a graph of LangGraph hands the agent what its nodes stream.

Its reader waits in an item of an executor, and anew for what it did not find there: who comes first to the lock of that
queue decides how many items there are. So the lock is the agent's, though a library makes it.
"""

from __future__ import annotations

import threading

from playhead.capture.boundary import active, locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.capture.boundary.patches import Patches

_MODULES = ("langgraph._internal._queue", "langgraph.utils.queue")
"""Where it lies; the second before LangGraph 0.6."""


def install(patches: Patches, when_imported: Any) -> None:
    """Once LangGraph is imported: those queues are on the tape."""
    for name in _MODULES:
        when_imported(name, lambda module: patches.wrap(module.SyncQueue, "__init__", _ordered))


def _ordered(real: Callable[[Any], None]) -> Callable[[Any], None]:
    def __init__(self: Any) -> None:  # noqa: N807  it takes that one's place
        real(self)
        if active.tape is not None:
            self._count._cond = threading.Condition(locks.Lock.made())  # noqa: SLF001

    return __init__
