"""A client connection that speaks HTTP/2: one exchange, its bytes relayed raw and decoded from the recording later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playhead.core.clock import monotonic_ns
from playhead.core.events import Ending
from playhead.core.tape import Exchange

if TYPE_CHECKING:
    from playhead.capture.wire.line import Line
    from playhead.capture.wire.switchboard import Switchboard
    from playhead.core.tape import Connection, Target, Turn


class Relay:
    """The whole connection as one exchange without a head; also its `Caller`."""

    def __init__(
        self, board: Switchboard, line: Line, connection: Connection, target: Target, *, first: bytes = b""
    ) -> None:
        self._board, self._line = board, line
        self._turn: Turn | None = None
        self._is_over = False
        line.received, line.ended, line.crowded = self._received, self._ended, self._crowded
        board.exchanges += 1
        connection.asked += 1
        exchange = Exchange(board.exchanges, connection, target, monotonic_ns(), reused=False, protocol="h2")
        turn = board.tape_for(target).begin(exchange, b"", self)
        if not self._is_over:
            self._turn = turn
            board.turns[turn] = line
            if first:
                turn.feed(first)

    def deliver(self, data: bytes) -> None:
        """Send the world's bytes to the client."""
        self._line.send(data)

    def finish(self, how: Ending, detail: str = "") -> None:  # noqa: ARG002
        """The exchange is over, and the connection with it."""
        if self._drop_turn():
            if how in {Ending.COMPLETE, Ending.CLOSED, Ending.CUT}:
                self._line.close()
            else:
                self._line.reset()

    def hold(self, *, holding: bool) -> None:
        """Stop or take up again reading from the client."""
        if holding:
            self._line.pause()
        else:
            self._line.resume()

    def _received(self, data: bytes) -> None:
        if self._turn is not None:
            self._turn.feed(data)

    def _ended(self, error: OSError | None) -> None:
        del error
        turn = self._turn
        self._drop_turn()
        self._line.abort()
        if turn is not None:
            turn.abandon()

    def _crowded(self, flag: bool) -> None:  # noqa: FBT001 - a callback of Line
        if self._turn is not None:
            self._turn.hold(holding=flag)

    def _drop_turn(self) -> bool:
        was_open, self._is_over = not self._is_over, True
        turn, self._turn = self._turn, None
        self._board.turn_ended(turn)
        return was_open
