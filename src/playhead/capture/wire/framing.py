"""Where an HTTP/1 message ends: the only thing the wire needs to know about the bytes it relays.

Heads are read for their framing and nothing else, and read tolerantly: whatever the far end would take must pass.
Rules are those of RFC 9112 section 6. Nothing here keeps, changes or judges a header.

Own code and not a parser library, because a relay needs the *offset* at which a message ends (to tell a pipelined
request, an unsolicited byte or the bytes after a 101 from the message), which httptools does not report.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

MAX_HEAD = 256 * 1024
MAX_CHUNK_LINE = 16 * 1024
CHUNKED = -1  # a body length: framed by chunks
UNTIL_CLOSE = -2  # a body length: whatever comes until the connection closes
SWITCHING = 101  # the status after which bytes are no longer HTTP


_FIELDS = re.compile(rb"\n(content-length|transfer-encoding|connection):[ \t]*([^\r\n]*)")


class BadFramingError(Exception):
    """These bytes cannot be an HTTP/1 message; the text says why."""


class RequestHead(NamedTuple):
    """A request's first line and framing. `length` counts body bytes, or is CHUNKED."""

    method: bytes
    target: bytes
    length: int
    closes: bool  # the client wants the connection closed after the answer


class AnswerHead(NamedTuple):
    """An answer's status and framing. `length` counts body bytes, or is CHUNKED or UNTIL_CLOSE."""

    status: int
    length: int
    closes: bool  # the server will close the connection after the answer


def head_end(data: bytes, start: int = 0) -> int:
    """The offset just past the blank line that ends a head, searched from `start`; -1 when it is not there yet."""
    crlf = data.find(b"\n\r\n", start)
    bare = data.find(b"\n\n", start, crlf + 1 if crlf >= 0 else len(data))
    if bare >= 0:
        return bare + 2
    return crlf + 3 if crlf >= 0 else -1


def read_request(head: bytes) -> RequestHead:
    """What a complete request head says. Raises BadFramingError."""
    parts = head[: head.find(b"\n")].split(b" ")
    if len(parts) != 3 or parts[2][:7] != b"HTTP/1." or not parts[0] or not parts[1]:
        raise BadFramingError("the first line is not METHOD TARGET HTTP/1.x")
    length, closes = _framing(head.lower(), old=parts[2][7:8] == b"0")
    # A request without a length has no body.
    return RequestHead(parts[0], parts[1], 0 if length == UNTIL_CLOSE else length, closes)


@lru_cache(maxsize=64)  # both sides of the wire read each head
def read_answer(head: bytes, *, to_head: bool) -> AnswerHead:
    """What a complete answer head says; `to_head`: it answers a HEAD request. Raises BadFramingError."""
    if head[:7] != b"HTTP/1." or head[8:9] != b" " or not head[9:12].isdigit():
        raise BadFramingError("the first line is not HTTP/1.x STATUS")
    status = int(head[9:12])
    length, closes = _framing(head.lower(), old=head[7:8] == b"0")
    if to_head or status < 200 or status in {204, 304}:
        length = 0
    return AnswerHead(status, length, closes or length == UNTIL_CLOSE)


def header(lower: bytes, name: bytes) -> bytes | None:
    """The value of the first header `name` (lower case) in a lower-cased head; None when there is none."""
    at = lower.find(b"\n" + name + b":")
    if at < 0:
        return None
    begin = at + len(name) + 2
    return lower[begin : lower.find(b"\n", begin)].strip()


NO_HEAD = AnswerHead(0, UNTIL_CLOSE, closes=True)  # stands for a head that is no HTTP/1


