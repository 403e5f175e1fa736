"""Builds a Recording from journal events."""

from __future__ import annotations

import json
import math
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING

from playhead.core.events import Ending, Event, EventKind, Flag
from playhead.core.tape import Target
from playhead.errors import DamagedRecording
from playhead.journal.bodies import Bodies
from playhead.journal.store import read_contents
from playhead.sessions.model import Chunk, Header, Lane, RecordedExchange, Recording, StdioChunk, Uncaptured

if TYPE_CHECKING:
    from pathlib import Path

    from playhead.journal.segment import SegmentContents


def read_recording(path: Path) -> Recording:
    """Decode a session file or folder. Raises SessionNotFound, DamagedRecording or IncompatibleRecording."""
    contents = read_contents(path)
    recording = _begin(path, contents.segments)
    recording.damage = contents.damage
    recording.being_written = contents.being_written
    recording.sealed = contents.sealed
    for segment in contents.segments:
        _Builder(recording).read(segment)
        if segment.damage:
            recording.incomplete.append(f"{len(segment.damage)} damaged records in segment {segment.segment}")
    if recording.has_exit and not recording.being_written and not recording.incomplete:
        recording.incomplete += [f"segment {s.segment} ends early" for s in contents.segments if not s.closed]
    recording.exchanges.sort(key=lambda e: e.number)
    recording.stdio.sort(key=lambda c: c.t_ns)
    return recording


def _begin(path: Path, segments: list[SegmentContents]) -> Recording:
    for segment in segments:
        for event in segment.events[:4]:
            if event.kind is EventKind.SESSION:
                try:
                    header = Header.from_json(json.loads(event.body))
                except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                    break
                return Recording(header, event.t_ns)
    raise DamagedRecording(
        "This recording has no readable header.",
        code="header-missing",
        where=str(path),
        expected="a SESSION event at the start of its first segment",
        seen=f"{len(segments)} segments, {sum(len(s.events) for s in segments)} whole records",
        todo="a recorder killed before its first write leaves nothing to read; playhead rm removes it",
    )


