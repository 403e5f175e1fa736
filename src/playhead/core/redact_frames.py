"""Websocket frames of one direction, without secrets in their messages.

A frame waits until its message is whole and judged, and messages are judged as lines of one text, so that a secret over
several frames or messages is found. Messages without a finding keep their frames to the byte. One that lost a secret is
one frame; if messages share a compression context, all that follow are compressed anew, each for itself.
Formats: RFC 6455 section 5 (frames), RFC 7692 section 7 (permessage-deflate).
"""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from playhead.core.late import late

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.redact import Stream

LONGEST_MESSAGE = 16 << 20
"""A longer one is left out: only its frames' headers are stored."""

_EXTENSION = late(rb"(?i)\nsec-websocket-extensions[ \t]*:[^\r\n]*permessage-deflate([^\r\n,]*)")
_TAIL = b"\x00\x00\xff\xff"


class Deflate(NamedTuple):
    """permessage-deflate as both sides agreed on it: who keeps its context from message to message."""

    client_keeps: bool
    server_keeps: bool


def deflates(head: bytes) -> Deflate | None:
    """What the 101 answer of this head says of compression."""
    match = _EXTENSION.search(head)
    if match is None:
        return None
    said = match[1].lower()
    return Deflate(b"client_no_context_takeover" not in said, b"server_no_context_takeover" not in said)


@dataclass(slots=True)
class _Message:
    raw: bytearray = field(default_factory=bytearray)
    controls: bytearray = field(default_factory=bytearray)
    payload: bytearray = field(default_factory=bytearray)
    first: int = 0  # the first byte of its first frame
    key: bytes = b""
    text: bytes = b""

    @property
    def packed(self) -> bool:
        return bool(self.first & 0x40)


class Frames:
    """One direction of a websocket. What comes out may be longer or shorter than what went in."""

    def __init__(self, stream: Callable[[], Stream], deflated: Deflate | None, *, client: bool = False) -> None:
        from playhead.core.redact_answer import Text

        self._text = Text(stream, events=True)
        self._keeps = deflated is not None and (deflated.client_keeps if client else deflated.server_keeps)
        self._inflate = zlib.decompressobj(wbits=-15)
        self._buffer = bytearray()
        self._message: _Message | None = None
        self._queue: deque[_Message | bytes] = deque()
        self._judged = bytearray()
        self._anew = False

    @property
    def held(self) -> int:
        queued = sum(len(item) if isinstance(item, bytes) else len(item.raw) for item in self._queue)
        return len(self._buffer) + queued + (len(self._message.raw) if self._message is not None else 0)

    def feed(self, data: bytes) -> bytes:
        """Take a read; the frames that are decided."""
        self._buffer += data
        while self._take_frame():
            pass
        return self._let_go()

    def close(self) -> bytes:
        """The frames that were held back. Of a message that was never whole nothing is stored."""
        self._judged += self._text.close()
        done = self._let_go()
        self._buffer.clear()
        self._message = None
        return done

    def _take_frame(self) -> bool:
        data = self._buffer
        if len(data) < 2:
            return False
        first, second = data[0], data[1]
        size, at = second & 127, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(data) < 2 + width:
                return False
            size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        masked = 4 if second & 128 else 0
        if len(data) < at + masked + size:
            return False
        key = bytes(data[at : at + masked])
        frame = bytes(data[: at + masked + size])
        del data[: len(frame)]
        self._frame(first, key, frame, frame[at + masked :])
        return True

    def _frame(self, first: int, key: bytes, frame: bytes, payload: bytes) -> None:
        message = self._message
        if first & 8:  # a control frame may stand between the frames of a message
            if message is None:
                self._queue.append(frame)
            else:
                message.raw += frame
                message.controls += frame
            return
        if message is None:
            message = self._message = _Message(first=first, key=key)
        message.raw += frame
        message.payload += _unmasked(payload, key) if key else payload
        if first & 0x80:
            self._message = None
            self._whole(message)

    def _whole(self, message: _Message) -> None:
        text = bytes(message.payload)
        if message.packed:
            try:
                text = self._inflate.decompress(text + _TAIL, LONGEST_MESSAGE + 1)
            except zlib.error:
                text = b""
            if not self._keeps:
                self._inflate = zlib.decompressobj(wbits=-15)
        if len(text) > LONGEST_MESSAGE:
            text = b""
            message.raw.clear()
        message.text = text
        message.payload.clear()
        self._queue.append(message)
        self._judged += self._text.feed(text + b"\n")

    def _let_go(self) -> bytes:
        done: list[bytes] = []
        while self._queue:
            item = self._queue[0]
            if isinstance(item, bytes):
                done.append(item)
            else:
                size = len(item.text)
                if len(self._judged) <= size:
                    break
                done.append(self._written(item, bytes(self._judged[:size])))
                del self._judged[: size + 1]
            self._queue.popleft()
        return b"".join(done)

    def _written(self, message: _Message, clean: bytes) -> bytes:
        if clean == message.text and not (self._anew and message.packed):
            return bytes(message.raw)
        payload = clean
        if message.packed:
            self._anew = self._anew or self._keeps
            packer = zlib.compressobj(wbits=-9)
            payload = (packer.compress(clean) + packer.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]
        if message.key:
            payload = _unmasked(payload, message.key)
        masked = 128 if message.key else 0
        size = len(payload)
        if size < 126:
            length = bytes((masked | size,))
        elif size < 65536:
            length = bytes((masked | 126,)) + size.to_bytes(2, "big")
        else:
            length = bytes((masked | 127,)) + size.to_bytes(8, "big")
        return bytes(message.controls) + bytes((message.first | 0x80,)) + length + message.key + payload


def _unmasked(payload: bytes, key: bytes) -> bytes:
    """`payload` with the key applied, which undoes and does it (RFC 6455 5.3)."""
    size = len(payload)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")
