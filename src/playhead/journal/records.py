"""Reads the records of a segment (`journal.segment` has the format), also of one that was cut off or damaged."""

from __future__ import annotations

from struct import Struct
from zlib import crc32

from playhead.core import compact, numbers
from playhead.core.events import Event, EventKind
from playhead.journal.segment import FIXED, FRAME, MAX_RECORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_HEAD = Struct("<IIBBHIIQ")
_SEQ = Struct("<I")
_SEQ_AT = 12  # offset of seq in a record
_LOST_AT_MOST = 64  # records behind damage that are tried as the next whole one
_SEARCHED = 4 << 20  # bytes behind damage in which it is looked for
_KINDS = {int(kind): kind for kind in EventKind}


class Damage:
    """A record that is not what was written: where in the segment, and what is wrong with it."""

    __slots__ = ("offset", "problem", "segment")

    def __init__(self, segment: str, offset: int, problem: str) -> None:
        self.segment = segment
        self.offset = offset
        self.problem = problem

    def _values(self) -> tuple[str, int, str]:
        return self.segment, self.offset, self.problem

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Damage) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"Damage{self._values()}"


class SegmentContents:
    """All whole records of one segment, in order, and what is not whole."""

    __slots__ = ("damage", "events", "good_bytes", "segment", "size")

    def __init__(
        self, segment: str, events: list[Event], size: int, good_bytes: int, damage: list[Damage] | None = None
    ) -> None:
        self.segment = segment
        self.events = events
        self.size = size
        self.good_bytes = good_bytes
        self.damage = [] if damage is None else damage

    def _values(self) -> tuple[Any, ...]:
        return self.segment, self.events, self.size, self.good_bytes, self.damage

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SegmentContents) and self._values() == other._values()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SegmentContents{self._values()}"

    @property
    def torn(self) -> int:
        """Bytes behind the last whole record."""
        return self.size - self.good_bytes

    @property
    def closed(self) -> bool:
        """Whether the writer ended in order."""
        return bool(self.events) and self.events[-1].kind == numbers.CLOSED


def read_segment(data: bytes, segment: str, metas: list[bytes] | None = None) -> SegmentContents:
    """Decode a segment. Never raises: what cannot be decoded is in `damage` or is the torn tail. `metas` gets the meta
    of each event as it is stored."""
    events: list[Event] = []
    damage: list[Damage] = []
    good = 0
    expected_seq = 0
    for offset, end, event in _records(data, segment):
        if event is None:
            damage.append(Damage(segment, offset, f"checksum mismatch in {end - offset} bytes"))
            continue
        if event.seq != expected_seq and not damage:
            damage.append(Damage(segment, offset, f"sequence {event.seq} where {expected_seq} was due"))
        expected_seq = event.seq + 1
        events.append(event)
        if metas is not None:
            metas.append(data[offset + _HEAD.size : end - len(event.body)])
        good = end
    return SegmentContents(segment, events, len(data), good, [d for d in damage if d.offset < good])


def _records(data: bytes, segment: str) -> Iterator[tuple[int, int, Event | None]]:
    """(offset, end, event or None where bytes are wrong) until nothing whole follows."""
    position = due = 0
    view = memoryview(data)
    budget = 4 * len(data)  # bytes summed in search of whole records: hostile data must not cost more than reading it
    while position + _HEAD.size <= len(data):
        found = _record_at(data, view, position, segment)
        if found is not None:
            end, event = found
            yield position, end, event
            position, due = end, event.seq + 1
            continue
        further, spent = _next_whole(data, view, position, due, budget)
        if further is None:
            return
        budget -= spent
        yield position, further, None
        position = further


def _record_at(data: bytes, view: memoryview, position: int, segment: str) -> tuple[int, Event] | None:
    """The end of the record at `position` and the record, or None when it is not whole."""
    length, crc, kind, flags, meta_length, seq, subject, t_ns = _HEAD.unpack_from(data, position)
    start = position + FRAME.size
    end = start + length
    body_start = position + _HEAD.size + meta_length
    known = _KINDS.get(kind)
    if known is None or not FIXED.size <= length <= MAX_RECORD or end > len(data) or body_start > end:
        return None
    if crc32(view[start:end]) != crc:
        return None
    meta = _decode_meta(data[position + _HEAD.size : body_start])
    if meta is None:
        return None
    return end, Event(known, seq, t_ns, subject, flags, meta, data[body_start:end], segment)


def _next_whole(data: bytes, view: memoryview, position: int, due: int, budget: int) -> tuple[int | None, int]:
    """Where the next whole record begins behind damage at `position`, and the bytes summed to find out. Seqs have no
    gap, so it is looked for by the seqs that may follow the lost one."""
    spent = 0
    for seq in range(due + 1, due + 1 + _LOST_AT_MOST):
        wanted = _SEQ.pack(seq & 0xFFFFFFFF)
        at = data.find(wanted, position + 1 + _SEQ_AT, position + _SEARCHED)
        while at >= 0:
            candidate = at - _SEQ_AT
            if candidate + _HEAD.size <= len(data):
                length = _HEAD.unpack_from(data, candidate)[0]
                if candidate + FRAME.size + length <= len(data):
                    spent += min(length, MAX_RECORD)
                    if spent > budget:
                        return None, spent
                    if _record_at(data, view, candidate, "") is not None:
                        return candidate, spent
            at = data.find(wanted, at + 1, position + _SEARCHED)
    return None, spent


def _decode_meta(raw: bytes) -> dict[str, Any] | None:
    if not raw:
        return {}
    try:
        meta = compact.load(raw)
    except (ValueError, RecursionError):
        return None
    return meta if isinstance(meta, dict) else None
