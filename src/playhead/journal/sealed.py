"""The sealed form of a session: its segments in one file of frames (journal.frames) that hold blocks of events
(journal.blocks), requests and answers in streams of their own. Its reader; the writer is journal.sealing.

Order in the file: the session's own blocks, the exchanges' blocks, what was asked and answered in the order of the
exchanges, extents (journal.directory), and the index, one frame that holds

    varint length of the JSON | JSON {"session", "segments": as in the first block, "asked", "answered", "records",
    "extents": lengths of the streams, "sound": whether every request body can be read} | directory (journal.directory)

Extents and index are derived: without them the blocks are walked.

FORMAT_VERSION history: 0 unstable, refused. 1 frames by kind of content, with headers of their own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from playhead.core.events import EventKind
from playhead.journal.asked import AskedBodies, Request, operations, read_spans
from playhead.journal.blocks import (
    EXCHANGE,
    LENGTH,
    SEGMENTS,
    Block,
    Placed,
    with_body,
)
from playhead.journal.columns import Cursor
from playhead.journal.directory import Directory, read_directory
from playhead.journal.frames import (
    NAMES,
    Fault,
    FrameFile,
    Kind,
    cut_short,
)
from playhead.journal.records import Damage, SegmentContents

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from playhead.core.events import Event

MOST_JSON = 4 << 20
MOST_EVENTS = 1 << 20  # and four for each byte of the file: what decodes to more was made to


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A decoded sealed file: its segments in the order they were written, and the frames that were damaged."""

    session: str
    segments: list[SegmentContents]
    damage: list[Damage]


@dataclass(slots=True)
class SegmentFacts:
    """What a sealed file says of one of its segments; damage that was there when it was sealed."""

    name: str
    size: int
    good_bytes: int
    events: int
    damage: list[Damage] = field(default_factory=list)


