r"""Secrets that a model writes across several events: `"content":"sk-ant-"`, and in the next line `"content":"api03-..."`.

The strings of one member (`content`, `partial_json`, ...) of one place (the indices of its line) are one text in which the
rules are asked, as if they were one stream. What is replaced stays where it was and as long as it was, spread over the
strings that held it. Bytes from the first undecided string on wait; what waits is not on disk.
Formats: HTML living standard, server-sent events; JSON lines.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from playhead.core.late import late

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.redact import Stream

LONGEST_LINE = 1 << 18
"""A line that is longer is let go before its end, and its strings are not joined with others."""

_MEMBERS = late(
    rb'"(content|text|partial_json|arguments|delta|thinking|reasoning|reasoning_content|refusal|input|transcript|response'
    rb'|output|token|value|generation|outputText|completion)"[ ]*:[ ]*"((?:[^"\\]|\\.)*)"'
    rb'|"(?:index|output_index|content_index|contentBlockIndex|summary_index)"[ ]*:[ ]*(\d+)'
)
_CHANNELS_KEPT = 256


Only = tuple[int, int, tuple[bytes, ...]]
"""Where the text of some lines stands, from and to, and its place."""


class _Channel:
    """One text, and where its undecided bytes stand in the body."""

    __slots__ = ("places", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.places: deque[tuple[int, int]] = deque()  # (start, length) of what the stream has not let go


class Deltas:
    """A body of events, line by line. `stream` makes the stream that judges one text."""

    def __init__(self, stream: Callable[[], Stream]) -> None:
        self._stream = stream
        self._channels: dict[tuple[bytes, ...], _Channel] = {}
        self._pending = bytearray()
        self._base = 0  # where `_pending` begins in the body
        self._line = bytearray()
        self._where: list[tuple[int, int]] = []  # (offset in the line, offset in the body)
        self._whole: deque[tuple[int, int]] = deque()  # (start, end) in the body of what is held whole
        self._skips = False

    @property
    def held(self) -> int:
        return len(self._pending)

    def feed(self, data: bytes) -> tuple[bytes, Only | None]:
        """Take the next bytes, of which all is held or nothing: what is let go (`data` itself if nothing had to be judged), and
        the text if they are whole lines with only one."""
        texts = None if self._line or self._skips else _only_lines(data)
        if texts is None or len(texts) > 1:
            self._hold(data)
            self._take_lines(data)
            return self._let_go(), None
        if texts:
            return self.feed_text(data, texts[0]), texts[0]
        if not self._pending:
            self._base += len(data)
            return data, None
        self._hold(data)
        return self._let_go(), None

    def feed_text(self, data: bytes, only: Only) -> bytes:
        """As `feed` for whole lines of which the only text is known."""
        first, last, place = only
        text = data[first:last]
        at = self._base + len(self._pending) + first
        channel = self._channel(place, text)
        judged, held = channel.stream.feed(text)
        if not self._pending and not held and judged == text:
            self._base += len(data)
            return data
        channel.places.append((at, len(text)))
        self._hold(data)
        self._replace(channel, judged)
        return self._let_go()

    def _hold(self, data: bytes) -> None:
        base = self._base + len(self._pending)
        self._whole.append((base, base + len(data)))
        self._pending += data

    @property
    def is_between_lines(self) -> bool:
        """Whether what was fed ends with a line."""
        return not self._line and not self._skips

    def _take_lines(self, data: bytes) -> None:
        base = self._base + len(self._pending) - len(data)
        here = 0
        while here < len(data):
            stop = data.find(b"\n", here)
            after = len(data) if stop < 0 else stop + 1
            if not self._skips:
                self._where.append((len(self._line), base + here))
                self._line += data[here:after]
            if stop >= 0:
                self._line_ended()
            elif len(self._line) > LONGEST_LINE:
                self._line.clear()
                self._where.clear()
                self._skips = True
            here = after

    def close(self) -> bytes:
        """What was held back, judged as the end."""
        if self._line:
            self._line_ended()
        for channel in self._channels.values():
            self._replace(channel, channel.stream.close())
        self._channels.clear()
        return self._let_go()

    def _let_go(self) -> bytes:
        waits = self._where[0][1] if self._where else self._base + len(self._pending)
        for channel in self._channels.values():
            if channel.places:
                waits = min(waits, channel.places[0][0])
        while self._whole and self._whole[0][0] <= waits:
            if waits < self._whole[0][1]:
                waits = self._whole[0][0]
                break
            self._whole.popleft()
        count = waits - self._base
        done = bytes(self._pending[:count])
        del self._pending[:count]
        self._base = waits
        return done

    def _line_ended(self) -> None:
        line, where = bytes(self._line), self._where
        self._line, self._where, self._skips = bytearray(), [], False
        texts, indices = _texts(line, 0, len(line))
        for member, start, end in texts:
            key = (member, *indices)
            channel = self._channel(key, line[start:end])
            for number, (offset, place) in enumerate(where):
                stop = where[number + 1][0] if number + 1 < len(where) else len(line)
                first, last = max(start, offset), min(end, stop)
                if first < last:
                    channel.places.append((place + first - offset, last - first))
            self._replace(channel, channel.stream.feed(line[start:end]).data)

    def _channel(self, place: tuple[bytes, ...], text: bytes) -> _Channel:
        """The text that goes on with `text`."""
        channel = self._channels.get(place)
        if channel is None:
            if len(self._channels) >= _CHANNELS_KEPT:
                oldest = next(iter(self._channels))
                gone = self._channels.pop(oldest)
                self._replace(gone, gone.stream.close())
            channel = self._channels[place] = _Channel(self._stream())
        elif channel.places and channel.stream.begins(text):
            self._replace(channel, channel.stream.close())
            channel = self._channels[place] = _Channel(self._stream())
        return channel

    def _replace(self, channel: _Channel, judged: bytes) -> None:
        """Put what the stream let go where it came from."""
        done = 0
        while done < len(judged):
            start, length = channel.places.popleft()
            taken = min(length, len(judged) - done)
            at = start - self._base
            fresh = judged[done : done + taken]
            if self._pending[at : at + taken] != fresh:
                self._pending[at : at + taken] = fresh
            if taken < length:
                channel.places.appendleft((start + taken, length - taken))
            done += taken


def _only_lines(data: bytes) -> list[Only] | None:
    """The texts of `data`; None when it does not end with a line."""
    if not data.endswith(b"\n"):
        return None
    found: list[Only] = []
    if data.find(b'"') < 0:
        return found
    start = 0
    while start < len(data):
        after = data.find(b"\n", start) + 1
        texts, indices = _texts(data, start, after)
        found += [(first, last, (member, *indices)) for member, first, last in texts]
        start = after
    return found


def _texts(data: bytes, start: int, end: int) -> tuple[list[tuple[bytes, int, int]], list[bytes]]:
    """The strings (member, start, end) of the line `data[start:end]` and the indices of its place."""
    texts: list[tuple[bytes, int, int]] = []
    indices: list[bytes] = []
    for match in _MEMBERS.finditer(data, start, end):
        if match[3] is not None:
            indices.append(match[3])
        elif match[2]:
            texts.append((match[1], *match.span(2)))
    return texts, indices
