"""Websocket frames of one direction, without secrets in their messages.

A frame waits until its message is whole and judged, and messages are judged as lines of one text, so that a secret over
several frames or messages is found. Messages without a finding keep their frames to the byte. One that lost a secret is
one frame; if messages share a compression context, all that follow are compressed anew, each for itself.
Formats: RFC 6455 section 5 (frames), RFC 7692 section 7 (permessage-deflate).
"""

from __future__ import annotations

import zlib
from collections import deque
from typing import TYPE_CHECKING

from playhead.core.websocket import TAIL, Message, Reader, frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.redact import Stream
    from playhead.core.websocket import Deflate


class Frames:
    """One direction of a websocket. What comes out may be longer or shorter than what went in."""

    def __init__(self, stream: Callable[[], Stream], deflated: Deflate | None, *, client: bool = False) -> None:
        from playhead.core.redact_answer import Text

        self._text = Text(stream, events=True)
        self._reader = Reader(deflated, client=client)
        self._queue: deque[Message | bytes] = deque()
        self._judged = bytearray()
        self._anew = False
        self.changed = 0  # messages that lost a secret

    @property
    def held(self) -> int:
        return self._reader.held + sum(len(item if isinstance(item, bytes) else item.raw) for item in self._queue)

    def feed(self, data: bytes) -> bytes:
        """Take a read; the frames that are decided."""
        for found in self._reader.feed(data):
            if isinstance(found, Message):
                self._queue.append(found)
                self._judged += self._text.feed(found.text + b"\n")
            elif not found.is_between:
                self._queue.append(found.raw)
        return self._let_go()

    def close(self) -> bytes:
        """The frames that were held back. Of a message that was never whole nothing is stored."""
        self._judged += self._text.close()
        done = self._let_go()
        self._reader.clear()
        return done

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

    def _written(self, message: Message, clean: bytes) -> bytes:
        if message.is_left_out:
            self._anew = self._anew or self._reader.keeps
            return bytes(message.raw)
        if clean == message.text and not (self._anew and message.is_packed):
            return bytes(message.raw)
        self.changed += clean != message.text
        payload = clean
        if message.is_packed:
            self._anew = self._anew or self._reader.keeps
            packer = zlib.compressobj(wbits=-9)
            payload = (packer.compress(clean) + packer.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]
        return bytes(message.controls) + frame(message.first | 0x80, payload, message.key)
