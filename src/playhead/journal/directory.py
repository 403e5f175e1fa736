"""The directory of a sealed file: what its index knows so that one exchange is read without the rest.

    varint n | steps numbers of exchanges | steps offsets of their blocks in RECORDS
    varint segments that have requests, and for each
      varint segment | varint n | steps numbers | steps positions | steps starts in ASKED | column lengths there |
      column offsets in EXTENTS, plus 1; 0 = none

Requests stand in the order in which their bodies were encoded. A body is made of one before it, and that one of another;
where the chain gets long the EXTENTS stream says where the whole body lies in ASKED:

    varint n | column gaps, from the end of the span before to the start of this one | column lengths
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from playhead.core.events import Event, EventKind
from playhead.journal.asked import LONGEST_CHAIN, AskedBodies, Request
from playhead.journal.bodies.form import split
from playhead.journal.columns import Cursor, column, steps, varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from playhead.journal.asked import Span


_Row = TypeVar("_Row")


class Directory(NamedTuple):
    """Offsets of the blocks of each exchange, and the requests of each segment by exchange."""

    places: Mapping[int, Sequence[int]]
    requests: Mapping[int, Mapping[int, Request]]


class _ByNumber(Mapping[int, _Row]):
    """Rows by the number in their first column, as the file has them, in columns: who reads one needs no other."""

    def __init__(self, columns: Sequence[Sequence[int]], row: Callable[..., _Row]) -> None:
        numbers = self._numbers = columns[0]
        self._columns = columns
        self._row = row
        counted = isinstance(numbers, range)
        self._places = None if counted else dict(zip(numbers, count(), strict=False))

    def __getitem__(self, number: int) -> _Row:
        if self._places is not None:
            place = self._places[number]
        elif number in self._numbers:
            place = self._numbers.index(number)
        else:
            raise KeyError(number)
        return self._row(*[column[place] for column in self._columns])

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers if self._places is None else self._places)

    def __len__(self) -> int:
        return len(self._numbers if self._places is None else self._places)


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

    def size_of() -> int:
        number = cursor.varint()
        if number > most:
            raise ValueError("more entries than the file has room for")
        return number

    size = size_of()
    numbers, starts = cursor.steps(size), cursor.steps(size)
    places: Mapping[int, Sequence[int]] = _ByNumber((numbers, starts), _start)
    if len(places) < size:  # an exchange in several blocks
        several: dict[int, list[int]] = {}
        for number, start in zip(numbers, starts, strict=True):
            several.setdefault(number, []).append(start)
        places = several
    requests: dict[int, Mapping[int, Request]] = {}
    for _ in range(size_of()):
        segment, size = cursor.varint(), size_of()
        columns = [cursor.steps(size), cursor.steps(size), cursor.steps(size), cursor.column(size), cursor.column(size)]
        requests[segment] = _ByNumber(columns, Request)
        most -= size
    return Directory(places, requests)


def _start(_number: int, start: int) -> tuple[int]:
    return (start,)


def flattened(requests: Mapping[int, Request], events: Iterable[Event]) -> Iterator[tuple[int, list[Span] | None]]:
    """Number and spans of every body of a segment from which a long chain would lead back; None for spans where a body
    cannot be read."""
    ops: dict[int, bytes] = {}
    bodies = AskedBodies(requests, ops.__getitem__, lambda _: None, lambda _: b"")
    depths = {0: 0}
    for event in events:
        head = event.meta.get("head")
        number = event.subject
        if event.kind is not EventKind.REQUEST or type(head) is not int or len(event.body) <= head:
            continue
        try:
            ops[number] = split(event.body[head:])[0]
            depth = depths[number] = depths.get(bodies.form(number).base, 0) + 1
            spans = bodies.spans(number)
        except (ValueError, KeyError):
            yield number, None
            continue
        if depth > LONGEST_CHAIN:
            depths[number] = 0
            yield number, spans
