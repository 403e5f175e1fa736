"""Answers as their reads came: from ANSWER events to chunks, at once or when they are asked for."""

from __future__ import annotations

import re
from collections import OrderedDict
from itertools import accumulate, pairwise
from operator import add
from typing import TYPE_CHECKING, NamedTuple

from playhead.core.events import EventKind, Flag
from playhead.errors import DamagedRecording
from playhead.journal.frames import Kind
from playhead.sessions.model import Chunk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from playhead.core.events import Event
    from playhead.journal.blocks import Block
    from playhead.journal.sealed import Sealed

_KEPT = 32
_KEPT_BYTES = 16 << 20


class Gap(NamedTuple):
    """First and last of the sequence numbers of records of a segment that are damaged."""

    first: int
    last: int


def held(event: Event) -> int:
    """How many bytes of its read stand in the records behind an ANSWER. Raises ValueError or TypeError."""
    if event.meta and "instead" in event.meta:
        int(event.meta["instead"])
    return int(event.meta.get("held", 0)) if event.meta else 0


def _instead(event: Event, reads: int) -> list[bytes]:
    """The reads that an ANSWER gives in the place of all so far, its own last: redaction found a secret inside a content
    coding. `reads` is how many there were before it. Raises ValueError or TypeError."""
    count, body = int(event.meta["instead"]), event.body
    if not 0 <= count - reads <= 1 or len(body) < 4 * count:
        raise ValueError("an answer is replaced that is not there")
    lengths = [int.from_bytes(body[at : at + 4], "little") for at in range(0, 4 * count, 4)]
    places = list(accumulate(lengths, initial=4 * count))
    if places[-1] != len(body):
        raise ValueError("the lengths of an answer are not those of its bytes")
    return [body[first:last] for first, last in pairwise(places)] + [b""] * (reads + 1 - count)


def chunks_of(events: Iterable[Event], gap: Gap | None = None) -> list[Chunk]:
    """The reads of an answer, as far as none of them can have been lost in the gap. Redaction withholds the tail of a read that could begin a secret, and writes it with a
    later record. Here every read gets back the bytes it brought; a record that held only such bytes is no read."""
    chunks: list[Chunk] = []
    ends: list[int] = []
    written = 0
    for event in events:
        if gap is not None and event.seq > gap.first and (chunks or not event.flags & Flag.FIRST):
            break
        try:
            more = held(event)
            if event.meta and "instead" in event.meta:
                reads = _instead(event, len(chunks))
                chunks.append(Chunk(event.t_ns, b"", event.seq, event.flags))
                chunks = [chunk._replace(data=read) for chunk, read in zip(chunks, reads, strict=True)]
                ends = list(accumulate(len(read) for read in reads))
                written = ends[-1]
                continue
        except (ValueError, TypeError, OverflowError):  # named when the recording was opened
            continue
        written += len(event.body)
        ends.append(written + more)
        said = event.meta.get("said") if event.meta else None
        chunks.append(Chunk(event.t_ns, event.body, event.seq, event.flags, said if type(said) is int else None))
    return _given_back(chunks, ends)


def _given_back(chunks: list[Chunk], ends: list[int]) -> list[Chunk]:
    """The reads with the bytes they brought, by where each ends in the whole."""
    if ends == list(accumulate([len(c.data) for c in chunks])):
        return chunks
    whole = b"".join([c.data for c in chunks])
    start = 0
    resliced = []
    for chunk, end in zip(chunks, ends, strict=True):
        resliced.append(chunk._replace(data=whole[start : max(start, end)]))
        start = max(start, end)
    return [c for c in resliced if c.data or c.flags or c.said is not None]


def damaged(where: str, seen: str) -> DamagedRecording:
    """The error for a part of a recording that is asked for and cannot be read."""
    return DamagedRecording(
        "A part of this recording is damaged.",
        code="recording-damaged",
        where=where,
        seen=seen,
        todo="`playhead verify` lists all damage; restore the file from a copy",
    )


