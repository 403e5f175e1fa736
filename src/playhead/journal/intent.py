"""A question that waits until its intent is durable: nothing of it leaves before.

Without this a call could reach the world, do there what it does, and be unknown to the recording after a power cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.tape import Answering, Asking, Exchange, World

WAITING_BYTES = 1 << 20  # of a request, before its client is told to wait


class AskedWhenDurable:
    """An Asking that begins when `when_durable` says so; what was fed before follows the head then."""

    __slots__ = ("_aborted", "_answering", "_asking", "_ended", "_fed", "_head", "_holding", "_size", "_world")

    def __init__(
        self,
        world: World,
        exchange: Exchange,
        head: bytes,
        answering: Answering,
        when_durable: Callable[[Callable[[], None]], None],
    ) -> None:
        self._world, self._head, self._answering = world, head, answering
        self._asking: Asking | None = None
        self._fed: list[bytes] = []
        self._size = 0
        self._ended = self._aborted = self._holding = False
        when_durable(lambda: self._ask(exchange))

    def feed(self, data: bytes) -> None:
        if self._asking is not None:
            self._asking.feed(data)
        elif not self._aborted:
            self._fed.append(data)
            before, self._size = self._size, self._size + len(data)
            if before <= WAITING_BYTES < self._size:
                self._answering.crowded(crowded=True)

    def end(self) -> None:
        self._ended = True
        if self._asking is not None:
            self._asking.end()

    def abort(self) -> None:
        self._aborted = True
        self._fed.clear()
        if self._asking is not None:
            self._asking.abort()

    def hold(self, *, holding: bool) -> None:
        self._holding = holding
        if self._asking is not None:
            self._asking.hold(holding=holding)

    def _ask(self, exchange: Exchange) -> None:
        if self._aborted:
            return
        if self._size > WAITING_BYTES:
            self._answering.crowded(crowded=False)  # before the world may say the contrary
        asking = self._asking = self._world.ask(exchange, self._head, self._answering)
        for data in self._fed:
            asking.feed(data)
        self._fed.clear()
        if self._ended:
            asking.end()
        if self._holding:
            asking.hold(holding=True)
