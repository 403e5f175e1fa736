"""`queue`: its queues rest on locks, which are the agent's when the queue is; only SimpleQueue is written in C, and gets
a twin."""

from __future__ import annotations

import threading
from collections import deque
from sys import _getframe
from types import GenericAlias

from playhead.capture.boundary import active, locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from playhead.capture.boundary.patches import Patches


def install(patches: Patches, when_imported: Any) -> None:
    """Once `queue` is imported: the agent's queues are on the tape."""
    when_imported("queue", lambda module: _patch(patches, module))


def _patch(patches: Patches, module: Any) -> None:
    locks.THROUGH.add(module.__file__)
    patches.put(module, "time", locks.clock(module.time))
    SimpleQueue.real = module.SimpleQueue
    SimpleQueue.empty_error = module.Empty
    SimpleQueue.__doc__ = module.SimpleQueue.__doc__
    SimpleQueue.__module__ = module.SimpleQueue.__module__
    patches.put(module, "SimpleQueue", SimpleQueue)


class _Kind(type):
    real: Any = None

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is SimpleQueue and (active.tape is None or not locks.is_made_by_agent(_getframe(1))):
            return cls.real(*args, **kwargs)
        return type.__call__(cls, *args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        return type.__instancecheck__(cls, instance) or (cls is SimpleQueue and isinstance(instance, cls.real))


class SimpleQueue(metaclass=_Kind):
    """A queue whose items come out in the order in which they were put in."""

    real: Any = None
    empty_error: type[Exception] = Exception
    __class_getitem__: Any = classmethod(GenericAlias)

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        # reentrant: a finaliser or a signal handler may put while its thread does
        self._cond = threading.Condition(locks.RLock.made())

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002, FBT001, FBT002
        with self._cond:
            self._items.append(item)
            self._cond.notify()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002  the real one's
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        with self._cond:
            if not self._items and (not block or not self._cond.wait_for(lambda: self._items, timeout)):
                raise self.empty_error
            return self._items.popleft()

    def put_nowait(self, item: Any) -> None:
        self.put(item)

    def get_nowait(self) -> Any:
        return self.get(block=False)

    def empty(self) -> bool:
        return self.qsize() == 0

    def qsize(self) -> int:
        with self._cond:
            return len(self._items)
