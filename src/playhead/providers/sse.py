"""Server-sent events, decoded as they arrive. Source of the format: WHATWG HTML, "Server-sent events", 9.2.6."""

from __future__ import annotations

from typing import NamedTuple


class ServerEvent(NamedTuple):
    """One event: `event` is its type (empty when unnamed), `data` its lines joined by newlines."""

    event: str
    data: str
    id: str


class EventDecoder:
    """Feed it bytes split anywhere; the events do not depend on the split."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._after_return = False  # the last byte was CR: an LF right after it belongs to the same line end
        self._at_start = True
        self._event, self._id = "", ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[ServerEvent]:
        """The events that `data` completes."""
        if data and self._after_return:
            self._after_return = False
            data = data.removeprefix(b"\n")
        events = []
        for line in data.splitlines(keepends=True):
            self._line += line
            if line.endswith((b"\n", b"\r")):
                event = self._take_line()
                if event:
                    events.append(event)
        self._after_return = self._after_return or data.endswith(b"\r")
        return events

    def end(self) -> list[ServerEvent]:
        """The event that was being written when the stream ended. The standard drops it; several clients do not, and
        some servers leave out the last blank line."""
        if self._line:
            self._take_line()
        event = self._dispatch()
        return [event] if event else []

    def _take_line(self) -> ServerEvent | None:
        text = self._line.decode("utf-8", "replace").rstrip("\r\n")
        self._line.clear()
        if self._at_start:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        if not text:
            return self._dispatch()
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> ServerEvent | None:
        event = ServerEvent(self._event, "\n".join(self._data), self._id) if self._data else None
        self._event, self._data = "", []
        return event


def decode_events(body: bytes) -> list[ServerEvent]:
    """All events of a whole body."""
    decoder = EventDecoder()
    return decoder.feed(body) + decoder.end()
