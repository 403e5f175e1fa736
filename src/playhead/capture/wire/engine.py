"""The wire engine: one port where every client of a run arrives, whatever it speaks.

It accepts connections, finds the requests in them, asks the tape and sends what the tape answers. It knows neither
storage nor, in a replay, the world. A run's launcher owns the listening socket; the engine only accepts on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from typing import TYPE_CHECKING

from playhead.capture.wire.arrival import Arrival
from playhead.capture.wire.dial import Dialer
from playhead.capture.wire.line import Line, tune
from playhead.capture.wire.switchboard import Switchboard, Uncaptured
from playhead.core.tape import Connection, Route

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from playhead.capture.wire.authority import Authority
    from playhead.capture.wire.rules import UpstreamRules
    from playhead.core.tape import Asker, Tape

__all__ = ["Engine", "Uncaptured"]

ACCEPTS_AT_ONCE = 64
RETRY_S = 0.1  # when the process has no file descriptor left
GRACE_S = 2.0
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Engine:
    """One engine on one running event loop (uvloop or the standard selector loop). Make it inside the loop."""

    def __init__(
        self,
        tape: Tape,
        *,
        authority: Authority,
        rules: UpstreamRules,
        report: Callable[[Uncaptured], None],
        offline: bool = False,
        expects: Callable[[str, int], bool] = lambda _host, _port: False,
        asker_of: Callable[[int], Asker | None] = lambda _port: None,
    ) -> None:
        """`report` hears of all traffic that was seen and not recorded. `offline`: nothing is ever dialled but what
        the rules allow live, and `expects(host, port)` tells where the tape has HTTP, so that a connection kept idle
        there is no sign of a server that speaks first. `asker_of` tells by a client's own port which of its lanes
        sends there."""
        self._loop = asyncio.get_running_loop()
        self._board = Switchboard(
            self._loop,
            tape,
            authority=authority,
            rules=rules,
            dialer=Dialer(rules, offline=offline),
            report=report,
            offline=offline,
            expects=expects,
            asker_of=asker_of,
        )
        self._listening: list[socket.socket] = []
        self._accepted = 0
        self._closed = asyncio.Event()

    @property
    def connections(self) -> int:
        """Connections open now, the world's end of blind tunnels included."""
        return len(self._board.lines)

    @property
    def turns(self) -> int:
        """Exchanges in progress."""
        return len(self._board.turns)

    def listen(self, sock: socket.socket) -> None:
        """Begin to accept on a listening socket, which stays the caller's. May be called for several."""
        sock.setblocking(False)
        self._board.own_ports.add(sock.getsockname()[1])
        self._listening.append(sock)
        self._loop.add_reader(sock.fileno(), self._accept, sock)

    async def serve(self, sock: socket.socket) -> None:
        """Accept on a listening socket until `close`."""
        self.listen(sock)
        await self._closed.wait()

    async def close(self, *, grace_s: float = GRACE_S) -> None:
        """Accept no more, let exchanges in progress end for at most `grace_s` seconds, then abandon what is left and
        close every connection. Tunnels still open are reported with what they relayed."""
        board = self._board
        for sock in self._listening:
            self._loop.remove_reader(sock.fileno())
        self._listening.clear()
        board.is_closing = True
        if board.turns:
            await _heard(grace_s, lambda ring: setattr(board, "on_quiet", ring))
        for turn, line in list(board.turns.items()):
            turn.abandon()
            line.reset()
        board.turns.clear()
        for line in list(board.lines):
            line.close()  # what was answered is still sent
        if board.lines:
            await _heard(grace_s, lambda ring: setattr(board, "on_empty", ring))
        for line in list(board.lines):
            line.abort()
        board.stop()
        self._closed.set()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED and listening in self._listening:
                    self._loop.remove_reader(listening.fileno())
                    self._loop.call_later(RETRY_S, self._accept_again, listening)
                return
            tune(sock)
            self._accepted += 1
            line = Line(self._loop, sock, quick_ack=True)
            self._board.keep(line)
            peer = (str(address[0]), int(address[1]))
            Arrival(self._board, line, Connection(self._accepted, peer, Route.BASE_URL))
            line.resume()

    def _accept_again(self, listening: socket.socket) -> None:
        if listening in self._listening:
            self._loop.add_reader(listening.fileno(), self._accept, listening)
            self._accept(listening)


async def _heard(timeout_s: float, hang: Callable[[Callable[[], None]], None]) -> None:
    """Wait until the bell that `hang` puts up is rung, for at most `timeout_s`."""
    bell = asyncio.Event()
    hang(bell.set)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await bell.wait()
