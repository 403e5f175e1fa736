"""HTTP/2 of one direction: header blocks are blotted out, for what is in them is coded by a table that only the two
sides know, credentials too. Everything else is judged as a stream; lengths stay.

Formats: RFC 9113 sections 3.4 (preface), 4.1 (frames), 6.2, 6.6 and 6.10 (HEADERS, PUSH_PROMISE, CONTINUATION).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.redact import Stream

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_BLOCKS = frozenset({1, 5, 9})


class Blotted:
    """The bytes of one side of a connection."""

    changed = 0  # it has no messages

    def __init__(self, stream: Callable[[], Stream], *, client: bool = False) -> None:
        self._stream = stream()
        self._header = b""  # of a frame, as far as it has come
        self._left = len(_PREFACE) if client else 0  # bytes of the frame (or of the preface) to come
        self._blots = False

    @property
    def held(self) -> int:
        return self._stream.held

    def feed(self, data: bytes) -> bytes:
        """Take a read; what of it can be written."""
        out: list[bytes] = []
        at = 0
        while at < len(data):
            if self._left:
                taken = min(self._left, len(data) - at)
                out.append(bytes(taken) if self._blots else data[at : at + taken])
                self._left -= taken
            else:
                taken = min(9 - len(self._header), len(data) - at)
                self._header += data[at : at + taken]
                out.append(data[at : at + taken])
                if len(self._header) == 9:
                    self._left = int.from_bytes(self._header[:3], "big")
                    self._blots = self._header[3] in _BLOCKS
                    self._header = b""
            at += taken
        return self._stream.feed(b"".join(out)).data

    def close(self) -> bytes:
        """What was held back."""
        return self._stream.close()
