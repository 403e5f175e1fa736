"""HTTP/1.1 with one client: finds its requests, asks the tape, and sends what the tape answers.

Bytes pass unchanged; of heads that name a proxy's or base URL's target, only what names it is rewritten. Requests
that come before the answer to the one in progress wait in line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from playhead.capture.wire.framing import (
    CHUNKED,
    MAX_HEAD,
    NO_HEAD,
    AnswerStart,
    BadFramingError,
    Chunks,
    head_end,
    read_request,
)
from playhead.core.clock import monotonic_ns
from playhead.core.events import Ending
from playhead.core.tape import Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from playhead.core.tape import Asker as WhoAsks
    from playhead.core.tape import Connection, Route, Tape, Target, Turn

MAX_WAITING = 256 * 1024  # bytes of requests that wait for the one in progress, before reading stops


class Addressed(NamedTuple):
    """A request's target and its head in origin form."""

    head: bytes
    target: Target
    route: Route


class RefusedError(Exception):
    """The request is meant for nobody who is known; the text is for the client."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Client(Protocol):
    """The side that asks: a line from another process (`line.Line`), or a client of this one."""

    received: Callable[[bytes], None]
    ended: Callable[[OSError | None], None]
    crowded: Callable[[bool], None]
    is_closed: bool

    def send(self, data: bytes) -> None:
        """Answer bytes."""

    def close(self, *, drain: bool = False) -> None:
        """An end behind what was sent."""

    def abort(self) -> None:
        """An end at once."""

    def reset(self) -> None:
        """A connection error."""

    def pause(self) -> None:
        """Bring no more requests for now."""

    def resume(self) -> None:
        """Bring requests again."""

    def acknowledge(self) -> None:
        """What came was taken."""


class Board(Protocol):
    """What conversations share."""

    exchanges: int
    is_closing: bool

    @property
    def turns(self) -> MutableMapping[Turn, Any]:
        """Turns in progress, and whose."""

    def tape_for(self, target: Target) -> Tape:
        """Who answers what is asked there."""

    def asker_of(self, port: int) -> WhoAsks | None:
        """Who sends from that port, when a hook said so."""

    def turn_ended(self, turn: Turn | None) -> None:
        """Forget a turn in progress."""

    def unreadable(self, target: Target) -> None:
        """What a client said to that place is refused, and nobody records it."""


class Conversation:
    """One client connection that speaks HTTP/1.1. `target` is set where the connection itself says who is meant (a
    tunnel, an intercepted TLS); without, `locate(head, request target)` reads each request for it. `on_connect(head,
    rest)` takes over at a CONNECT."""

    __slots__ = (
        "_asker",
        "_board",
        "_buffer",
        "_chunks",
        "_connection",
        "_in_body",
        "_is_working",
        "_left",
        "_line",
        "_locate",
        "_on_connect",
        "_searched",
        "_target",
        "_turn",
    )

    def __init__(
        self,
        board: Board,
        line: Client,
        connection: Connection,
        *,
        target: Target | None = None,
        locate: Callable[[bytes, bytes], Addressed] | None = None,
        on_connect: Callable[[bytes, bytes], None] | None = None,
    ) -> None:
        """Take over the line. Bytes already read are handed to `received`."""
        self._board, self._line, self._connection = board, line, connection
        self._target, self._locate, self._on_connect = target, locate, on_connect
        self._buffer = b""
        self._searched = 0  # bytes of the buffer known not to end a head
        self._in_body = self._is_working = False
        self._left = 0
        self._chunks: Chunks | None = None
        self._asker: Asker | None = None
        self._turn: Turn | None = None
        line.received, line.ended, line.crowded = self.received, self.ended, self.crowded

    @property
    def is_in_body(self) -> bool:
        """Whether there is more to come of a request."""
        return self._in_body

    # -- what the line says

    def received(self, data: bytes) -> None:
        """Bytes from the client."""
        self._buffer = self._buffer + data if self._buffer else data
        if not self._is_working:
            self._work()

    def ended(self, error: OSError | None) -> None:
        """The client closed, or its connection failed: whatever is in progress is abandoned at once."""
        del error
        turn = self._drop_turn()
        self._line.abort()
        if turn is not None:
            turn.abandon()

    def crowded(self, flag: bool) -> None:  # noqa: FBT001 - a callback of Line
        """The client reads slower than we write, or no longer so."""
        if self._turn is not None:
            self._turn.hold(holding=flag)

    # -- requests

    def _work(self) -> None:
        """Go on as far as the buffer and the turn in progress allow."""
        self._is_working = True
        try:
            while self._buffer and not self._line.is_closed:
                if self._in_body:
                    self._take_body()
                elif self._asker is not None:
                    if self._asker.is_raw and self._turn is not None:
                        data, self._buffer = self._buffer, b""
                        self._turn.feed(data)
                        break
                    if len(self._buffer) > MAX_WAITING:
                        self._line.pause()
                    break
                elif not self._take_head():
                    break
        except BadFramingError as error:
            self._refuse(400, f"Playhead cannot read this request: {error}.\n")
        finally:
            self._is_working = False

    def _take_head(self) -> bool:
        data = self._buffer
        if data[0] in b"\r\n":  # RFC 9112 section 2.2: an empty line before a request counts for nothing
            data = self._buffer = data.lstrip(b"\r\n")
        end = head_end(data, self._searched)
        if end < 0:
            self._searched = max(0, len(data) - 3)
            if len(data) > MAX_HEAD:
                self._refuse(431, "Playhead reads heads of at most 256 KiB.\n")
            return False
        self._searched = 0
        head, self._buffer = data[:end], data[end:]
        request = read_request(head)
        target = self._target
        if target is None:
            if request.method == b"CONNECT" and self._on_connect is not None:
                rest, self._buffer = self._buffer, b""
                self._on_connect(head, rest)
                return False
            try:
                assert self._locate is not None  # noqa: S101  its owner names the target or reads it
                found = self._locate(head, request.target)
            except RefusedError as error:
                self._refuse(error.status, str(error))
                return False
            head, target = found.head, found.target
            self._connection.route = found.route
        length = request.length
        if length == CHUNKED:
            self._chunks = Chunks()
            self._in_body = True
        elif length:
            self._left = length
            self._in_body = True
        self._begin(head, target, closes=request.closes, to_head=request.method == b"HEAD")
        if not self._in_body and self._turn is not None:
            self._turn.end()
        return True

    def _begin(self, head: bytes, target: Target, *, closes: bool, to_head: bool) -> None:
        board, connection = self._board, self._connection
        board.exchanges += 1
        exchange = Exchange(
            board.exchanges,
            connection,
            target,
            monotonic_ns(),
            connection.asked > 0,
            asker=board.asker_of(connection.peer[1]),
        )
        connection.asked += 1
        asker = self._asker = Asker(self, exchange, closes=closes, to_head=to_head)
        turn = board.tape_for(target).begin(exchange, head, asker)
        if self._asker is asker:  # else the tape answered already
            self._turn = turn
            board.turns[turn] = self._line

    def _take_body(self) -> None:
        data = self._buffer
        if self._chunks is not None:
            end = self._chunks.scan(data)
            if self._chunks.is_done:
                self._chunks, self._in_body = None, False
        else:
            end = min(self._left, len(data))
            self._left -= end
            self._in_body = self._left > 0
        self._buffer = data[end:]
        if self._turn is not None:  # else the tape has answered, and the rest of the body goes nowhere
            self._turn.feed(data if end == len(data) else data[:end])
            if not self._in_body and self._turn is not None:
                self._turn.end()

    def _refuse(self, status: int, text: str) -> None:
        """Answer in the engine's own name, and close."""
        turn = self._drop_turn()
        if turn is not None:
            turn.abandon()
        elif self._target is not None:  # what a client says and nobody records must be named
            self._board.unreadable(self._target)
        body = text.encode()
        self._buffer = b""
        self._line.send(
            b"HTTP/1.1 %d Playhead\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n" % (status, len(body)) + body
        )
        self._line.close(drain=True)

    def _drop_turn(self) -> Turn | None:
        turn, self._turn = self._turn, None
        if self._asker is not None:
            self._asker.conversation = None
            self._asker = None
        self._board.turn_ended(turn)
        return turn

    # -- what the asker says

    def finished(self, how: Ending, *, closes: bool) -> None:
        """The exchange in progress is over."""
        self._drop_turn()
        line = self._line
        if how is Ending.COMPLETE and not closes and not self._board.is_closing:
            line.acknowledge()
            line.resume()
            if self._buffer and not self._is_working:
                self._work()
        elif how in {Ending.COMPLETE, Ending.CLOSED, Ending.CUT}:
            line.close(drain=self._in_body)
        elif how is Ending.ABANDONED:
            line.abort()
        else:
            line.reset()

    def deliver(self, data: bytes) -> None:
        """Send answer bytes."""
        self._line.send(data)

    def hold(self, *, holding: bool) -> None:
        """Stop or take up again reading the request."""
        if holding:
            self._line.pause()
        else:
            self._line.resume()

    def turned_raw(self) -> None:
        """The answer was a 101: what waits is no request any more."""
        if not self._is_working:
            self._work()


