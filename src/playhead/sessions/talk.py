"""What both sides of a recorded websocket said, as messages in their order."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from playhead.core.websocket import CLOSE, TEXT, Message, Reader, deflates, is_upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playhead.core.websocket import Control
    from playhead.sessions.model import RecordedExchange


class Spoken(NamedTuple):
    """One message, or a close with its status and reason: its place in the order of the segment, when, by whom."""

    order: int
    t_ns: int
    by_client: bool
    opcode: int
    data: bytes

    @property
    def text(self) -> str:
        """What people read of it."""
        if self.opcode == CLOSE:
            status = int.from_bytes(self.data[:2], "big") if self.data else ""
            return f"close {status} {self.data[2:].decode('utf-8', 'replace')}".strip()
        return self.data.decode("utf-8", "replace") if self.opcode == TEXT else f"<{len(self.data)} bytes>"

    def to_json(self, since_ns: int) -> dict[str, Any]:
        """As an element of `messages`: `text`, or the number of `bytes`, or `close`."""
        kind = "close" if self.opcode == CLOSE else "text" if self.opcode == TEXT else "bytes"
        said = len(self.data) if kind == "bytes" else self.text.removeprefix("close").strip()
        by = "client" if self.by_client else "server"
        return {"from": by, "t_s": round((self.t_ns - since_ns) / 1e9, 6), kind: said}


def spoken(exchange: RecordedExchange) -> list[Spoken]:
    """All of it; empty where the client's side is not known, as in a cassette."""
    if not exchange.sent or not is_upgrade(exchange.head):
        return []
    return sorted((*_by_client(exchange), *_by_server(exchange)), key=lambda said: said.order)


def _by_client(exchange: RecordedExchange) -> Iterator[Spoken]:
    """Each with the read with which it was whole."""
    whole = exchange.answer
    reader = Reader(deflates(whole[: whole.find(b"\r\n\r\n") + 4]), client=True)
    said = [each for sent in exchange.sent for each in _said(reader, sent.read())]
    at = 0
    for count, each in enumerate(said, 1):
        while at < len(exchange.sent) - 1 and (exchange.sent[at].said or 0) < count:
            at += 1
        yield Spoken(exchange.sent[at].order, exchange.sent[at].t_ns, True, *each)


def _by_server(exchange: RecordedExchange) -> Iterator[Spoken]:
    whole = exchange.answer
    head = whole.find(b"\r\n\r\n") + 4
    reader = Reader(deflates(whole[:head]), client=False)
    chunks = exchange.chunks
    ends = list(accumulate(len(chunk.data) for chunk in chunks))
    at = head
    said: list[tuple[int, tuple[int, bytes]]] = []  # the read by which it was stored, and it
    for number, end in enumerate(ends):
        said += ((number, each) for each in _said(reader, whole[at : max(at, end)]))
        at = max(at, end)
    read = 0
    for count, (stored, each) in enumerate(said, 1):
        while read < len(chunks) - 1 and (chunks[read].said or 0) < count:
            read += 1
        place = chunks[read] if (chunks[read].said or 0) >= count else chunks[stored]
        yield Spoken(place.order, place.t_ns, False, *each)


def _said(reader: Reader, data: bytes) -> Iterator[tuple[int, bytes]]:
    found: Message | Control
    for found in reader.feed(data):
        if isinstance(found, Message):
            yield found.opcode, found.text
        elif found.opcode == CLOSE:
            yield CLOSE, found.payload
