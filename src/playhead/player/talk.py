"""A recorded websocket in a replay: what the client has to say before which answer, and what it has said.

The recording is read as messages. Each read of the server's side becomes a release of the whole frames that it completed, due
once the client has said as many messages and closes as it had when the read came. Pings and pongs are the connection's own
business: a live ping gets its pong here, and recorded pongs are left out.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, Protocol

from playhead.core.websocket import CLOSE, PING, PONG, Message, Reader, accepting, deflates, frame, frames, is_upgrade
from playhead.core.websocket import Said as Counter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playhead.core.websocket import Deflate
    from playhead.matching.divergence import Divergence
    from playhead.sessions.model import RecordedExchange

POLICY = 1008
"""The status of a close by which a conversation is refused that is not the recorded one (RFC 6455 section 7.4.1)."""
_REASON_AT_MOST = 123  # bytes, beside the status in a control frame
_FINAL = 0x80


class Said(NamedTuple):
    """One thing that a client says: a message, or a close with its status and reason. `lossy`: it may have lost a secret."""

    opcode: int
    text: bytes
    lossy: bool = False


class Hearing(Protocol):
    """Judges what one live client says, against what the recording has in its place."""

    def said(self, number: int, recorded: Said | None, live: Said) -> Divergence | None:
        """The client's next; `recorded` None: the recording has no more. A divergence may be of an earlier one, which
        redaction had not decided on."""

    def ended(self, number: int, recorded: Said | None) -> Divergence | None:
        """Nothing more comes; `recorded` would have been next."""


class Release(NamedTuple):
    """Bytes of the server that may leave once the client has said so much."""

    order: int
    t_ns: int
    data: bytes
    needs: int


def is_talk(exchange: RecordedExchange) -> bool:
    """Whether that exchange became a websocket."""
    return is_upgrade(exchange.head) and exchange.answer[9:12] == b"101"


def refusal(divergence: Divergence) -> bytes:
    """The close that a client gets that has left the recording."""
    at = f" at {divergence.path}" if divergence.path else ""
    reason = f"playhead replay: {divergence.kind}{at}".encode()[:_REASON_AT_MOST].decode(errors="ignore")
    return frame(_FINAL | CLOSE, POLICY.to_bytes(2, "big") + reason.encode())


class Talk:
    """One recorded websocket. `releases` are in their order; `recorded` is what the client said, `heard` how much of that it
    has said again."""

    def __init__(self, exchange: RecordedExchange) -> None:
        whole = exchange.answer
        head = whole.find(b"\r\n\r\n") + 4
        self._deflated = deflates(whole[:head])
        self.recorded = list(_said(exchange, self._deflated))
        self._sent = [sent.order for sent in exchange.sent]
        self._counts = list(_counted(exchange))
        self.releases = list(self._released(exchange, whole, head))
        self.needs = self._needs(exchange.ended_order)
        self.heard = 0
        self.asked = b""  # the head of the live request
        self.hearing: Hearing | None = None
        self._reader = Reader(self._deflated, client=True)
        self._is_closed = False  # the server has said its close

    def _needs(self, order: int) -> int:
        """How much the client had said by then."""
        at = len(self._sent) if order < 0 else bisect_left(self._sent, order)
        return min(self._counts[at - 1], len(self.recorded)) if at else 0

    def _released(self, exchange: RecordedExchange, whole: bytes, head: int) -> Iterator[Release]:
        """A frame leaves with the read that completed it, or its message: redaction may have changed lengths."""
        spans = list(frames(whole, head))
        ends = list(accumulate(len(chunk.data) for chunk in exchange.chunks))
        counter = Counter()
        said = 0
        at = begun = 0
        for number, chunk in enumerate(exchange.chunks):
            is_last = number == len(ends) - 1
            part = [] if begun or ends[number] < head else [whole[:head]]
            begun = begun or len(part)
            while at < len(spans):
                start, end, opcode = spans[at]
                if not is_last and (said >= chunk.said if chunk.said is not None else end > ends[number]):
                    break
                said = counter.feed(whole[start:end])
                part += [whole[start:end]] if opcode != PONG else []
                at += 1
            if part:
                yield Release(chunk.order, chunk.t_ns, b"".join(part), self._needs(chunk.order))

    # -- live

    def hear(self, data: bytes) -> Iterator[Said | bytes]:
        """What the client says with these bytes; bytes are what the server says to its pings."""
        for found in self._reader.feed(data):
            if isinstance(found, Message):
                yield Said(found.opcode, found.text)
            elif found.opcode == PING:
                yield frame(_FINAL | PONG, found.payload)
            elif found.opcode == CLOSE:
                yield Said(CLOSE, found.payload)

    def judged(self, said: Said) -> Divergence | None:
        """Whether the recorded client said that next."""
        number = self.heard
        self.heard += 1
        assert self.hearing is not None  # noqa: S101  it was asked for
        return self.hearing.said(number, self._at(number), said)

    def ended(self) -> Divergence | None:
        """The client has gone: whether it had said all that the recorded one said."""
        return None if self.hearing is None else self.hearing.ended(self.heard, self._at(self.heard))

    def answer(self, data: bytes) -> bytes:
        """The bytes of a release as this client must see them."""
        if data.startswith(b"HTTP/"):
            return accepting(data, self.asked)
        self._is_closed = self._is_closed or any(opcode == CLOSE for _, _, opcode in frames(data, 0))
        return data

    def farewell(self, said: Said) -> bytes:
        """The server's close that nobody recorded, for a client waits for it; b"" when there is one."""
        return b"" if self._is_closed else frame(_FINAL | CLOSE, said.text)

    def _at(self, number: int) -> Said | None:
        return self.recorded[number] if number < len(self.recorded) else None


def _said(exchange: RecordedExchange, deflated: Deflate | None) -> Iterator[Said]:
    reader = Reader(deflated, client=True)
    for sent in exchange.sent:
        for found in reader.feed(sent.read()):
            if isinstance(found, Message):
                yield Said(found.opcode, found.text, sent.lossy)
            elif found.opcode == CLOSE:
                yield Said(CLOSE, found.payload)


def _counted(exchange: RecordedExchange) -> Iterator[int]:
    """How much the client had said with each of its reads."""
    counter = Counter()
    for sent in exchange.sent:
        count = counter.feed(sent.read())
        yield count if sent.said is None else sent.said
