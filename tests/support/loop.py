"""An event loop of the smallest kind, for what comes back from a thread: calls run when the test says so."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 60.0


class Loop:
    """`resume` is `call_soon_threadsafe`; `step` waits for the next call and makes it."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def resume(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    @property
    def idle(self) -> bool:
        return self._calls.empty()

    def step(self) -> None:
        """Raises queue.Empty when nothing comes."""
        self._calls.get(timeout=PATIENCE_S)()

    def run_until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self.step()