class Sealed:
    """A sealed file, read on demand.

    Opening raises IncompatibleRecording for a file that is no recording or of another format version,
    DamagedRecording when nothing of it can be read; OSError. What is wrong with the rest is in `damage()`."""

    def __init__(self, path: Path) -> None:
        self.file = FrameFile(path)
        self.path = path
        self.segments: list[SegmentFacts] = []
        self.sound = False  # every request body could be read when it was sealed
        self._totals: dict[Kind, int] | None = None
        self._directory: Directory | None = None
        self._blocks: list[Block] | None = None
        self._walked: list[tuple[int, Block]] = []
        self._nonsense: list[Fault] = []
        self._read_index()
        if not any(self.file.frames[kind] for kind in Kind):
            raise cut_short(path, f"{self.file.size} bytes, no whole frame")

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()

    # -- the index

    def _read_index(self) -> None:
        frames = self.file.frames[Kind.INDEX]
        raw = self.file.decode(frames[-1]) if frames else None
        if raw is not None:
            try:
                self._parse_index(raw)
            except (ValueError, KeyError, TypeError, OverflowError, RecursionError, MemoryError):
                self._totals = self._directory = None
                self._nonsense.append(Fault(frames[-1].offset, "the index cannot be read"))
        if self._totals is None:
            self.segments = self._first_block()

    def _parse_index(self, raw: bytes) -> None:
        cursor = Cursor(raw)
        facts = _json(cursor.take(cursor.varint()))
        names = {Kind.ASKED: "asked", Kind.ANSWERED: "answered", Kind.RECORDS: "records", Kind.EXTENTS: "extents"}
        totals = {kind: facts[name] for kind, name in names.items()}
        if not all(type(total) is int and 0 <= total < 1 << 62 for total in totals.values()):
            raise ValueError("lengths that are none")
        self.segments = _segments(facts["segments"])
        most = min(totals[Kind.RECORDS], MOST_EVENTS + 4 * self.file.size)
        self._directory = read_directory(cursor, most)
        self._totals = totals
        self.sound = facts.get("sound") is True

    def _first_block(self) -> list[SegmentFacts]:
        frames = self.file.frames[Kind.RECORDS]
        raw = self.file.decode(frames[0]) if frames and not frames[0].start else None
        if raw is not None and len(raw) > LENGTH.size and raw[LENGTH.size] == SEGMENTS:
            try:
                return _segments(_json(raw[LENGTH.size + 1 : LENGTH.size + LENGTH.unpack_from(raw)[0]]))
            except (ValueError, TypeError, RecursionError):
                self._nonsense.append(Fault(frames[0].offset, "the list of segments cannot be read"))
        return []

    # -- blocks

    def blocks(self) -> list[Block]:
        """All blocks that can be read, in the order of the file."""
        if self._blocks is None:
            self._blocks = []
            self.file.all_wanted = True
            names = [s.name for s in self.segments]
            room = MOST_EVENTS + 4 * self.file.size
            asked = answered = 0
            for at, block in self._walk(names):
                room -= block.events + block.stamps
                if block.asked < asked or block.answered < answered:
                    self._nonsense.append(Fault(at, "a block that claims bytes of another"))
                elif room < 0:
                    self._nonsense.append(Fault(at, "more events than a recording of this size has"))
                    break
                else:
                    asked, answered = block.asked + block.asked_length, block.answered + block.answered_length
                    self._blocks.append(block)
                    self._walked.append((at, block))
        return self._blocks

    def _walk(self, names: list[str]) -> Iterator[tuple[int, Block]]:
        """Each block and where it stands in its stream."""
        for frame in self.file.frames[Kind.RECORDS]:
            raw = self.file.decode(frame)
            at = 0
            while raw is not None and at < len(raw):
                start = at + LENGTH.size
                end = start + LENGTH.unpack_from(raw, at)[0] if start <= len(raw) else len(raw) + 1
                if end > len(raw) or end == start:
                    self._nonsense.append(Fault(frame.offset, "a block that does not end"))
                    break
                if raw[start] != SEGMENTS:
                    try:
                        yield frame.start + at, Block(raw, start, end, names)
                    except ValueError as error:
                        self._nonsense.append(Fault(frame.offset, f"a block that cannot be read ({error})"))
                at = end

    def exchange(self, number: int) -> list[Block]:
        """The blocks of one exchange; [] when there is none. Decodes no more than they lie in."""
        if self._directory is None or self._blocks is not None:
            return [b for b in self.blocks() if b.type == EXCHANGE and b.subject == number]
        names = [s.name for s in self.segments]
        out = []
        for place in self._directory.places.get(number, []):
            try:
                length = LENGTH.unpack(self.file.read(Kind.RECORDS, place, LENGTH.size))[0]
                data = self.file.read(Kind.RECORDS, place + LENGTH.size, length)
                block = Block(data, 0, length, names)
            except ValueError:
                continue
            if block.type == EXCHANGE and block.subject == number:
                out.append(block)
        return out

    def blocks_of(self, number: int) -> int:
        """How many blocks of an exchange there should be, as far as is known."""
        return len(self._directory.places.get(number, ())) if self._directory else 0

    def numbers(self) -> list[int]:
        """The numbers of all exchanges that the file says it has, or that can be read when its index is lost."""
        if self._directory is None:
            return sorted({b.subject for b in self.blocks() if b.type == EXCHANGE})
        return sorted(self._directory.places)

    def requests(self, segment: int) -> Mapping[int, Request]:
        """The requests of a segment in the order in which their bodies were encoded."""
        if self._directory is None:
            self._directory = Directory({}, self._walk_requests())
            self._by_walking = True
        return self._directory.requests.get(segment, {})

    def _walk_requests(self) -> dict[int, Mapping[int, Request]]:
        found: dict[int, dict[int, Request]] = {}
        for block in self.blocks():
            if block.type == EXCHANGE and block.asked_length:
                for p in self.rows(block, stamps=False):
                    if p.event.kind is EventKind.REQUEST:
                        own = found.setdefault(block.segment, {})
                        own[block.subject] = Request(block.subject, p.position, p.at, p.moved)
        return {s: dict(sorted(own.items(), key=lambda item: item[1].position)) for s, own in found.items()}

    def bodies(self, segment: int) -> AskedBodies:
        """The request bodies of a segment, which stay in the file."""
        return AskedBodies(
            self.requests(segment),
            lambda number: self._ops_of(segment, number),
            self._spans_of,
            lambda spans: self.file.read_spans(Kind.ASKED, spans),
        )

    def _spans_of(self, request: Request) -> list[tuple[int, int]] | None:
        try:
            return read_spans(self.file.rest(Kind.EXTENTS, request.flat - 1), self.file.length(Kind.ASKED))
        except ValueError:
            return None  # lost; the way over the bases is longer

    def _ops_of(self, segment: int, number: int) -> bytes:
        for block in self.exchange(number):
            if block.segment == segment:
                for placed in self.rows(block, stamps=False):
                    head = placed.event.meta.get("head")
                    if placed.event.kind is EventKind.REQUEST and type(head) is int and head >= 0:
                        return operations(placed.event.body[head:])
        raise ValueError(f"the body of exchange {number} is not at hand")

    def moved(self, placed: Placed) -> bytes:
        """The moved bytes of an event. Raises ValueError when they are lost."""
        kind = Kind.ANSWERED if placed.event.kind is EventKind.ANSWER else Kind.ASKED
        return self.file.read(kind, placed.at, placed.moved)

    def whole(self, placed: Placed) -> Event:
        """An event with its body. Raises ValueError when that is lost."""
        return with_body(placed, self.moved(placed)) if placed.moved else placed.event

    def rows(self, block: Block, *, stamps: bool) -> list[Placed]:
        """The events or the stamps of a block; [] when they cannot be read, which is named."""
        try:
            return block.read_stamps() if stamps else block.read_events()
        except (ValueError, OverflowError, MemoryError) as error:
            text = f"a block that cannot be read ({error})"
            if all(text != fault.problem for fault in self._nonsense):
                self._nonsense.append(Fault(0, text))
            return []

    def placed(self) -> dict[int, list[Placed]]:
        """All events of each segment by its number, bodies and all, in their order; those that are lost are left out."""
        out: dict[int, list[Placed]] = {}
        for block in self.blocks():
            for placed in (*self.rows(block, stamps=False), *self.rows(block, stamps=True)):
                try:
                    out.setdefault(block.segment, []).append(placed._replace(event=self.whole(placed)))
                except ValueError:
                    continue
        for events in out.values():
            events.sort(key=lambda p: p.position)
        return out

    # -- damage

    def damage(self) -> list[Damage]:
        """All that is wrong with the file, in words that name the steps it affects; sums up every frame."""
        self.file.check()
        faults = [*self.file.faults, *self._nonsense]
        if self._totals is None:
            faults.append(Fault(self.file.size, "the index at its end is lost"))
        else:
            for kind, total in self._totals.items():
                known = [(f.start, f.end) for f in self.file.faults if f.kind is kind]
                for start, end in self.file.gaps(kind, total):
                    if not any(a <= start and end <= b for a, b in known):
                        faults.append(Fault(0, f"{end - start} bytes of {NAMES[kind]} are lost", kind, start, end))
        faults.sort(key=lambda f: f.offset)
        return [Damage("", f.offset, f.problem + _those(self.affected(f))) for f in faults]

    def missing_blocks(self) -> set[int]:
        """The exchanges of which the index knows a block that cannot be read."""
        if self._directory is None:
            return set()
        there = {at for at, _ in self._walked}
        return {n for n, places in self._directory.places.items() if not there.issuperset(places)}

    def affected(self, fault: Fault) -> list[int]:
        """The exchanges that lose something by a fault."""
        if fault.kind is Kind.RECORDS:
            places = self._directory.places if self._directory else {}
            return sorted(n for n, at in places.items() if any(fault.start <= place < fault.end for place in at))
        if fault.kind is Kind.ASKED:
            spans = [(b.subject, b.asked, b.asked + b.asked_length) for b in self.blocks()]
        elif fault.kind is Kind.ANSWERED:
            spans = [(b.subject, b.answered, b.answered + b.answered_length) for b in self.blocks()]
        else:
            return []
        return sorted({number for number, start, end in spans if start < fault.end and fault.start < end})


