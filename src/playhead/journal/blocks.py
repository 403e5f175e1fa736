"""Blocks: events as a sealed file keeps them, grouped so that like stands beside like.

The RECORDS stream is a sequence of blocks, none of which lies in two frames:

    u32 length of the rest | u8 type | rest

type 2, segments: JSON, [[name, bytes, bytes up to the last whole record, events, [[offset, problem], ...]], ...];
the first block of a file. Other blocks name a segment by its place in this list.
type 0, session: events that belong to no exchange, in their order. type 1, exchange: all events of one exchange.

    varint segment, subject, asked start, asked length, answered start, answered length,
    varint events, stamps, flags of all stamps or-ed, stamps with meta | varint first position, first time | tables

`subject` is the number of the exchange (0 in a session block). The position of an event is its place among the events
of its segment, from 0. The events stand in two tables: stamps are ANSWERs without the flag LAST, all others are events.
A table of n rows is these, one behind the other (columns and steps as in journal.columns):

    n bytes kind (events only), n bytes flags, steps position, column seq - position,
    column subject - the block's (events only), steps t_ns, column meta length, column own length (events only),
    column moved length, metas, own bytes (events only)

The body of an event is its own bytes and then its moved ones. Moved bytes of ANSWERs stand in the ANSWERED stream from
`answered start` on, first those of the stamps, then those of the events; of REQUEST, REQUEST_PART and SENT in the ASKED
stream from `asked start` on. Of a REQUEST only the literals of its body are moved. Steps of positions and times begin
at the block's first ones.
"""

from __future__ import annotations

import json
from operator import add
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

from playhead.core.events import Event, EventKind, Flag
from playhead.journal.bodies.form import split
from playhead.journal.columns import Cursor, column, steps, varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SESSION, EXCHANGE, SEGMENTS = 0, 1, 2
LENGTH = Struct("<I")
BLOCK_EVENTS = 1 << 14  # rows at which an exchange goes on in another block
BLOCK_BYTES = 1 << 18  # the same, of bytes that are not moved
MOST_META = 0xFFFF
_ANSWER = int(EventKind.ANSWER)
ASKED = frozenset(map(int, (EventKind.REQUEST, EventKind.REQUEST_PART, EventKind.SENT)))
OF_EXCHANGES = frozenset(
    map(
        int,
        (
            EventKind.OPEN,
            EventKind.REQUEST,
            EventKind.REQUEST_PART,
            EventKind.ANSWER,
            EventKind.END,
            EventKind.UPSTREAM,
            EventKind.SENT,
        ),
    )
)
_LAST = int(Flag.LAST)
_KINDS = {int(kind): kind for kind in EventKind}


class Placed(NamedTuple):
    """An event of a segment: its place there, its meta as stored, and how much of the end of its body is moved from
    where in its stream. In a block just read the event's body is its own bytes alone."""

    position: int
    event: Event
    meta: bytes
    moved: int = 0
    at: int = 0


class Moved(NamedTuple):
    """What a block says of its streams: the bytes to add to ASKED and ANSWERED."""

    asked: list[bytes]
    answered: list[bytes]


def blocks_of(events: Sequence[tuple[Event, bytes]]) -> Iterator[tuple[int, int, list[Placed]]]:
    """(type, subject, events) of each block of a segment: first the session's, then the exchanges in their order."""
    session: list[Placed] = []
    exchanges: dict[int, list[Placed]] = {}
    for position, (event, meta) in enumerate(events):
        placed = Placed(position, event, meta)
        if event.kind in OF_EXCHANGES:
            exchanges.setdefault(event.subject, []).append(placed)
        else:
            session.append(placed)
    for part in _parts(session):
        yield SESSION, 0, part
    for subject, own in exchanges.items():
        for part in _parts(own):
            yield EXCHANGE, subject, part


def _parts(events: list[Placed]) -> Iterator[list[Placed]]:
    part: list[Placed] = []
    size = 0
    for placed in events:
        kept = len(placed.meta) + (0 if placed.event.kind == _ANSWER else len(placed.event.body))
        if part and (len(part) >= BLOCK_EVENTS or size + kept > BLOCK_BYTES):
            yield part
            part, size = [], 0
        part.append(placed)
        size += kept
    if part:
        yield part


