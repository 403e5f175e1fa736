"""A tape that records nothing: plain requests to hosts the user wants left alone go to the world and back.

Such a request arrives on a connection that may next carry one to be recorded, so it cannot be tunnelled blind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from playhead.capture.wire.upstream import Upstream
from playhead.core.events import Ending

if TYPE_CHECKING:
    from playhead.capture.wire.switchboard import Switchboard
    from playhead.core.tape import Caller, Exchange


class Passthrough:
    """A Tape straight to the world. Every exchange is reported as uncaptured when it ends."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self._world: Upstream | None = None

    def begin(self, exchange: Exchange, head: bytes, caller: Caller) -> PassedTurn:
        """Start an exchange (see core.tape)."""
        if self._world is None:
            self._world = Upstream(self._board.rules, dialer=self._board.dialer)
        return PassedTurn(self._board, self._world, exchange, head, caller)

    def close(self) -> None:
        """Close the lines to the world."""
        if self._world is not None:
            self._world.close()


class PassedTurn:
    """One unrecorded exchange, and the bytes it moved."""

    def __init__(self, board: Switchboard, world: Upstream, exchange: Exchange, head: bytes, caller: Caller) -> None:
        self._board, self._exchange, self._caller = board, exchange, caller
        self._bytes = len(head)
        self._asking = world.ask(exchange, head, _Answer(self))

    def feed(self, data: bytes) -> None:
        """More of the request."""
        self._bytes += len(data)
        self._asking.feed(data)

    def end(self) -> None:
        """The request is complete."""
        self._asking.end()

    def abandon(self) -> None:
        """The caller went away."""
        self._asking.abort()
        self._report()

    def hold(self, *, holding: bool) -> None:
        """Stop or take up the answer."""
        self._asking.hold(holding=holding)

    def passed(self, data: bytes) -> None:
        """More of the answer."""
        self._bytes += len(data)
        self._caller.deliver(data)

    def over(self, how: Ending) -> None:
        """The answer ended."""
        self._report()
        self._caller.finish(how)

    def hold_caller(self, *, holding: bool) -> None:
        """Stop or take up the request."""
        self._caller.hold(holding=holding)

    def _report(self) -> None:
        self._board.report_blind(self._exchange.target, self._bytes)


class _Answer:
    """The ear of a passed turn: an Answering."""

    def __init__(self, turn: PassedTurn) -> None:
        self._turn = turn

    def answered(self, data: bytes, *, last: bool) -> None:
        """One read of the answer."""
        self._turn.passed(data)
        if last:
            self._turn.over(Ending.COMPLETE)

    def ended(self, how: Ending, detail: str = "") -> None:
        """The answer ended without a last read."""
        del detail
        self._turn.over(how)

    def reached(self, address: str, *, reused: bool) -> None:
        """The world was reached."""

    def upgraded(self, protocol: str) -> None:
        """The bytes are relayed raw from here on; nothing to do."""

    def crowded(self, *, crowded: bool) -> None:
        """The world reads slower than the client sends, or no longer so."""
        self._turn.hold_caller(holding=crowded)