def _json(text: bytes) -> Any:
    if len(text) > MOST_JSON:
        raise ValueError("more facts than a recording has")
    return json.loads(text)


def _segments(table: Any) -> list[SegmentFacts]:
    out = []
    for name, size, good, events, damage in table:
        facts = SegmentFacts(str(name), int(size), int(good), int(events))
        facts.damage = [Damage(facts.name, int(offset), str(problem)) for offset, problem in damage]
        out.append(facts)
    return out


def _those(numbers: list[int]) -> str:
    """`; affects steps 3-7, 9`."""
    if not numbers:
        return ""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    text = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ranges[:20])
    more = f" and {len(ranges) - 20} more ranges" if len(ranges) > 20 else ""
    return f"; affects step{'' if numbers == numbers[:1] else 's'} {text}{more}"


def read_sealed(path: Path) -> SealedFile:
    """Decode a sealed file. Raises as `Sealed` does; a damaged frame is named in `damage` and costs its own only."""
    sealed = Sealed(path)
    try:
        return decode_sealed(sealed)
    finally:
        sealed.close()


def decode_sealed(sealed: Sealed) -> SealedFile:
    """All events of a sealed file."""
    found = sealed.placed()
    facts = list(sealed.segments)
    facts += [SegmentFacts(f"segment-{n}", 0, 0, 0) for n in range(len(facts), max(found, default=-1) + 1)]
    segments = []
    for number, each in enumerate(facts):
        events = [placed.event for placed in found.get(number, [])]
        segments.append(SegmentContents(each.name, events, each.size, each.good_bytes, list(each.damage)))
    damage = [d for each in facts for d in each.damage] + sealed.damage()
    return SealedFile(str(sealed.path.stem), segments, damage)