def write_block(
    kind: int, segment: int, subject: int, placed: list[Placed], asked_start: int, answered_start: int
) -> tuple[bytes, Moved]:
    """A block as it stands in the RECORDS stream, and the bytes it moves into the other two."""
    events, stamps = told_apart(placed)
    first = min(p.position for p in placed)
    first_ns = min(p.event.t_ns for p in placed)
    moved = Moved([], [p.event.body for p in stamps])
    flags = 0
    for p in stamps:
        flags |= p.event.flags
    owns: list[bytes] = []
    lengths: list[int] = []
    for p in events:
        body, at = p.event.body, 0
        if p.event.kind == _ANSWER:
            moved.answered.append(body)
        elif p.event.kind in ASKED:
            at = literals_of(p.event)
            moved.asked.append(body[at:])
        else:
            at = len(body)
        owns.append(body[:at])
        lengths.append(len(body) - at)
    head = (segment, subject, asked_start, _total(moved.asked), answered_start, _total(moved.answered))
    counts = (len(events), len(stamps), flags, sum(1 for p in stamps if p.meta), first, first_ns)
    whole = b"".join(
        [
            kind.to_bytes(1, "little"),
            *map(varint, head),
            *map(varint, counts),
            bytes([p.event.kind for p in events]),
            *_rows(events, first, first_ns, subject),
            column([len(own) for own in owns]),
            column(lengths),
            *(p.meta for p in events),
            *owns,
            *_rows(stamps, first, first_ns, None),
            column([len(p.event.body) for p in stamps]),
            *(p.meta for p in stamps),
        ]
    )
    return LENGTH.pack(len(whole)) + whole, moved


def _rows(placed: list[Placed], first: int, first_ns: int, subject: int | None) -> Iterator[bytes]:
    yield bytes([p.event.flags for p in placed])
    yield steps([p.position for p in placed], first)
    yield column([p.event.seq - p.position for p in placed])
    if subject is not None:
        yield column([p.event.subject - subject for p in placed])
    yield steps([p.event.t_ns for p in placed], first_ns)
    yield column([len(p.meta) for p in placed])


def _total(pieces: Iterable[bytes]) -> int:
    return sum(map(len, pieces))


def told_apart(placed: Iterable[Placed]) -> tuple[list[Placed], list[Placed]]:
    """Events and stamps, in their orders."""
    events: list[Placed] = []
    stamps: list[Placed] = []
    for p in placed:
        (stamps if p.event.kind == _ANSWER and not p.event.flags & _LAST else events).append(p)
    return events, stamps


def literals_of(event: Event) -> int:
    """Where in the body of an event of an exchange the bytes begin that stand in the ASKED stream."""
    if event.kind is not EventKind.REQUEST:
        return 0
    head = event.meta.get("head")
    if type(head) is not int or not 0 <= head <= len(event.body):
        return 0
    try:
        return len(event.body) - len(split(event.body[head:])[1])
    except ValueError:
        return head


