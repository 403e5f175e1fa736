"""Waiting for rest: the port `core.tape.Rest` over one client's process tree.

Polls finely (an event loop's own timers have a grain of a millisecond) and only while somebody waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from playhead.capture.process.linux import Ticker
from playhead.capture.process.rest import Rest
from playhead.core.clock import monotonic_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from playhead.capture.process.tree import Tree
    from playhead.core.tape import Bound

_COARSE_S = 0.001


class Quiet:
    """Says when the tree is at rest. Before `follow` there is no client, and nothing moves. One event loop."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._rest: Rest | None = None
        self._waits: list[_Wait] = []
        self._loop = asyncio.get_running_loop()
        self._ticker: Ticker | None = None
        with contextlib.suppress(OSError, AttributeError):  # no timerfd: the loop's own timers serve, more coarsely
            self._ticker = Ticker()
            self._loop.add_reader(self._ticker.fileno(), self._ticked)

    def follow(self, tree: Tree) -> None:
        """From now on observe this tree."""
        self._rest = Rest(tree, self._port)

    @property
    def ever_busy(self) -> set[int]:
        """Processes that ran on while rest was waited for, and were left out of it."""
        return self._rest.ever_busy if self._rest is not None else set()

    def resting(self, ports: Iterable[int]) -> bool:
        return self._rest is None or self._rest.at_rest(ports)

    def when_resting(self, ports: Iterable[int], then: Callable[[bool], None], bound: Bound) -> Callable[[], None]:
        wait = _Wait(tuple(ports), then, monotonic_ns() + int(bound.wall_s * 1e9), int(bound.cpu_s * 1e9))
        self._waits.append(wait)
        self._arm()

        def cancel() -> None:
            if wait in self._waits:
                self._waits.remove(wait)

        return cancel

    def close(self) -> None:
        """Stop for good; nobody who waits is called."""
        self._waits.clear()
        if self._ticker is not None:
            self._loop.remove_reader(self._ticker.fileno())
            self._ticker.close()
            self._ticker = None
        if self._rest is not None:
            self._rest.close()

    def _arm(self) -> None:
        if self._ticker is not None:
            self._ticker.arm()
        elif len(self._waits) == 1:
            self._loop.call_later(_COARSE_S, self._look)

    def _ticked(self) -> None:
        if self._ticker is not None and self._ticker.read():
            self._look()

    def _look(self) -> None:
        now = monotonic_ns()
        for wait in list(self._waits):
            rest = self._rest
            at_rest = rest is None or (rest.at_rest(wait.ports) and rest.confirmed(wait.ports))
            if (at_rest or wait.is_over(now, rest)) and wait in self._waits:
                self._waits.remove(wait)
                wait.then(at_rest)
        if self._ticker is None:
            if self._waits:
                self._loop.call_later(_COARSE_S, self._look)
        elif not self._waits:
            self._ticker.disarm()


class _Wait:
    """Somebody who waits: for what, and until when."""

    __slots__ = ("_cpu_before_ns", "_cpu_bound_ns", "_looks", "ports", "then", "until_ns")

    def __init__(self, ports: tuple[int, ...], then: Callable[[bool], None], until_ns: int, cpu_bound_ns: int) -> None:
        self.ports, self.then, self.until_ns = ports, then, until_ns
        self._cpu_bound_ns = cpu_bound_ns
        self._cpu_before_ns = -1
        self._looks = 0

    def is_over(self, now: int, rest: Rest | None) -> bool:
        """Whether the bound is met. Processor time is asked at every fourth look: it costs as much as a look."""
        self._looks += 1
        if now >= self.until_ns:
            return True
        if rest is None or self._looks % 4 != 1:
            return False
        used = rest.cpu_ns()
        if self._cpu_before_ns < 0:
            self._cpu_before_ns = used
        return used - self._cpu_before_ns > self._cpu_bound_ns
