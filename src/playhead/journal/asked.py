"""Request bodies of a sealed file: their operations from the records, their literals from the ASKED stream.

A body is spans of that stream. They are had from the operations of its base and its own, from the nearest body
downwards whose spans the file has (EXTENTS). Operations are hostile input: every length is checked before anything is
made, and a body only refers to what was stored before it, so nothing goes in a circle. All methods raise ValueError for
what cannot be read."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from io import BytesIO
from itertools import accumulate
from operator import add, itemgetter, sub
from sys import getrefcount
from typing import TYPE_CHECKING, NamedTuple

from playhead.journal.bodies.form import COPY, LITERAL, LONGEST, MOST, read_ops, split
from playhead.journal.columns import Cursor, column, varint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from playhead.journal.bodies.form import Form

LONGEST_CHAIN = 8  # bases below each other before the spans of a body are stored
_SPANS_KEPT = 64
_BODIES_KEPT = 24
_BYTES_KEPT = 64 << 20

_OURS = 3  # references to a body that nobody else has: a view of it, a name, and the call that counts them

_LENGTH = itemgetter(1)

Span = tuple[int, int]
"""Start and length in the ASKED stream."""


class Request(NamedTuple):
    """A request: the exchange's number, the position of its event, where the literal of its body lies in ASKED and where
    the spans of the whole body stand in EXTENTS, plus 1 (0 = nowhere)."""

    number: int
    position: int
    start: int
    length: int
    flat: int = 0


class AskedBodies:
    """The bodies of one segment by exchange number.

    `requests` are in the order in which the bodies were encoded. `ops_of` gives the operations of one that was not put,
    `spans_of` the spans that the file has of it, `read` the bytes of spans."""

    def __init__(
        self,
        requests: Mapping[int, Request],
        ops_of: Callable[[int], bytes],
        spans_of: Callable[[Request], list[Span] | None],
        read: Callable[[Sequence[Span]], bytes],
    ) -> None:
        self._requests = requests
        self._ops_of = ops_of
        self._spans_of = spans_of
        self._read = read
        self._ops: dict[int, bytes] = {}
        self._lengths: dict[int, int] = {0: 0}
        self._spans: OrderedDict[int, list[Span]] = OrderedDict()
        self._bodies: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0

    def put_ops(self, number: int, ops: bytes) -> None:
        """Keep the operations of a body."""
        self._ops[number] = ops

    def form(self, number: int) -> Form:
        """The operations of a body, whose base was stored before it."""
        request = self._requests.get(number)
        if request is None:
            raise ValueError(f"the body of exchange {number} is not at hand")
        ops = self._ops.get(number)
        form = read_ops(number, self._ops_of(number) if ops is None else ops)
        if form.base and not self._is_before(form.base, request):
            raise ValueError(f"the body of exchange {number} refers to one that was not stored before it")
        return form

    def _is_before(self, number: int, request: Request) -> bool:
        other = self._requests.get(number)
        return other is not None and other.position < request.position

    def depth(self, number: int) -> int:
        """How many bases lie below a body down to one whose spans are at hand."""
        depth = 0
        while number and number not in self._spans:
            number, depth = self.form(number).base, depth + 1
        return depth

    def get(self, number: int) -> bytes:
        """The exact bytes that were asked."""
        body = self._bodies.get(number)
        if body is not None:
            self._bodies.move_to_end(number)
            return body
        form = self.form(number)
        base = self._bodies.get(form.base)
        if base is None:
            body = self._read(self.spans(number))
        else:
            pieces = self._made(number, form, base)
            if sum(op.length for op in form.ops if op.kind == COPY) * 10 >= len(base) * 9:
                # its conversation goes on from here; memory it gives back costs no page faults when it is taken again
                self._bytes -= len(self._bodies.pop(form.base))
            begins_alike = bool(form.ops) and form.ops[0].kind == COPY and not form.ops[0].offset
            del base
            body = _continued(pieces) if begins_alike else b"".join(pieces)
        self._bodies[number] = body
        self._bytes += len(body)
        while len(self._bodies) > 1 and (len(self._bodies) > _BODIES_KEPT or self._bytes > _BYTES_KEPT):
            self._bytes -= len(self._bodies.popitem(last=False)[1])
        return body

    def _made(self, number: int, form: Form, base: bytes) -> list[memoryview | bytes]:
        request = self._requests[number]
        own = memoryview(self._read([(request.start, request.length)]) if request.length else b"")
        view = memoryview(base)
        at = 0
        pieces: list[memoryview | bytes] = []
        for kind, length, offset, source in form.ops:
            if kind == COPY:
                pieces.append(view[offset : offset + length])
            elif kind == LITERAL:
                pieces.append(own[at : at + length])
                at += length
            else:
                pieces.append(self._read([self._recalled(request, source, offset, length)]))
            if len(pieces[-1]) != length:
                raise ValueError(f"the body of exchange {number} refers past the end of another")
        return pieces

    def check(self, number: int) -> None:
        """Follow a body down to its literals without reading these."""
        self.spans(number)

    def spans(self, number: int) -> list[Span]:
        """Where a body lies in the ASKED stream."""
        chain: list[tuple[Request, Form]] = []
        at = number
        spans: list[Span] | None = None
        while at:
            spans = self._spans.get(at)
            if spans is None:
                request = self._requests.get(at)
                spans = self._spans_of(request) if request is not None and request.flat else None
            if spans is not None:
                break
            form = self.form(at)
            chain.append((self._requests[at], form))
            at = form.base
        spans = spans or []
        for request, form in reversed(chain):
            spans = self._composed(request, form, spans)
            self.keep(request.number, spans)
        return spans

    def keep(self, number: int, spans: list[Span]) -> None:
        """Take it that a body lies there."""
        self._spans[number] = spans
        if len(self._spans) > _SPANS_KEPT:
            self._spans.popitem(last=False)

    def _recalled(self, request: Request, source: int, offset: int, length: int) -> Span:
        other = request if source == request.number else self._requests.get(source)
        if other is None or other.position > request.position or offset + length > other.length:
            raise ValueError(f"the body of exchange {request.number} refers past the end of a literal")
        return other.start + offset, length

    def _composed(self, request: Request, form: Form, base: list[Span]) -> list[Span]:
        ends = list(accumulate(map(_LENGTH, base)))
        whole = ends[-1] if ends else 0
        reached = 0
        out: list[Span] = []
        for kind, length, offset, source in form.ops:
            if kind == COPY:
                if offset + length > whole:
                    raise ValueError(f"the body of exchange {request.number} refers past the end of its base")
                _copy(out, base, ends, offset, offset + length)
            elif kind == LITERAL:
                if reached + length > request.length:
                    raise ValueError(f"the body of exchange {request.number} refers past the end of its literal")
                _join(out, request.start + reached, length)
                reached += length
            else:
                _join(out, *self._recalled(request, source, offset, length))
        if len(out) > MOST:
            raise ValueError(f"the body of exchange {request.number} is in too many pieces")
        return out


def _copy(out: list[Span], base: list[Span], ends: list[int], start: int, end: int) -> None:
    """Add the spans of a part of a body."""
    first = bisect_right(ends, start)
    last = bisect_right(ends, end - 1)
    at, length = base[first]
    skipped = start - (ends[first] - length)
    if first == last:
        _join(out, at + skipped, end - start)
        return
    _join(out, at + skipped, length - skipped)
    out += base[first + 1 : last]
    at, length = base[last]
    _join(out, at, end - (ends[last] - length))


def _join(out: list[Span], start: int, length: int) -> None:
    if out and out[-1][0] + out[-1][1] == start:
        start, length = out[-1][0], out[-1][1] + length
        out.pop()
    out.append((start, length))


def _continued(pieces: list[memoryview | bytes]) -> bytes:
    """The pieces, which are used up, in one. The first is how another body begins; where nobody has that one any more,
    its own memory grows by the others: it is not copied, which is most of what reading on costs.

    This is what BytesIO does with bytes that only it refers to, and any other reference makes it copy them. It leaves a
    hash that somebody asked for where the length stays the same, so only what gets longer goes this way."""
    first = pieces[0]
    base = first.obj if isinstance(first, memoryview) else None
    if not isinstance(base, bytes) or sum(map(len, pieces)) <= len(base) or getrefcount(base) > _OURS:
        return b"".join(pieces)
    begins, rest = len(first), b"".join(pieces[1:])
    file = BytesIO(base)
    pieces.clear()
    del first, base
    file.seek(begins)
    file.write(rest)
    return file.getvalue()


def operations(stored: bytes) -> bytes:
    """The operations of a body stored without its literal."""
    return split(stored)[0]


def write_spans(spans: Sequence[Span]) -> bytes:
    """Spans as EXTENTS has them: how far each begins behind the end of the one before, and how long it is."""
    gaps, end = [], 0
    for start, length in spans:
        gaps.append(start - end)
        end = start + length
    base = min(gaps, default=0)
    # one base for many bodies: most of a body's spans are those of the one before, and so are their bytes then
    steady = -(1 << (-base).bit_length()) if base < 0 else 0
    return varint(len(spans)) + column(gaps, steady) + column(list(map(_LENGTH, spans)), 0)


def read_spans(data: bytes, total: int) -> list[Span]:
    """What `write_spans` wrote, of a stream of `total` bytes."""
    cursor = Cursor(data)
    count = cursor.varint()
    if count > MOST:
        raise ValueError("no body is in so many pieces")
    gaps, lengths = cursor.column(count), cursor.column(count)
    if min(lengths, default=1) < 1 or sum(lengths) > LONGEST:
        raise ValueError("no body is of that length")
    ends = list(accumulate(map(add, gaps, lengths)))
    starts = list(map(sub, ends, lengths))
    if min(starts, default=0) < 0 or max(ends, default=0) > total:
        raise ValueError("a span outside its stream")
    return list(zip(starts, lengths, strict=True))
