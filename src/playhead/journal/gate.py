"""The gate of a recorder: two answers are never let go so close together that their order is anybody's guess.

Two completions released within the client's own reaction time can be seen by it in either order, and so can the pieces of
two streams. So while another exchange is under way, what comes of one waits until the client was seen at rest after what
came of the other before it. Recording must not slow an agent down: it waits for at most 40 ms of the client's own
processor time (on a busy machine more time may pass, which the client spends waiting as well) and 500 ms in all; after
meeting that bound, or with more than 8 waiting, the gate lets everything pass for 100 ms and says so (`observed=False`). Why not a fixed 2 ms: see
docs/decisions/006-gate-bound.md.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from playhead.core.clock import monotonic_ns
from playhead.core.tape import Bound

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.tape import Exchange, Rest

HOLD = Bound(cpu_s=0.040, wall_s=0.500)
READ = Bound(cpu_s=0.250, wall_s=1.0)  # for what a reset would swallow
SUSPENSION_NS = 100_000_000
WAITING_MOST = 8


class Gate(Protocol):
    """Decides when what comes of an answer (its first byte, its end, a piece within it) may be released."""

    def begun(self, exchange: Exchange) -> None:
        """An exchange has started."""

    def release(
        self, exchange: Exchange, let_go: Callable[[bool], None], *, read_first: bool = False, within: bool = False
    ) -> bool:
        """Call `let_go(observed)` now or within the bound, in the order of these calls. True if called already. `within` an
        answer nobody need read on: what comes of another then waits for the client to sleep, no longer.
        With `read_first` the client must have read what this exchange delivered: for resets, because a client that
        finds bytes and a reset at once may report the one or the other."""

    def ended(self, exchange: Exchange) -> None:
        """An exchange is over, released or not."""


class OpenGate:
    """A gate that holds nothing: for platforms where rest cannot be observed, and to show that the gate matters."""

    def __init__(self) -> None:
        self._under_way = 0
        self._certain = True

    def begun(self, exchange: Exchange) -> None:  # noqa: ARG002
        self._under_way += 1
        if self._under_way == 1:
            self._certain = True

    def release(self, exchange: Exchange, let_go: Callable[[bool], None], **how: bool) -> bool:  # noqa: ARG002
        let_go(self._certain)
        self._certain = self._under_way <= 1
        return True

    def ended(self, exchange: Exchange) -> None:  # noqa: ARG002
        self._under_way -= 1


class ClientsOwn:
    """No gate: the client itself gives what it is answered a place in its order, so nothing is uncertain."""

    def begun(self, exchange: Exchange) -> None:
        """Nobody is kept."""

    def release(self, exchange: Exchange, let_go: Callable[[bool], None], **how: bool) -> bool:  # noqa: ARG002
        """Let go at once."""
        let_go(True)
        return True

    def ended(self, exchange: Exchange) -> None:
        """Nobody waits."""


class QuietGate:
    """The gate described above, over one client's process tree."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._under_way = 0
        self._waiting: deque[tuple[Exchange, Callable[[bool], None], bool]] = deque()
        self._released: Exchange | None = None  # its client may not have come to rest since
        self._is_within = False  # what was released of it was a piece within its answer
        self._suspended_until = 0

    def begun(self, exchange: Exchange) -> None:
        self._under_way += 1
        released = self._released
        if released is not None and not self._waiting and released.connection is exchange.connection:
            self._released = None  # it asked again on the connection just answered: it has read the answer

    def release(
        self, exchange: Exchange, let_go: Callable[[bool], None], *, read_first: bool = False, within: bool = False
    ) -> bool:
        ports = (exchange.connection.peer[1],)
        if read_first and not self._rest.resting(ports):

            def rested(_observed: bool) -> None:  # noqa: FBT001  the callback shape of Rest
                self.release(exchange, let_go)

            self._rest.when_resting(ports, rested, READ)
            return False
        before = self._released
        if not self._waiting:
            if before is None or before is exchange:
                self._let_go(exchange, let_go, within, observed=True)
                return True
            if monotonic_ns() < self._suspended_until:
                self._let_go(exchange, let_go, within, observed=False)
                return True
            if self._rest.resting(self._ports()):
                self._let_go(exchange, let_go, within, observed=True)
                return True
        self._waiting.append((exchange, let_go, within))
        if len(self._waiting) > WAITING_MOST:
            self._suspend()
            return True
        if len(self._waiting) == 1:
            self._wait()
        return False

    def ended(self, exchange: Exchange) -> None:  # noqa: ARG002
        self._under_way -= 1

    def _let_go(self, exchange: Exchange, let_go: Callable[[bool], None], within: bool, *, observed: bool) -> None:  # noqa: FBT001
        self._is_within = within and (self._is_within or self._released is not exchange)
        self._released = exchange if self._under_way > 1 else None
        let_go(observed)

    def _ports(self) -> tuple[int, ...]:
        before = self._released
        return () if before is None or self._is_within else (before.connection.peer[1],)

    def _wait(self) -> None:
        self._rest.when_resting(self._ports(), self._rested, HOLD)

    def _rested(self, observed: bool) -> None:  # noqa: FBT001  the callback shape of Rest
        if not self._waiting:
            return
        if not observed:
            self._suspend()
            return
        exchange, let_go, within = self._waiting.popleft()
        self._let_go(exchange, let_go, within, observed=True)
        if self._waiting:
            self._wait()

    def _suspend(self) -> None:
        self._suspended_until = monotonic_ns() + SUSPENSION_NS
        while self._waiting:
            exchange, let_go, within = self._waiting.popleft()
            self._let_go(exchange, let_go, within, observed=False)