class Block:
    """A block of events, read as far as asked. Raises ValueError, from every method, when it is none."""

    __slots__ = (
        "_cursor",
        "_first",
        "_first_ns",
        "_segment_name",
        "_stamps_at",
        "answered",
        "answered_length",
        "answers",
        "asked",
        "asked_length",
        "events",
        "flags",
        "segment",
        "stamps",
        "stamps_with_meta",
        "subject",
        "type",
    )

    def __init__(self, data: bytes, at: int, end: int, segments: Sequence[str]) -> None:
        cursor = Cursor(data, at, end)
        self.type = cursor.take(1)[0]
        if self.type not in (SESSION, EXCHANGE):
            raise ValueError(f"a block of type {self.type}")
        self.segment = cursor.varint()
        self.subject = cursor.varint()
        self.asked, self.asked_length = cursor.varint(), cursor.varint()
        self.answered, self.answered_length = cursor.varint(), cursor.varint()
        self.events, self.stamps = cursor.varint(), cursor.varint()
        self.flags, self.stamps_with_meta = cursor.varint(), cursor.varint()
        self._first, self._first_ns = cursor.varint(), cursor.varint()
        if self.events + self.stamps > end - cursor.at:  # each row has a byte of flags
            raise ValueError("more events than bytes")
        if self.subject > 0xFFFFFFFF:
            raise ValueError("a subject beyond all measure")
        self._segment_name = segments[self.segment] if self.segment < len(segments) else f"segment-{self.segment}"
        self._cursor = cursor
        self._stamps_at = -1
        self.answers: list[Placed] = []  # the ANSWERs among the events, once these were read

    def read_events(self) -> list[Placed]:
        """The events that are no stamps, in their order."""
        count = self.events
        cursor = Cursor(self._cursor.data, self._cursor.at, self._cursor.end)
        kinds = [_KINDS.get(number) for number in cursor.take(count)]
        flags, positions, seqs, subjects, times, metas = self._read_rows(cursor, count, with_subject=True)
        owns, lengths = cursor.column(count), cursor.column(count)
        texts = _cut(cursor, metas)
        bodies = _cut(cursor, owns)
        self._stamps_at = cursor.at
        asked = self.asked
        answered = (
            self.answered
            + self.answered_length
            - sum(length for length, kind in zip(lengths, kinds, strict=True) if kind == _ANSWER)
        )
        if answered < self.answered or min(lengths, default=0) < 0:
            raise ValueError("more bytes of an answer than the block has")
        out = []
        for kind, flag, position, seq, subject, t_ns, text, own, length in zip(
            kinds, flags, positions, seqs, subjects, times, texts, bodies, lengths, strict=True
        ):
            if kind is None:
                raise ValueError("an event of no known kind")
            at = 0
            if kind == _ANSWER:
                at, answered = answered, answered + length
            elif kind in ASKED:
                at, asked = asked, asked + length
            elif length:
                raise ValueError("moved bytes of an event that has none")
            event = Event(
                kind,
                position + seq,
                t_ns,
                self.subject + subject,
                flag,
                _meta(text) if text else {},
                own,
                self._segment_name,
            )
            out.append(Placed(position, event, text, length, at))
        if asked != self.asked + self.asked_length:
            raise ValueError("other bytes of a request than the block has")
        self.answers = [p for p in out if p.event.kind is EventKind.ANSWER]
        return out

    def stamp_columns(self) -> StampColumns:
        """The stamps as columns, for those who need no events."""
        if self._stamps_at < 0:
            self.read_events()
        count = self.stamps
        cursor = Cursor(self._cursor.data, self._stamps_at, self._cursor.end)
        rows = self._read_rows(cursor, count, with_subject=False)
        lengths = cursor.column(count)
        if min(lengths, default=0) < 0 or sum(lengths) > self.answered_length:
            raise ValueError("more bytes of an answer than the block has")
        seqs = list(map(add, rows.positions, rows.seqs))
        return StampColumns(rows.flags, rows.positions, seqs, rows.times, lengths)

    def stamp_metas(self) -> list[bytes]:
        """The metas of the stamps as they are stored."""
        if self._stamps_at < 0:
            self.read_events()
        cursor = Cursor(self._cursor.data, self._stamps_at, self._cursor.end)
        metas = self._read_rows(cursor, self.stamps, with_subject=False).metas
        cursor.column(self.stamps)
        return _cut(cursor, metas)

    def read_stamps(self) -> list[Placed]:
        """The stamps, in their order."""
        if not self.stamps:
            return []
        if self._stamps_at < 0:
            self.read_events()
        count = self.stamps
        cursor = Cursor(self._cursor.data, self._stamps_at, self._cursor.end)
        flags, positions, seqs, _, times, metas = self._read_rows(cursor, count, with_subject=False)
        lengths = cursor.column(count)
        texts = _cut(cursor, metas)
        at, end = self.answered, self.answered + self.answered_length
        out = []
        for flag, position, seq, t_ns, text, length in zip(flags, positions, seqs, times, texts, lengths, strict=True):
            meta = _meta(text) if text else {}
            event = Event(EventKind.ANSWER, position + seq, t_ns, self.subject, flag, meta, b"", self._segment_name)
            out.append(Placed(position, event, text, length, at))
            at += length
            if length < 0 or at > end:
                raise ValueError("more bytes of an answer than the block has")
        return out

    def _read_rows(self, cursor: Cursor, count: int, *, with_subject: bool) -> _Rows:
        flags = cursor.take(count)
        positions = cursor.steps(count, self._first)
        seqs = cursor.column(count)
        subjects = cursor.column(count) if with_subject else ()
        times, metas = cursor.steps(count, self._first_ns), cursor.column(count)
        if max(metas, default=0) > MOST_META:
            raise ValueError("a meta larger than a record has")
        return _Rows(flags, positions, seqs, subjects, times, metas)


class StampColumns(NamedTuple):
    """Flags, positions, sequence numbers, times and lengths of the stamps of a block."""

    flags: bytes
    positions: Sequence[int]
    seqs: Sequence[int]
    times: Sequence[int]
    lengths: Sequence[int]


class _Rows(NamedTuple):
    flags: bytes
    positions: Sequence[int]
    seqs: Sequence[int]  # less the positions
    subjects: Sequence[int]  # less the block's
    times: Sequence[int]
    metas: Sequence[int]  # lengths


def _cut(cursor: Cursor, lengths: Sequence[int]) -> list[bytes]:
    """The next bytes, cut to lengths."""
    return [cursor.take(length) if length else b"" for length in lengths]


def _meta(raw: bytes) -> dict[str, Any]:
    try:
        meta = json.loads(raw)
    except RecursionError:
        raise ValueError("a meta nested beyond all measure") from None
    if isinstance(meta, dict):
        return meta
    raise ValueError("a meta that is no object")


def with_body(placed: Placed, moved: bytes) -> Event:
    """The event, whole."""
    return placed.event.replaced(body=placed.event.body + moved) if moved else placed.event