class _Builder:
    """Reads one segment into a recording. Events that make no sense are passed over and named."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.exchanges: dict[int, RecordedExchange] = {}
        self.bodies = Bodies()
        self.parts: dict[int, list[bytes]] = {}
        self.written: dict[int, int] = {}  # answer bytes so far, by exchange
        self.ends: dict[int, list[int]] = {}  # where each read of an answer ended

    def read(self, segment: SegmentContents) -> None:
        for event in segment.events:
            try:
                self._one(event)
            except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
                self._unreadable(f"event {event.segment}:{event.seq} cannot be read ({error!r})"[:300])
        self._give_back_held()
        self._check_bodies()
        self.recording.exchanges += self.exchanges.values()

    def _one(self, event: Event) -> None:  # noqa: C901, PLR0912  one case for each kind
        recording, kind, meta = self.recording, event.kind, event.meta
        if kind is EventKind.OPEN:
            self.exchanges[event.subject] = RecordedExchange(
                event.subject,
                Target(str(meta["scheme"]), str(meta["host"]), int(meta["port"])),
                str(meta["route"]),
                int(meta["connection"]),
                bool(meta["reused"]),
                str(meta["protocol"]),
                event.t_ns,
                event.seq,
            )
        elif kind is EventKind.REQUEST:
            self._request(event)
        elif kind is EventKind.REQUEST_PART:
            self.parts.setdefault(event.subject, []).append(event.body)
        elif kind is EventKind.ANSWER:
            self._answer(event)
        elif kind is EventKind.END:
            self._end(self.exchanges[event.subject], event, Ending(meta["how"]), str(meta.get("detail", "")))
        elif kind is EventKind.UPSTREAM:
            self.exchanges[event.subject].upstream = str(meta["address"])
        elif kind is EventKind.SENT:
            exchange = self.exchanges[event.subject]
            if exchange.protocol == "http/1.1":
                exchange.protocol = "websocket"
        elif kind is EventKind.LANE:
            recording.lanes[event.subject] = Lane(event.subject, str(meta["key"]), [str(a) for a in meta["argv"]])
        elif kind is EventKind.STDIO:
            recording.stdio.append(StdioChunk(event.t_ns, event.subject, event.body))
        elif kind is EventKind.NOT_CAPTURED:
            recording.uncaptured.append(Uncaptured(str(meta["host"]), str(meta["reason"]), int(meta.get("bytes", 0))))
        elif kind is EventKind.EXIT:
            code, signal, duration_s = meta["code"], meta.get("signal"), float(meta.get("duration_s", 0.0))
            if not {type(code), type(signal)} <= {int, type(None)} or not 0 <= duration_s < math.inf:
                raise ValueError("no exit code")
            recording.has_exit = True
            recording.exit_code, recording.exit_signal, recording.duration_s = code, signal, duration_s
        elif kind is EventKind.INCOMPLETE:
            recording.incomplete.append(str(meta["reason"]))

    def _request(self, event: Event) -> None:
        exchange = self.exchanges[event.subject]
        head_length = int(event.meta["head"])
        exchange.head = event.body[:head_length]
        exchange.lane = int(event.meta.get("lane", 0))
        exchange.asked_order = event.seq
        if "cut" in event.meta:  # the caller went away in the middle of asking, or was answered before its end
            exchange.cut = int(event.meta["cut"])
        exchange.request_redacted = bool(event.flags & Flag.REDACTED)
        self.bodies.put(event.subject, event.body[head_length:])
        parts = self.parts.get(event.subject)
        if parts:
            exchange.read_body = partial(_join, parts, partial(self.bodies.get, event.subject))
        elif len(event.body) > head_length:
            exchange.read_body = partial(self.bodies.get, event.subject)

    def _answer(self, event: Event) -> None:
        exchange = self.exchanges[event.subject]
        ends = self.ends.setdefault(event.subject, [])
        written = self.written.get(event.subject, 0) + len(event.body)
        self.written[event.subject] = written
        ends.append(written + int(event.meta.get("held", 0)))
        exchange.chunks.append(Chunk(event.t_ns, event.body, event.seq, event.flags))
        if event.flags & Flag.LAST:
            self._end(exchange, event, Ending.COMPLETE, "")

    def _give_back_held(self) -> None:
        """Redaction withholds the tail of a read that could begin a secret, and writes it with a later record. Here
        every read gets back the bytes it brought; a record that held only such bytes is no read of its own."""
        for number, ends in self.ends.items():
            chunks = self.exchanges[number].chunks
            if all(end == total for end, total in zip(ends, accumulate(len(c.data) for c in chunks), strict=True)):
                continue
            whole = b"".join(c.data for c in chunks)
            start = 0
            resliced = []
            for chunk, end in zip(chunks, ends, strict=True):
                resliced.append(chunk._replace(data=whole[start : max(start, end)]))
                start = max(start, end)
            self.exchanges[number].chunks = [c for c in resliced if c.data or c.flags]

    def _unreadable(self, reason: str) -> None:
        self.recording.unreadable.append(reason)
        self.recording.incomplete.append(reason)

    def _check_bodies(self) -> None:
        """A request that refers to a lost one cannot be known: it counts as never completed, and is named."""
        for number, exchange in self.exchanges.items():
            if isinstance(exchange.read_body, partial):
                try:
                    self.bodies.check(number)
                except ValueError as error:
                    self._unreadable(f"the request of step {number} cannot be read ({error})")
                    exchange.read_body = bytes
                    exchange.asked_order = -1

    def _end(self, exchange: RecordedExchange, event: Event, how: Ending, detail: str) -> None:
        exchange.ending, exchange.detail = how, detail
        exchange.ended_ns, exchange.ended_order, exchange.ended_flags = event.t_ns, event.seq, event.flags


def _join(parts: list[bytes], rest: partial[bytes]) -> bytes:
    return b"".join(parts) + rest()
