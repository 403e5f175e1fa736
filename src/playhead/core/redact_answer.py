"""An answer as it is read from the wire, without its secrets: heads, then a body in whatever framing and coding.

As long as nothing is found the bytes that come out are those that went in, later at most by what is undecided. A token in
a plain body is as long as its secret. A body in a content coding is undone beside the stored bytes; once a secret shows,
nothing more of it is let go, and at its end the whole answer is given in another spelling (`instead`), piece by piece as
it was read, in the same coding and framing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from playhead.core.late import late
from playhead.core.redact import Fed
from playhead.core.redact_deltas import Deltas, Only
from playhead.core.redact_eventstream import CONTENT_TYPE, Messages
from playhead.core.redact_frames import Frames
from playhead.core.redact_framing import Dechunked, Deframer, Encoder, Undecodable, decoder
from playhead.core.redact_h2 import Blotted
from playhead.core.redact_likeness import Likeness, likeness
from playhead.core.websocket import deflates

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.redact import Scope, Stream
    from playhead.core.redact_framing import Judge

DECODED_AT_MOST = 64 << 20
"""Bytes of a decoded body that are looked through; what comes behind them is stored as it came."""
KEPT_AT_MOST = 16 << 20
"""Bytes of a coded body that are kept to be written again. A secret behind them ends the recording."""

_HEAD_AT_MOST = 262_144
_LENGTH = late(rb"(?i)(\ncontent-length[ \t]*:[ \t]*)[0-9]+")
_LIST = late(rb"[0-9A-Fa-f]+\r\n[ \t\r\n]*\[")
_EVENTS = (
    b"text/event-stream",
    b"application/x-ndjson",
    b"application/jsonl",
    b"application/stream+json",
    b"application/x-jsonlines",
)


class _Read(NamedTuple):
    """A read of events: its length; its only text; whether it is like one that was calm."""

    size: int
    only: Only | None = None
    is_alike: bool = False


class Text:
    """Plain bytes of a body: events first (`Deltas`), then everything (`Stream`). What comes out is as long as what went
    in, held bytes apart."""

    def __init__(self, stream: Callable[[], Stream], *, events: bool) -> None:
        self._all = stream()
        self._deltas = Deltas(stream) if events else None
        self._reads: deque[_Read] = deque()  # that `Deltas` holds
        self._like: Likeness | None = None

    @property
    def held(self) -> int:
        return self._all.held + (self._deltas.held if self._deltas is not None else 0)

    def feed(self, data: bytes, *, last: bool = False) -> bytes:
        """Take a read; what is decided, all of it if it is the `last`."""
        deltas = self._deltas
        if deltas is None:
            return self._all.feed(data, last=last).data
        like = self._like
        text = None if like is None or last or not deltas.is_between_lines else like.text(data)
        if text is not None and like is not None:
            first = len(like.before)
            done = deltas.feed_text(data, (first, first + len(text), like.place))
            if done is data and not self._reads and self._all.is_clear:
                self._all.follow(data)
                return data
            self._reads.append(_Read(len(data), is_alike=True))
        else:
            done, only = deltas.feed(data)
            read = _Read(len(data), only)
            if done is data and data and not self._reads and not last:
                return self._judged(data, read, last=False)
            self._reads.append(read)
        if last:
            done += deltas.close()
        return self._judge(done, last=last)

    def _judge(self, done: bytes, *, last: bool = False) -> bytes:
        """What `Deltas` lets go, read by read."""
        if not done:
            return self._all.feed(b"", last=True).data if last else b""
        judged: list[bytes] = []
        at = 0
        while at < len(done):
            read = self._reads.popleft()
            piece = done[at : at + read.size]
            at += read.size
            if len(piece) < read.size:
                self._reads.appendleft(_Read(read.size - len(piece)))
                judged.append(self._all.feed(piece).data)
            else:
                judged.append(self._judged(piece, read, last=last and at >= len(done)))
        return judged[0] if len(judged) == 1 else b"".join(judged)

    def _judged(self, piece: bytes, read: _Read, *, last: bool) -> bytes:
        """A whole read that `Deltas` let go."""
        if read.is_alike and self._all.is_clear and self._like is not None and self._like.text(piece) is not None:
            self._all.follow(piece)
            return piece
        judged = self._all.feed(piece, last=last).data
        if read.only is not None and judged is piece and self._all.is_clear:
            first, last_of, place = read.only
            self._like = None if self._all.has_quotes else likeness(piece, first, last_of, place)
        return judged

    def close(self) -> bytes:
        """What was held back, judged as the end."""
        lead = self._judge(self._deltas.close()) if self._deltas is not None else b""
        return lead + self._all.close()


def _field(lower: bytes, name: bytes) -> bytes:
    """The last value of the header `name` (behind its line break) in a head in small letters; b"" when it is absent."""
    at = lower.rfind(name)
    while at >= 0:
        bare, colon, value = lower[at + len(name) : lower.find(b"\n", at + 1)].partition(b":")
        if colon and not bare.strip():
            return value.strip()
        at = lower.rfind(name, 0, at)
    return b""


class Coded:
    """A body in one content coding. `reads` are its bytes as they came, one a call."""

    def __init__(self, coding: str, text: Callable[[], Text], *, chunked: bool) -> None:
        undo = decoder(coding)
        assert undo is not None  # noqa: S101  the caller has asked
        self.found = False
        self.reads: list[bytes] = []
        self._coding, self._chunked, self._make = coding, chunked, text
        self._undo = undo
        self._deframer = Deframer(chunked=chunked)
        self._text = text()
        self._plain = bytearray()  # decoded and not judged
        self._waiting = bytearray()
        self._size = self._kept = self._begin = 0
        self._blind = False

    @property
    def held(self) -> int:
        return len(self._waiting)

    def feed(self, data: bytes) -> bytes:
        """Take a read; what may be written of it and those before."""
        self._keep(data)
        self._waiting += data
        if not self._blind:
            start = self._begin
            self._begin += len(data)
            payload = b"".join(data[a - start : b - start] for a, b in self._deframer.feed(data))
            try:
                for piece in self._undo.feed(payload):
                    self._look(piece)
            except Undecodable:
                self._blind = True
        if self.found or not (self._blind or (self._undo.settled and not self._text.held)):
            return b""
        done = bytes(self._waiting)
        self._waiting.clear()
        return done

    def close(self) -> bytes:
        """The rest, unless a secret was found: then the answer is written again."""
        if not self._blind and not self.found:
            self._compare(self._text.close())
        if self.found:
            return b""
        done = bytes(self._waiting)
        self._waiting.clear()
        return done

    def _keep(self, data: bytes) -> None:
        self._kept += len(data)
        if self._kept <= KEPT_AT_MOST:
            self.reads.append(data)
        elif self.found:
            raise ValueError("a coded answer with a secret is too large to be written again")

    def _look(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > DECODED_AT_MOST:
            self._blind = True
        elif not self.found:
            self._plain += piece
            self._compare(self._text.feed(piece))

    def _compare(self, judged: bytes) -> None:
        if judged != self._plain[: len(judged)]:
            self.found = True
            if self._kept > KEPT_AT_MOST:
                raise ValueError("a coded answer with a secret is too large to be written again")
        del self._plain[: len(judged)]

    def again(self) -> list[bytes]:
        """The reads in their coding and framing, without what was found; one for each."""
        undo, deframer, text = decoder(self._coding), Deframer(chunked=self._chunked), self._make()
        assert undo is not None  # noqa: S101
        ends: list[int] = []
        clean: list[bytes] = []
        size = at = 0
        first = b""
        for data in self.reads:
            payload = b"".join(data[a - at : b - at] for a, b in deframer.feed(data))
            first = first or payload[:2]
            at += len(data)
            try:
                for piece in undo.feed(payload):
                    if size + len(piece) <= DECODED_AT_MOST:
                        size += len(piece)
                        clean.append(text.feed(piece))
            except Undecodable:
                pass
            ends.append(size)
        clean.append(text.close())
        whole = b"".join(clean)
        encoder = Encoder(self._coding, first)
        coded = [encoder.piece(whole[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
        if coded and undo.eof:
            coded[-1] += encoder.end()
        if self._chunked:
            coded = [b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b"" for piece in coded]
            if coded and deframer.rest >= 0:
                coded[-1] += b"0\r\n\r\n"
        return coded


class Answer:
    """One answer, read by read. `instead`, once it is over: the reads as they are to be written in the place of all that
    was let go, or None. `sent` judges what the client says after an upgrade."""

    def __init__(self, stream: Callable[[], Stream], scope: Scope, *, bodies: bool, h2: bool = False) -> None:
        self.instead: list[bytes] | None = None
        self.sent: Frames | Blotted | None = None
        self._stream, self._scope, self._bodies = stream, scope, bodies
        self._in_heads = True
        self._may_list = False
        self._head = b""  # of what is not a whole head yet
        self._leads: list[bytes] = []  # of each read: the heads that ended in it
        self._body: Text | Coded | Judge | None = None
        if h2:  # credentials of the wire are never stored, with bodies off neither
            self._in_heads = False
            self._body, self.sent = Blotted(stream), Blotted(stream, client=True)

    @property
    def held(self) -> int:
        return len(self._head) + (self._body.held if self._body is not None else 0)

    def feed(self, data: bytes, *, last: bool = False) -> Fed:
        """Take a read; what can be written, and how many bytes are held back. An empty result is normal."""
        lead = b""
        if self._in_heads:
            lead, data = self._take_heads(self._head + data)
            self._head = data if self._in_heads else b""
        if self._may_list and data:  # Gemini's streams without `alt=sse` are lists of events
            self._may_list = False
            if _LIST.match(data) is not None:
                self._body = self._dechunked(Text(self._stream, events=True))
        if isinstance(self._body, Coded) or self._in_heads:
            self._leads.append(lead)
        if self._in_heads:
            return Fed(lead + self.close(), 0) if last else Fed(lead, self.held)
        if last and isinstance(self._body, Text):
            done = self._body.feed(data, last=True)
        else:
            done = self._body.feed(data) if self._body is not None else data
            if done is data and len(data) > 1 and not last:  # nothing is held (a single byte is always the same object)
                return Fed(lead + done if lead else done, 0)
            if last:
                done += self.close()
        return Fed(lead + done if lead else done, self.held)

    def close(self) -> bytes:
        """What was held back, judged as the end."""
        if self._in_heads:
            head, self._head = self._head, b""
            return self._scope.head(head)
        if self._body is None:
            return b""
        rest = self._body.close()
        if isinstance(self._body, Coded) and self._body.found and self.instead is None:
            self.instead = self._again(self._body)
        return rest

    def _again(self, body: Coded) -> list[bytes]:
        pieces = body.again()
        before = len(self._leads) - len(pieces)
        pieces = [b""] * before + pieces
        total = sum(map(len, pieces))
        whole = [lead + piece for lead, piece in zip(self._leads, pieces, strict=True)]
        return [
            _LENGTH.sub(rb"\g<1>%d" % total, one, count=1) if lead else one
            for lead, one in zip(self._leads, whole, strict=True)
        ]

    def _take_heads(self, data: bytes) -> tuple[bytes, bytes]:
        """Heads at the front of `data`, redacted, and what follows them. An interim answer (1xx, but not 101) is
        followed by another head."""
        done: list[bytes] = []
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > _HEAD_AT_MOST or not (data.startswith(b"HTTP/") or b"HTTP/".startswith(data[:5])):
                    self._begin(b"")
                return b"".join(done), data
            head, data = data[: end + 4], data[end + 4 :]
            done.append(self._scope.head(head))
            status = head[9:12]
            if not (status[:1] == b"1" and status != b"101"):
                self._begin(head)
                return b"".join(done), data

    def _begin(self, head: bytes) -> None:
        """The last head was read (b"": these bytes are no answer): how its body is judged."""
        self._in_heads = False
        if head[9:12] == b"101":
            deflated = deflates(head)
            if self._bodies and b"websocket" in head.lower():
                self._body, self.sent = Frames(self._stream, deflated), Frames(self._stream, deflated, client=True)
                return
        if not self._bodies:
            return
        lower = head.lower()
        coding = _field(lower, b"\ncontent-encoding").decode("latin-1")
        chunked = _field(lower, b"\ntransfer-encoding").find(b"chunked") >= 0
        kind = _field(lower, b"\ncontent-type")
        events = kind.startswith(_EVENTS)
        if coding and coding != "identity" and decoder(coding) is not None:
            self._body = Coded(coding, lambda: Text(self._stream, events=events), chunked=chunked)
        else:
            is_messages = kind.startswith(CONTENT_TYPE)
            inner = Messages(self._stream) if is_messages else Text(self._stream, events=events)
            self._body = self._dechunked(inner) if chunked else inner
            self._may_list = chunked and kind.startswith(b"application/json")

    def _dechunked(self, inner: Judge) -> Dechunked:
        return Dechunked(inner, lambda: Text(self._stream, events=False))
