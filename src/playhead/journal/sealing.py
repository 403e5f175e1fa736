"""Sealing: the segments of a session become its one file (see journal.sealed), read back before it takes its place."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from playhead.core.events import EventKind
from playhead.errors import DamagedRecording
from playhead.journal.asked import Request, write_spans
from playhead.journal.blocks import (
    ASKED,
    EXCHANGE,
    LENGTH,
    SEGMENTS,
    Block,
    Placed,
    blocks_of,
    literals_of,
    told_apart,
    write_block,
)
from playhead.journal.columns import varint
from playhead.journal.directory import Directory, flattened, write_directory
from playhead.journal.frames import FRAME_BYTES, FrameWriter, Kind, mark_of
from playhead.journal.placing import beside
from playhead.journal.records import SegmentContents, read_segment
from playhead.journal.sealed import Sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from playhead.core.events import Event

HIGHEST = 19
_LEVELS = ((32 << 20, 9), (128 << 20, 6))  # of zstd, and up to how many raw bytes of a stream they keep sealing short
_FASTEST = 3
MOST_DAMAGE = 10_000  # places of one segment that are kept


class Stored(NamedTuple):
    """One segment to be sealed: its contents and the metas of its events as stored."""

    contents: SegmentContents
    metas: list[bytes]


Written = tuple[int, int, int, list[Placed]]
"""Type, segment, subject and events of a block that was put into a sealed file."""


def write_sealed(
    path: Path,
    session: str,
    segments: Iterable[tuple[str, bytes]],
    *,
    level: int = 0,
    wanted: Callable[[], bool] = lambda: True,
) -> None:
    """Write the sealed form beside its final place, read it back, sync it and rename it there: it exists whole or not
    at all. `level` is zstd's; 0 takes the highest that keeps sealing short. Raises OSError, FileNotFoundError when it is
    not `wanted` any more, DamagedRecording when what was written does not read back as the same events."""
    stored = []
    for name, data in segments:
        metas: list[bytes] = []
        stored.append(Stored(read_segment(data, name, metas), metas))
    with beside(path, wanted=wanted) as temporary:
        verify_sealed(temporary, stored, write_segments(temporary, session, stored, level=level))


def write_segments(
    path: Path,
    session: str,
    segments: list[Stored],
    *,
    level: int = 0,
    known: Callable[[Kind, int, bytes], tuple[bytes, int] | None] | None = None,
) -> list[Written]:
    """Write segments as a sealed file at `path`, mode 0600; frames that are `known` are not compressed again. Returns
    its blocks. Raises OSError."""
    raw = dict.fromkeys(Kind, 0)
    for stored in segments:
        for event in stored.contents.events:
            raw[Kind.RECORDS] += 16
            raw[stream_of(event)] += len(event.body)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        frames = FrameWriter(file, mark_of(session), lambda kind: level or level_of(raw[kind]), known)
        return _Sealing(frames, session).write(segments)


def stream_of(event: Event) -> Kind:
    """The stream in which the body of an event lies, the most of it."""
    if event.kind is EventKind.ANSWER:
        return Kind.ANSWERED
    return Kind.ASKED if event.kind in ASKED else Kind.RECORDS


def level_of(size: int) -> int:
    """The highest zstd level at which a stream of that size is compressed soon."""
    return next((level for limit, level in _LEVELS if size <= limit), _FASTEST)


class _Sealing:
    """One file being written."""

    def __init__(self, frames: FrameWriter, session: str) -> None:
        self._frames = frames
        self._session = session
        self._asked = self._answered = 0
        self._bodies: dict[Kind, list[bytes]] = {Kind.ASKED: [], Kind.ANSWERED: []}
        self._places: dict[int, list[int]] = {}
        self._requests: dict[int, dict[int, Request]] = {}
        self._sound = True

    def write(self, segments: list[Stored]) -> list[Written]:
        frames = self._frames
        table = [_facts(s.contents) for s in segments]
        text = json.dumps(table, separators=(",", ":")).encode()
        frames.piece(Kind.RECORDS, LENGTH.pack(len(text) + 1) + SEGMENTS.to_bytes(1, "little") + text)
        blocks = []
        for number, (contents, metas) in enumerate(segments):
            for kind, subject, placed in blocks_of(list(zip(contents.events, metas, strict=True))):
                blocks.append((kind, number, subject, placed))
        blocks.sort(key=lambda block: block[0] == EXCHANGE)
        for block in blocks:
            kind, _, subject, _ = block
            if kind == EXCHANGE:
                if not self._places:
                    frames.flush(Kind.RECORDS)  # a frame of its own: a file that was cut off still says whose it is
                self._places.setdefault(subject, []).append(frames.position[Kind.RECORDS])
            self._block(*block)
        frames.flush(Kind.RECORDS)
        # side by side, as they came: of a file that was cut off a part has both
        for asked, answered in zip(self._bodies[Kind.ASKED], self._bodies[Kind.ANSWERED], strict=True):
            frames.stream(Kind.ASKED, asked)
            frames.stream(Kind.ANSWERED, answered)
        frames.flush(Kind.ASKED)
        frames.flush(Kind.ANSWERED)
        for number, (contents, _) in enumerate(segments):
            self._flatten(number, contents.events)
        frames.flush(Kind.EXTENTS)
        self._index(table)
        return blocks

    def _block(self, kind: int, segment: int, subject: int, placed: list[Placed]) -> None:
        at = self._asked
        for each in placed:
            if each.event.kind in ASKED:
                length = len(each.event.body) - literals_of(each.event)
                if each.event.kind is EventKind.REQUEST:
                    requests = self._requests.setdefault(segment, {})
                    requests[subject] = Request(subject, each.position, at, length)
                at += length
        data, moved = write_block(kind, segment, subject, placed, self._asked, self._answered)
        self._frames.piece(Kind.RECORDS, data)
        asked, answered = b"".join(moved.asked), b"".join(moved.answered)
        self._bodies[Kind.ASKED].append(asked)
        self._bodies[Kind.ANSWERED].append(answered)
        self._asked += len(asked)
        self._answered += len(answered)

    def _flatten(self, segment: int, events: list[Event]) -> None:
        """Add where the bodies lie that many others lead to."""
        requests = self._requests.get(segment, {})
        for number, spans in flattened(requests, events):
            if spans is None:
                self._sound = False
            elif len(data := write_spans(spans)) <= FRAME_BYTES:
                place = self._frames.position[Kind.EXTENTS]
                requests[number] = requests[number]._replace(flat=place + 1)
                self._frames.piece(Kind.EXTENTS, data)

    def _index(self, table: list[Any]) -> None:
        position = self._frames.position
        totals = {"asked": self._asked, "answered": self._answered, "records": position[Kind.RECORDS]}
        facts = {"session": self._session, "segments": table, **totals}
        facts |= {"extents": position[Kind.EXTENTS], "sound": self._sound}
        text = json.dumps(facts, separators=(",", ":")).encode()
        directory = Directory(self._places, self._requests)
        self._frames.piece(Kind.INDEX, varint(len(text)) + text + write_directory(directory))
        self._frames.flush(Kind.INDEX)


def _facts(contents: SegmentContents) -> list[Any]:
    damage = [[d.offset, d.problem] for d in contents.damage[:MOST_DAMAGE]]
    return [contents.segment, contents.size, contents.good_bytes, len(contents.events), damage]


def verify_sealed(path: Path, segments: list[Stored], blocks: list[Written]) -> None:
    """Compare a sealed file with its blocks, and these with the segments, event by event. Raises DamagedRecording."""
    sealed = Sealed(path)
    try:
        found = sealed.blocks()
        same = [s.contents.segment for s in segments] == [s.name for s in sealed.segments]
        same = same and len(found) == len(blocks) and _are_all(segments, blocks)
        same = same and all(map(partial(_reads_back, sealed), found, blocks)) and not sealed.damage()
    finally:
        sealed.close()
    if not same:
        raise DamagedRecording(
            "The sealed file does not read back as what was recorded.",
            code="seal-unverified",
            where=str(path),
            todo="the recording stays as it is, and is as good; the disk may be failing",
        )


def _are_all(segments: list[Stored], blocks: list[Written]) -> bool:
    """Whether these blocks have every event of the segments, in its place."""
    rows: list[dict[int, tuple[Event, bytes]]] = [{} for _ in segments]
    for _, number, _, placed in blocks:
        rows[number].update((p.position, (p.event, p.meta)) for p in placed)
    return sum(len(placed) for *_, placed in blocks) == sum(map(len, rows)) and all(
        [own.get(at, ()) for at in range(len(metas))] == list(zip(contents.events, metas, strict=True))
        for own, (contents, metas) in zip(rows, segments, strict=True)
    )


def _reads_back(sealed: Sealed, block: Block, written: Written) -> bool:
    """Whether a block reads back as the events it was made of."""
    kind, segment, subject, placed = written
    events, stamps = told_apart(placed)
    try:
        rows = block.read_events()
        columns, metas = block.stamp_columns(), block.stamp_metas()
        answered = sealed.file.read(Kind.ANSWERED, block.answered, sum(columns.lengths))
        same = all(
            (row.position, row.meta) == (p.position, p.meta) and _is_same(sealed.whole(row), p.event)
            for row, p in zip(rows, events, strict=True)
        )
    except ValueError:
        return False
    return (
        same
        and (block.type, block.segment, block.subject) == (kind, segment, subject)
        and list(columns.flags) == [p.event.flags for p in stamps]
        and list(columns.positions) == [p.position for p in stamps]
        and list(columns.seqs) == [p.event.seq for p in stamps]
        and list(columns.times) == [p.event.t_ns for p in stamps]
        and list(columns.lengths) == [len(p.event.body) for p in stamps]
        and metas == [p.meta for p in stamps]
        and answered == b"".join([p.event.body for p in stamps])
        and all(p.event.subject == subject for p in stamps)
    )


def _is_same(a: Event, b: Event) -> bool:
    return (a.kind, a.seq, a.t_ns, a.subject, a.flags, a.body) == (b.kind, b.seq, b.t_ns, b.subject, b.flags, b.body)