class AnswerStart:
    """Reads an answer up to its final head, interim ones (1xx) included, fed with bytes split anywhere.

    `head` is the final head once it was read; `upgrade` names the protocol when it is a 101, after which all bytes
    are the other protocol's.
    """

    __slots__ = ("_buffer", "_to_head", "head", "upgrade")

    def __init__(self, *, to_head: bool) -> None:
        self._to_head, self._buffer = to_head, b""
        self.head: AnswerHead | None = None
        self.upgrade = ""

    def read(self, data: bytes) -> int:
        """The offset in `data` just past the final head; -1 when it is not complete yet. Raises BadFramingError."""
        whole = self._buffer + data if self._buffer else data
        begin = 0
        while (end := head_end(whole, begin)) >= 0:
            head = read_answer(whole[begin:end], to_head=self._to_head)
            if head.status >= 200 or head.status == SWITCHING:
                self.head = head
                if head.status == SWITCHING:
                    self.upgrade = _upgrade_name(whole[begin:end])
                self._buffer = b""
                return end - len(whole) + len(data)
            begin = end
        self._buffer = whole[begin:]
        if len(self._buffer) > MAX_HEAD:
            raise BadFramingError("the head is too long")
        return -1


def _upgrade_name(head: bytes) -> str:
    """The protocol a 101 answer switches to, in lower case; "upgrade" when it does not say."""
    return (header(head.lower(), b"upgrade") or b"upgrade").decode("ascii", "replace")


def _framing(lower: bytes, *, old: bool) -> tuple[int, bool]:
    """The length of the body and whether the connection closes after it, by a lower-cased head of HTTP/1.1 or, `old`,
    HTTP/1.0. Transfer-Encoding goes before Content-Length (RFC 9112 section 6.3)."""
    length, coding, closes, keeps = UNTIL_CLOSE, b"", False, False
    for name, value in _FIELDS.findall(lower):
        if name == b"content-length":
            length = _number(value, length)
        elif name == b"connection":
            closes = closes or b"close" in value
            keeps = keeps or b"keep-alive" in value
        else:
            coding = value
    if coding:
        length = CHUNKED if coding.rsplit(b",", 1)[-1].strip() == b"chunked" else UNTIL_CLOSE
    return length, closes or (old and not keeps)


def _number(value: bytes, before: int) -> int:
    """A Content-Length, which may be repeated, in one header or several, if it is always the same."""
    texts = {text.strip() for text in value.split(b",")} if b"," in value else {value.strip()}
    text = texts.pop()
    if texts or not text.isdigit() or before not in {UNTIL_CLOSE, int(text)}:
        raise BadFramingError("the content length is not one number")
    return int(text)


class Chunks:
    """Finds the end of a chunked body, fed with its bytes split anywhere (RFC 9112 section 7.1).

    Extensions and trailers count as part of the body. `is_done` once the blank line after the trailers was seen.
    """

    __slots__ = ("_in_trailers", "_left", "_line", "is_done")

    def __init__(self) -> None:
        self.is_done = False
        self._in_trailers = False
        self._left = 0  # bytes of the present chunk still to come, its line end included
        self._line = b""

    def scan(self, data: bytes, at: int = 0) -> int:
        """Read `data` from offset `at`; the offset just past what belongs to the body. Raises BadFramingError."""
        size = len(data)
        while at < size:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
                at += step
                continue
            end = data.find(b"\n", at)
            if end < 0:
                self._line += data[at:]
                if len(self._line) > MAX_CHUNK_LINE:
                    raise BadFramingError("a chunk's first line is too long")
                return size
            line = data[at:end] if not self._line else self._line + data[at:end]
            self._line = b""
            at = end + 1
            if not self._in_trailers and line[-1:] == b"\r" and (digits := line[:-1]).isalnum():  # as most are
                self._left = self._size(digits)
                continue
            line = line.rstrip(b"\r")
            if self._in_trailers:
                if not line:
                    self.is_done = True
                    return at
                continue
            self._left = self._chunk(line)
        return at

    def _chunk(self, line: bytes) -> int:
        digits = line.split(b";", 1)[0].strip()
        if not digits.isalnum():
            raise BadFramingError("a chunk does not begin with its size")
        return self._size(digits)

    def _size(self, digits: bytes) -> int:
        """The bytes of a chunk and its line end."""
        try:
            count = int(digits, 16)
        except ValueError:
            raise BadFramingError("a chunk does not begin with its size") from None
        if count == 0:
            self._in_trailers = True
            return 0
        return count + 2
