"""The directory of a sealed file: what its index knows so that one exchange is read without the rest.

    varint n | steps numbers of exchanges | steps offsets of their blocks in RECORDS
    varint segments that have requests, and for each
      varint segment | varint n | steps numbers | steps positions | steps starts in ASKED | column lengths there |
      column offsets in EXTENTS, plus 1; 0 = none

Requests stand in the order in which their bodies were encoded. A body is made of one before it, and that one of another;
where the chain gets long the EXTENTS stream says where the whole body lies among the literals:

    varint n | steps numbers of exchanges | column offsets in their literals | column lengths
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from playhead.core.events import Event, EventKind
from playhead.journal.bodies.form import MOST, Extent, read_ops, split, write_flat
from playhead.journal.bodies.reader import Bodies
from playhead.journal.columns import Cursor, column, steps, varint
from playhead.journal.frames import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from playhead.journal.frames import FrameFile

LONGEST_CHAIN = 32


class Request(NamedTuple):
    """A request: the exchange's number, the position of its event, where the literal of its body lies in ASKED and where
    the extents of the whole body lie in EXTENTS, plus 1."""

    number: int
    position: int
    start: int
    length: int
    flat: int = 0


class Directory(NamedTuple):
    """Offsets of the blocks of each exchange, and the requests of each segment by exchange."""

    places: dict[int, list[int]]
    requests: dict[int, dict[int, Request]]


def write_directory(directory: Directory) -> bytes:
    """The directory to the byte."""
    places = sorted((number, place) for number, own in directory.places.items() for place in own)
    out = [_pairs(places), varint(len(directory.requests))]
    for segment, own in directory.requests.items():
        requests = sorted(own.values(), key=lambda r: r.position)
        out += [varint(segment), varint(len(requests))]
        out += [steps([r.number for r in requests]), steps([r.position for r in requests])]
        out += [steps([r.start for r in requests]), column([r.length for r in requests])]
        out.append(column([r.flat for r in requests]))
    return b"".join(out)


def _pairs(pairs: Sequence[tuple[int, int]]) -> bytes:
    return varint(len(pairs)) + steps([a for a, _ in pairs]) + steps([b for _, b in pairs])


def read_directory(cursor: Cursor, most: int) -> Directory:
    """The directory, of at most so many entries. Raises ValueError."""

    def count() -> int:
        number = cursor.varint()
        if number > most:
            raise ValueError("more entries than the file has room for")
        return number

    size = count()
    places: dict[int, list[int]] = {}
    for number, place in zip(cursor.steps(size), cursor.steps(size), strict=True):
        places.setdefault(number, []).append(place)
    requests: dict[int, dict[int, Request]] = {}
    for _ in range(count()):
        segment, size = cursor.varint(), count()
        rows = [cursor.steps(size), cursor.steps(size), cursor.steps(size), cursor.column(size), cursor.column(size)]
        requests[segment] = {row[0]: Request(*row) for row in zip(*rows, strict=True)}
        most -= size
    return Directory(places, requests)


def flattened(events: Iterable[Event]) -> Iterator[tuple[int, bytes]]:
    """Number and extents, as EXTENTS has them, of every body of a segment from which a long chain would lead back."""
    bodies = Bodies()
    depths = {0: -1}
    for event in events:
        head = event.meta.get("head")
        if event.kind is not EventKind.REQUEST or type(head) is not int or not 0 <= head <= len(event.body):
            continue
        number = event.subject
        try:
            ops, literal = split(event.body[head:])
            bodies.put(number, event.body[head:])
            bodies.check(number)
            depth = depths[number] = depths.get(read_ops(number, ops).base, 0) + 1
            extents = bodies.extents(number) if depth > LONGEST_CHAIN else []
        except ValueError:
            continue
        if extents and len(extents) <= MOST:
            bodies.put_ops(number, write_flat(extents), len(literal))  # the way on from here is short
            depths[number] = 0
            offsets, lengths = column([e.offset for e in extents]), column([e.length for e in extents])
            yield number, varint(len(extents)) + steps([e.number for e in extents]) + offsets + lengths


def flat_ops(file: FrameFile, request: Request) -> bytes:
    """The operations of a body that is made of literals alone. Raises ValueError, also when they are lost."""
    cursor = Cursor(file.rest(Kind.EXTENTS, request.flat - 1))
    count = cursor.varint()
    if count > MOST:
        raise ValueError("no body is in so many pieces")
    rows = cursor.steps(count), cursor.column(count), cursor.column(count)
    if any(max(row, default=0) > 0xFFFFFFFF or min(row, default=0) < 0 for row in rows):
        raise ValueError("extents that are none")
    return write_flat([Extent(*row) for row in zip(*rows, strict=True)])