_PLAIN = re.compile(rb'(?:\{"held":([0-9]{1,9})\})?')


def only_held(metas: Iterable[bytes]) -> bool:
    """Whether events with these metas say no more than how much of each read was held back, as nearly all do."""
    return all(map(_PLAIN.fullmatch, set(metas)))


def _held_back(metas: list[bytes]) -> list[int]:
    """How much of each read was held back. Raises ValueError when a meta says more."""
    known = {}
    for meta in set(metas):
        found = _PLAIN.fullmatch(meta)
        if found is None:
            raise ValueError("more than what was held back")
        known[meta] = int(found[1] or 0)
    return [known[meta] for meta in metas]


class SealedAnswers:
    """The answers of one segment of a sealed file, read when they are asked for; a few stay in memory."""

    def __init__(self, sealed: Sealed) -> None:
        self._sealed = sealed
        self._blocks: dict[int, list[Block]] = {}
        self._kept: OrderedDict[int, list[Chunk]] = OrderedDict()
        self._bytes = 0
        self.lost: set[int] = set()  # exchanges whose answers are known not to be whole

    def add(self, block: Block) -> None:
        """A block that holds a part of the answer of its exchange."""
        self._blocks.setdefault(block.subject, []).append(block)

    def chunks(self, number: int, gap: Gap | None) -> list[Chunk]:
        """The reads of one answer, up to the first that is lost or may have been. Raises DamagedRecording
        when one is lost that was there when the recording was opened."""
        chunks = self._kept.get(number)
        if chunks is not None:
            self._kept.move_to_end(number)
            return chunks
        quick = self._quick(number) if gap is None else None
        chunks = self._kept[number] = chunks_of(self._events(number), gap) if quick is None else quick
        self._bytes += sum(len(c.data) for c in chunks)
        while len(self._kept) > 1 and (len(self._kept) > _KEPT or self._bytes > _KEPT_BYTES):
            self._bytes -= sum(len(c.data) for c in self._kept.popitem(last=False)[1])
        return chunks

    def _quick(self, number: int) -> list[Chunk] | None:
        """The reads of an answer whose events say no more than what was held back, and of which nothing is lost; None
        when that is not so."""
        chunks: list[Chunk] = []
        back: list[int] = []  # how much of each was held back
        reached = -1
        for block in self._blocks.get(number, ()):
            try:
                metas = block.stamp_metas() if block.stamps_with_meta else []
                back += _held_back(metas) if metas else [0] * block.stamps
                flags, positions, seqs, times, lengths = block.stamp_columns()
                whole = self._sealed.file.read(Kind.ANSWERED, block.answered, block.answered_length)
            except ValueError:
                return None
            own = [*positions, *(p.position for p in block.answers)]
            if any(p.meta for p in block.answers) or sorted(own) != own or (own and own[0] <= reached):
                return None
            reached = own[-1] if own else reached
            ends = list(accumulate(lengths, initial=0))
            data = [whole[start:end] for start, end in pairwise(ends)]
            chunks += map(Chunk, times, data, seqs, flags)
            back += [0] * len(block.answers)
            at = ends[-1]
            for placed in block.answers:
                event = placed.event
                chunks.append(Chunk(event.t_ns, whole[at : at + placed.moved], event.seq, event.flags))
                at += placed.moved
        return _given_back(chunks, list(map(add, accumulate([len(c.data) for c in chunks]), back)))

    def _events(self, number: int) -> list[Event]:
        rows = []
        for block in self._blocks.get(number, ()):
            rows += self._sealed.rows(block, stamps=True)
            rows += [p for p in self._sealed.rows(block, stamps=False) if p.event.kind is EventKind.ANSWER]
        rows.sort(key=lambda p: p.position)
        events: list[Event] = []
        for placed in rows:
            try:
                events.append(self._sealed.whole(placed))
            except ValueError as error:
                if number not in self.lost:  # never a shorter answer that nobody was told of
                    raise damaged(f"the answer of step {number}", str(error)) from None
                break
        return events
