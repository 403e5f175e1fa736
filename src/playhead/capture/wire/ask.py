"""One question on its way into the world, and where its answer ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from playhead.capture.wire.framing import CHUNKED, NO_HEAD, UNTIL_CLOSE, AnswerStart, BadFramingError, Chunks
from playhead.core.events import Ending

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from playhead.core.tape import Answering, Exchange

MAX_QUEUED = 256 * 1024  # request bytes held while no line takes them, before the caller is asked to stop
MAX_REPEATABLE = 4 * 1024 * 1024  # request bytes held so that a request can be sent again
REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})  # RFC 9110 section 9.2.2


def _nobody_waits() -> None:
    pass


class Carrier(Protocol):
    """The line by which the world is asked."""

    def send(self, data: bytes) -> None:
        """Request bytes."""

    def pause(self) -> None:
        """Bring no more of the answer for now."""

    def resume(self) -> None:
        """Bring it again."""


class Reached(Protocol):
    """A line to the world together with where it leads; `is_used`: it has carried an exchange before."""

    address: str
    is_used: bool
    ask: Ask | None

    @property
    def line(self) -> Carrier: ...

    def release(self) -> None:
        """The exchange ended well; the line may carry the next."""

    def drop(self) -> None:
        """The line is of no more use."""


class Soon(Protocol):
    """Who calls back: an event loop, as far as a question needs it."""

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Any: ...


class Ask:
    """One question on its way: the `Asking` of core.tape. Knows where the answer ends and nothing else about it."""

    __slots__ = (
        "_chunks",
        "_closes",
        "_head",
        "_is_ended",
        "_is_held",
        "_is_over",
        "_left",
        "_loop",
        "_queue",
        "_queued",
        "_raw",
        "_repeat",
        "_start",
        "answering",
        "dialing",
        "exchange",
        "link",
        "method",
        "when_whole",
    )

    def __init__(self, loop: Soon, exchange: Exchange, answering: Answering, head: bytes) -> None:
        self._loop, self.exchange, self.answering = loop, exchange, answering
        self.method = head[: head.find(b" ")]
        self._head = head  # waits for the body that comes with it, to leave in one packet
        self._queue: list[bytes] = []
        self._queued = 0
        self._repeat: list[bytes] | None = None  # what was sent on a kept line, while it may have to be sent again
        self._start = AnswerStart(to_head=self.method == b"HEAD")
        self._left = 0  # body bytes to come, or UNTIL_CLOSE
        self._chunks: Chunks | None = None
        self._raw = exchange.protocol == "h2"
        self._is_ended = self._is_held = self._is_over = self._closes = False
        self.link: Reached | None = None
        self.dialing: asyncio.Task[None] | None = None
        self.when_whole: Callable[[], None] = _nobody_waits

    # -- the question

    @property
    def is_whole(self) -> bool:
        """Whether no more of the request is to come before there is an answer, or none that there is room for."""
        return self._is_ended or self._raw or self._is_held or b"\r\nexpect:" in self._head.lower()

    def begin(self, link: Reached) -> None:
        """A line was found or made; send what there is."""
        self.link, link.ask = link, self
        self.dialing = None
        if link.is_used and self.method in REPEATABLE:
            self._repeat = []
        self.answering.reached(link.address, reused=link.is_used)
        if self._raw:
            self.answering.upgraded(self.exchange.protocol)
        if self._queue:
            queue, self._queue = self._queue, []
            self._queued = 0
            self._write(self._head + b"".join(queue))
        elif self._is_ended:
            self._write(self._head)
        elif self._head:
            self._loop.call_soon(self._send_head)
        if self._is_held and self.link is not None:
            self._is_held = False
            self.answering.crowded(crowded=False)

    def feed(self, data: bytes) -> None:
        """Send more request bytes."""
        if self._is_over:
            return
        if self.link is not None:
            self._write(self._head + data if self._head else data)
            return
        self._queue.append(data)
        self._queued += len(data)
        if self._queued > MAX_QUEUED and not self._is_held:
            self._is_held = True
            self.answering.crowded(crowded=True)
            self.when_whole()

    def end(self) -> None:
        """The request is complete."""
        self._is_ended = True
        self.when_whole()
        if self._head and self.link is not None:
            self._write(self._head)

    def abort(self) -> None:
        """Drop the line at once."""
        self._is_over = True
        if self.dialing is not None:
            self.dialing.cancel()
        if self.link is not None:
            link, self.link = self.link, None
            link.drop()

    def hold(self, *, holding: bool) -> None:
        """Stop or take up again reading the answer."""
        if self.link is not None:
            if holding:
                self.link.line.pause()
            else:
                self.link.line.resume()

    def _send_head(self) -> None:
        if self._head and self.link is not None:
            self._write(self._head)

    def _write(self, data: bytes) -> None:
        self._head = b""
        if self._repeat is not None:
            self._repeat.append(data)
            if sum(map(len, self._repeat)) > MAX_REPEATABLE:
                self._repeat = None
        self.link.line.send(data)  # type: ignore[union-attr]

    # -- the answer

    def received(self, data: bytes) -> None:
        """One read of the answer."""
        self._repeat = None
        if self._raw:
            self.answering.answered(data, last=False)
            return
        try:
            end = self._measure(data)
        except BadFramingError:  # not HTTP as we know it: let the client judge, until either side closes
            self._chunks, self._start.head, self._left, end = None, NO_HEAD, UNTIL_CLOSE, -1
        if end < 0:
            self.answering.answered(data, last=False)
            return
        link, self.link = self.link, None
        self._is_over = True
        if link is not None:  # None: the tape aborted meanwhile
            if end == len(data) and self._is_ended and not self._closes:
                link.release()
            else:
                data = data[:end]
                link.drop()
            self.answering.answered(data, last=True)

    def take_back(self) -> bool:
        """Whether the question may be asked again on another line: the one it went out on was kept from an earlier
        exchange, and is dead without an answer."""
        if self._repeat is None:
            return False
        self.link = None
        self._queue, self._repeat = self._repeat, None
        return True

    def lost(self, error: OSError | None) -> None:
        """The line ended under the answer."""
        self.link = None
        if error is not None and not isinstance(error, ConnectionAbortedError):
            self._close(Ending.RESET, error.strerror or str(error))
        elif self._raw or self._left == UNTIL_CLOSE:
            self._close(Ending.CLOSED, str(error or ""))
        else:
            self._close(Ending.CUT, str(error or ""))

    def unreached(self, how: Ending, detail: str) -> None:
        """No line could be had."""
        self.dialing = None
        if not self._is_over:
            self._close(how, detail)

    def _measure(self, data: bytes) -> int:
        """The offset in `data` at which the message ends, -1 while it goes on. Raises BadFramingError."""
        at = 0
        start = self._start
        if start.head is None:
            at = start.read(data)
            if start.head is None:
                return -1
            self._left, self._closes = start.head.length, start.head.closes
            if start.upgrade:
                self._raw = True
                self.answering.upgraded(start.upgrade)
                return -1
            if self._left == CHUNKED:
                self._chunks = Chunks()
        if self._chunks is not None:
            end = self._chunks.scan(data, at)
            return end if self._chunks.is_done else -1
        if self._left == UNTIL_CLOSE:
            return -1
        here = len(data) - at
        if here < self._left:
            self._left -= here
            return -1
        at, self._left = at + self._left, 0
        return at

    def _close(self, how: Ending, detail: str) -> None:
        self._is_over = True
        if self.link is not None:
            link, self.link = self.link, None
            link.drop()
        self.answering.ended(how, detail)