class Asker:
    """The `Caller` of one exchange. Reads the answer's head only to know whether the connection outlives it."""

    __slots__ = ("_closes", "_exchange", "_start", "conversation", "is_raw")

    def __init__(self, conversation: Conversation, exchange: Exchange, *, closes: bool, to_head: bool) -> None:
        self.conversation: Conversation | None = conversation
        self._exchange, self._closes = exchange, closes
        self._start = AnswerStart(to_head=to_head)
        self.is_raw = False

    def deliver(self, data: bytes) -> None:
        """Send answer bytes to the client."""
        conversation = self.conversation
        if conversation is None:
            return
        conversation.deliver(data)
        if self._start.head is None:
            self._read(data)

    def finish(self, how: Ending, detail: str = "") -> None:  # noqa: ARG002
        """The exchange is over."""
        conversation, self.conversation = self.conversation, None
        if conversation is not None:
            conversation.finished(how, closes=self._closes)

    def hold(self, *, holding: bool) -> None:
        """Stop or take up again reading the request."""
        if self.conversation is not None:
            self.conversation.hold(holding=holding)

    def _read(self, data: bytes) -> None:
        start = self._start
        try:
            start.read(data)
        except BadFramingError:
            start.head = NO_HEAD
        if start.head is None:
            return
        self._closes = self._closes or start.head.closes
        if start.upgrade:
            self.is_raw = True
            self._exchange.protocol = start.upgrade
            if self.conversation is not None:
                self.conversation.turned_raw()
