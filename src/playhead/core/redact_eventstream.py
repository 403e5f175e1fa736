"""Amazon's event streams (Bedrock), without secrets in their messages.

A message is headers and a JSON payload between two checksums. `InvokeModelWithResponseStream` puts the model's own event into
it as base64, `ConverseStream` says it as it is. Messages wait until they are whole and judged; what they say is judged as the
lines of one text, so that a secret over several of them is found. Every message stays as long as it was, and one that lost
a secret gets its checksum anew.
Format: application/vnd.amazon.eventstream, as the AWS SDKs document it (Smithy, "Amazon Event Stream specification"): length
of all, length of the headers and the CRC-32 of these eight bytes; headers; payload; the CRC-32 of all before it.
"""

from __future__ import annotations

import binascii
import zlib
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from playhead.core.late import late

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.redact import Stream

CONTENT_TYPE = b"application/vnd.amazon.eventstream"
LONGEST_MESSAGE = 24 << 20
"""Bytes, as the SDKs bound it. What says that it is longer is no message."""

_PRELUDE, _CRC = 12, 4
_WRAPPED = late(rb'"bytes"[ ]*:[ ]*"([A-Za-z0-9+/]{4,}={0,2})"')


class _Message(NamedTuple):
    raw: bytes
    start: int  # of what was judged: the payload, or the base64 in it
    end: int
    text: bytes
    wrapped: bool


class Messages:
    """The messages of one answer."""

    def __init__(self, stream: Callable[[], Stream]) -> None:
        from playhead.core.redact_answer import Text

        self._text = Text(stream, events=True)
        self._rest: Stream | None = None  # what is no message, and all behind it
        self._stream = stream
        self._buffer = bytearray()
        self._queue: deque[_Message] = deque()
        self._judged = bytearray()

    @property
    def held(self) -> int:
        rest = self._rest.held if self._rest is not None else 0
        return len(self._buffer) + sum(len(message.raw) for message in self._queue) + rest

    def feed(self, data: bytes) -> bytes:
        """Take a read; the messages that are decided."""
        if self._rest is not None:
            return self._rest.feed(data).data
        self._buffer += data
        while self._take():
            pass
        done = self._let_go()
        if self._rest is not None:
            self._judged += self._text.close()
            done += self._let_go() + self._rest.feed(bytes(self._buffer)).data
            self._buffer.clear()
        return done

    def close(self) -> bytes:
        """What was held back. Of a message that was never whole nothing is stored."""
        if self._rest is not None:
            return self._rest.close()
        self._judged += self._text.close()
        self._buffer.clear()
        return self._let_go()

    def _take(self) -> bool:
        data = self._buffer
        if len(data) < _PRELUDE:
            return False
        total, headers = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
        if zlib.crc32(data[:8]) != int.from_bytes(data[8:_PRELUDE], "big") or not (
            _PRELUDE + headers + _CRC <= total <= LONGEST_MESSAGE
        ):
            self._rest = self._stream()
            return False
        if len(data) < total:
            return False
        raw = bytes(data[:total])
        del data[:total]
        message = _read(raw, _PRELUDE + headers, total - _CRC)
        self._queue.append(message)
        self._judged += self._text.feed(message.text + b"\n")
        return True

    def _let_go(self) -> bytes:
        done: list[bytes] = []
        while self._queue and len(self._judged) > len(self._queue[0].text):
            message = self._queue.popleft()
            size = len(message.text)
            done.append(_written(message, bytes(self._judged[:size])))
            del self._judged[: size + 1]
        return b"".join(done)


def _read(raw: bytes, start: int, end: int) -> _Message:
    wrapped = _WRAPPED.search(raw, start, end)
    if wrapped is not None:
        try:
            return _Message(raw, *wrapped.span(1), binascii.a2b_base64(wrapped[1]), wrapped=True)
        except binascii.Error:
            pass
    return _Message(raw, start, end, raw[start:end], wrapped=False)


def _written(message: _Message, clean: bytes) -> bytes:
    if clean == message.text:
        return message.raw
    said = binascii.b2a_base64(clean, newline=False) if message.wrapped else clean
    body = message.raw[: message.start] + said + message.raw[message.end : -_CRC]
    return body + zlib.crc32(body).to_bytes(_CRC, "big")
