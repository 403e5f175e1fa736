"""Websockets, byte by byte: frames, whole messages, and how many of them a side has said.

Formats: RFC 6455 section 5 (frames), section 4.2.2 (the accepted key), RFC 7692 section 7 (permessage-deflate).
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha1
from typing import TYPE_CHECKING, NamedTuple

from playhead.core.late import late

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
"""Opcodes."""

LONGEST_MESSAGE = 16 << 20
"""A longer one is read as empty."""

TAIL = b"\x00\x00\xff\xff"
"""What a compressor leaves off the end of each message."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_EXTENSION = late(rb"(?i)\nsec-websocket-extensions[ \t]*:[^\r\n]*permessage-deflate([^\r\n,]*)")
_UPGRADE = late(rb"(?i)\nupgrade[ \t]*:[^\r\n]*websocket")
_KEY = late(rb"(?i)\nsec-websocket-key[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?\n")
_ACCEPT = late(rb"(?i)(\nsec-websocket-accept[ \t]*:[ \t]*)[^\r\n]*")
_LONG, _LONGER = 126, 127  # lengths that stand in the next two, or eight, bytes
_SHORT = 65_536


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


def is_upgrade(head: bytes) -> bool:
    """Whether a head, of a request or of its 101 answer, speaks of a websocket."""
    return _UPGRADE.search(head) is not None


def accepting(answer: bytes, asked: bytes) -> bytes:
    """The head of a recorded 101 answer as the answer to another request, whose key is another."""
    key = _KEY.search(asked)
    if key is None:
        return answer
    accepted = b64encode(sha1(key[1] + _GUID, usedforsecurity=False).digest())
    return _ACCEPT.sub(rb"\g<1>" + accepted, answer, count=1)


def unmasked(payload: bytes, key: bytes) -> bytes:
    """`payload` with the key applied, which undoes and does it (RFC 6455 5.3)."""
    size = len(payload)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")


def frame(first: int, payload: bytes, key: bytes = b"") -> bytes:
    """A frame: its first byte, and its payload, masked when there is a key."""
    masked = 128 if key else 0
    size = len(payload)
    if size < _LONG:
        length = bytes((masked | size,))
    elif size < _SHORT:
        length = bytes((masked | _LONG,)) + size.to_bytes(2, "big")
    else:
        length = bytes((masked | _LONGER,)) + size.to_bytes(8, "big")
    return bytes((first,)) + length + key + (unmasked(payload, key) if key else payload)


def frames(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Start, end and opcode of each frame from that offset on; what is no whole frame counts as one, with opcode -1."""
    while at < len(data):
        size = _frame_size(data[at : at + 14])
        end = len(data) + 1 if size is None else at + sum(size)
        yield at, min(end, len(data)), data[at] & 15 if end <= len(data) else -1
        at = end


@dataclass(slots=True, eq=False)
class Message:
    """A whole message: its frames as they came, the control frames that stood between them, and what it says."""

    first: int  # the first byte of its first frame
    key: bytes
    raw: bytearray = field(default_factory=bytearray)
    controls: bytearray = field(default_factory=bytearray)
    payload: bytearray = field(default_factory=bytearray)
    text: bytes = b""
    is_left_out: bool = False  # it was too long

    @property
    def opcode(self) -> int:
        return self.first & 15

    @property
    def is_packed(self) -> bool:
        return bool(self.first & 0x40)


class Control(NamedTuple):
    """A close, a ping or a pong; `is_between`: it stood between the frames of a message, which has it, too."""

    opcode: int
    payload: bytes
    raw: bytes
    is_between: bool


class Reader:
    """One direction of a websocket, read. `keeps`: its messages share one compression context."""

    def __init__(self, deflated: Deflate | None, *, client: bool) -> None:
        self.keeps = deflated is not None and (deflated.client_keeps if client else deflated.server_keeps)
        self._inflate = zlib.decompressobj(wbits=-15)
        self._buffer = bytearray()
        self._message: Message | None = None

    @property
    def held(self) -> int:
        """How many bytes wait for the end of their message."""
        return len(self._buffer) + (len(self._message.raw) if self._message is not None else 0)

    def feed(self, data: bytes) -> Iterator[Message | Control]:
        """Take a read: the messages that are whole with it and the control frames in it, in order."""
        self._buffer += data
        while (size := _frame_size(self._buffer)) is not None and len(self._buffer) >= sum(size):
            header, length = size
            raw = bytes(self._buffer[: header + length])
            del self._buffer[: header + length]
            key = raw[header - 4 : header] if raw[1] & 128 else b""
            payload = unmasked(raw[header:], key) if key else raw[header:]
            found = self._take(raw[0], key, raw, payload)
            if found is not None:
                yield found

    def clear(self) -> None:
        """Forget what is not whole."""
        self._buffer.clear()
        self._message = None

    def _take(self, first: int, key: bytes, raw: bytes, payload: bytes) -> Message | Control | None:
        message = self._message
        if first & 8:  # a control frame may stand between the frames of a message
            if message is not None:
                message.raw += raw
                message.controls += raw
            return Control(first & 15, payload, raw, message is not None)
        if message is None:
            message = self._message = Message(first, key)
        message.raw += raw
        message.payload += payload
        if not first & 0x80:
            return None
        self._message = None
        self._read(message)
        return message

    def _read(self, message: Message) -> None:
        text = bytes(message.payload)
        if message.is_packed:
            try:
                text = self._inflate.decompress(text + TAIL, LONGEST_MESSAGE + 1)
                while self._inflate.unconsumed_tail:  # what follows refers to it
                    self._inflate.decompress(self._inflate.unconsumed_tail, LONGEST_MESSAGE)
            except zlib.error:
                text = b""
            if not self.keeps:
                self._inflate = zlib.decompressobj(wbits=-15)
        if len(text) > LONGEST_MESSAGE:
            text, message.is_left_out = b"", True
            message.raw[:] = message.controls + frame(message.opcode | 0x80, b"", message.key)
        message.text = text
        message.payload.clear()


class Said:
    """Counts what one side has said: whole messages, and closes. Looks at headers only."""

    __slots__ = ("_counts", "_header", "_left", "count")

    def __init__(self) -> None:
        self.count = 0
        self._header = b""
        self._left = 0  # of the payload of a frame
        self._counts = False  # the frame ends a message, or the conversation

    def feed(self, data: bytes) -> int:
        """Take a read; how many there are with it."""
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
            else:
                known = len(self._header)
                header = self._header + data[at : at + 14 - known]
                size = _frame_size(header)
                if size is None or len(header) < size[0]:
                    self._header = header
                    return self.count
                at += size[0] - known
                self._left, self._header = size[1], b""
                first = header[0]
                self._counts = first & 15 == CLOSE if first & 8 else bool(first & 0x80)
            if not self._left and self._counts:
                self.count += 1
                self._counts = False
        return self.count


def _frame_size(data: bytes | bytearray) -> tuple[int, int] | None:
    """Lengths of the header and the payload of the frame that begins here; None when its length is not there yet."""
    if len(data) < 2:
        return None
    size, at = data[1] & 127, 2
    if size >= _LONG:
        width = 2 if size == _LONG else 8
        if len(data) < 2 + width:
            return None
        size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
    return at + (4 if data[1] & 128 else 0), size
