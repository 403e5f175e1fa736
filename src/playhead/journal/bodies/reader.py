"""The reader: stored forms to bodies.

Going forward through a session, a body is made of its base, which is still at hand. Elsewhere the operations are
followed down to the literals, and only then are bytes touched. Forms are hostile input: every length is checked
before anything is made, and a body only refers to what was stored before it, so nothing goes in a circle.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from playhead.journal.bodies.form import COPY, LITERAL, MOST, RECALL, Extent, Form, read_ops, split

if TYPE_CHECKING:
    from collections.abc import Callable

_PIECES = 1 << 21  # a bound for hostile files; a conversation has a few for each of its steps
_DECODED = 24
_DECODED_BYTES = 64 << 20


class _Stored(NamedTuple):
    """A body as it was put: its place in the order of storing, its operations and the size of its literal."""

    place: int
    ops: bytes
    literal: int


class Bodies:
    """The bodies of one segment by exchange number, decoded on demand; a few stay decoded.

    `literal_of` gives the literal of an exchange whose operations came alone (`put_ops`). What it raises goes through.
    """

    def __init__(self, literal_of: Callable[[int], bytes] | None = None) -> None:
        self._literal_of = literal_of
        self._stored: dict[int, _Stored] = {}
        self._literals: dict[int, bytes] = {}
        self._forms: dict[int, Form] = {}
        self._read = 0  # operations in them
        self._lengths: dict[int, int] = {}  # of bodies that were checked
        self._pieces: dict[int, int] = {}  # extents they have at most
        self._decoded: OrderedDict[int, bytes] = OrderedDict()
        self._decoded_bytes = 0
        self._places = 0

    def put(self, number: int, stored: bytes) -> None:
        """Keep the stored form of an exchange's body, in the order in which they were encoded. Raises ValueError."""
        ops, literal = split(stored)
        self.put_ops(number, ops, len(literal))
        self._literals[number] = literal

    def put_ops(self, number: int, ops: bytes, literal: int) -> None:
        """Keep the operations of a body whose literal, of so many bytes, is elsewhere."""
        self._places += 1
        self._stored[number] = _Stored(self._places, ops, literal)
        self._forms.pop(number, None)

    def literal(self, number: int) -> bytes:
        """What the body of an exchange brought that was in none before. Raises ValueError."""
        known = self._literals.get(number)
        if known is None:
            if self._literal_of is None or number not in self._stored:
                raise ValueError(f"the body of exchange {number} is not at hand")
            known = self._literal_of(number)
            if len(known) != self._stored[number].literal:
                raise ValueError(f"the literal of exchange {number} is not as long as it was")
        return known

    def length(self, number: int) -> int:
        """How many bytes the body has. Raises ValueError as `get` would."""
        self.check(number)
        return self._lengths[number]

    def get(self, number: int) -> bytes:
        """The exact bytes that were encoded. Raises ValueError when the stored form is not what an encoder wrote."""
        body = self._decoded.get(number)
        if body is not None:
            self._decoded.move_to_end(number)
            return body
        self.check(number)
        form = self.form(number)
        base = self._decoded.get(form.base) if form.base else b""
        if base is None:
            body = self._joined(self.extents(number))
        else:
            body = self._made(number, form, base)
            if base and sum(op.length for op in form.ops if op.kind == COPY) * 10 >= len(base) * 9:
                self._decoded_bytes -= len(self._decoded.pop(form.base))  # its conversation goes on from here
        self._decoded[number] = body
        self._decoded_bytes += len(body)
        while len(self._decoded) > 1 and (len(self._decoded) > _DECODED or self._decoded_bytes > _DECODED_BYTES):
            self._decoded_bytes -= len(self._decoded.popitem(last=False)[1])
        return body

    def check(self, number: int) -> None:
        """Follow the bases of a body without decoding it. Raises ValueError as `get` would."""
        chain: list[int] = []
        at = number
        while at and at not in self._lengths:
            base = self.form(at).base
            if base and not self._before(base, at):
                raise ValueError(f"the body of exchange {at} refers to one that was not stored before it")
            chain.append(at)
            at = base
        length, pieces = (self._lengths[at], self._pieces[at]) if at else (0, 0)
        for at in reversed(chain):
            length = self._checked(at, length)
            pieces += len(self.form(at).ops)
            if pieces > _PIECES:
                raise ValueError(f"the body of exchange {at} is in too many pieces")
            self._lengths[at], self._pieces[at] = length, pieces

    def extents(self, number: int) -> list[Extent]:
        """The body as pieces of literals, in order, adjacent ones merged. Raises ValueError as `get` would."""
        self.check(number)
        levels: list[list[list[Extent | int]]] = []
        wanted = [(0, self._lengths[number])]
        at = number
        while wanted:
            form = self.form(at)
            plan, wanted = _resolved(at, form, wanted)
            levels.append(plan)
            at = form.base
        below: list[list[Extent]] = []
        for plan in reversed(levels):
            below = [_merged(parts, below) for parts in plan]
        return below[0]

    def _before(self, base: int, number: int) -> bool:
        stored = self._stored.get(base)
        return stored is not None and stored.place < self._stored[number].place

    def form(self, number: int) -> Form:
        """The operations of a body. Raises ValueError when they cannot be read."""
        form = self._forms.get(number)
        if form is None:
            stored = self._stored.get(number)
            if stored is None:
                raise ValueError(f"the body of exchange {number} is not at hand")
            try:
                form = read_ops(number, stored.ops)
            except ValueError as error:
                raise ValueError(f"the body of exchange {number} cannot be read: {error}") from None
            self._read += len(form.ops)
            if self._read > MOST:
                self._forms.clear()
                self._read = len(form.ops)
            self._forms[number] = form
        return form

    def _checked(self, number: int, base_length: int) -> int:
        """The length of a body whose base is of `base_length` bytes."""
        own = total = 0
        for kind, length, offset, source in self.form(number).ops:
            total += length
            if kind == LITERAL:
                own += length
            elif kind == COPY:
                if offset + length > base_length:
                    raise ValueError(f"the body of exchange {number} refers past the end of its base")
            elif source != number and not self._before(source, number):
                raise ValueError(f"the body of exchange {number} refers to a literal that was not stored before it")
            elif offset + length > self._stored[source].literal:
                raise ValueError(f"the body of exchange {number} refers past the end of a literal")
        if own > self._stored[number].literal:
            raise ValueError(f"the body of exchange {number} refers past the end of its literal")
        return total

    def _made(self, number: int, form: Form, base: bytes) -> bytes:
        own = memoryview(self.literal(number))
        view = memoryview(base)
        at = 0
        pieces: list[memoryview] = []
        for kind, length, offset, source in form.ops:
            if kind == COPY:
                pieces.append(view[offset : offset + length])
            elif kind == LITERAL:
                pieces.append(own[at : at + length])
                at += length
            else:
                pieces.append(memoryview(self.literal(source))[offset : offset + length])
        return b"".join(pieces)

    def _joined(self, extents: list[Extent]) -> bytes:
        views = {number: memoryview(self.literal(number)) for number in {extent.number for extent in extents}}
        return b"".join([views[number][offset : offset + length] for number, offset, length in extents])


def _resolved(
    number: int, form: Form, wanted: list[tuple[int, int]]
) -> tuple[list[list[Extent | int]], list[tuple[int, int]]]:
    """For each wanted span (start, end) of a body what it is made of: extents, and indexes of the spans of its base that
    are wanted in turn. Both lists of spans go forward and do not overlap."""
    plan: list[list[Extent | int]] = []
    below: list[tuple[int, int]] = []
    ops = form.ops
    starts = list(accumulate((op.length for op in ops), initial=0))
    literal_at = [0] * len(ops)
    reached = 0
    for index, op in enumerate(ops):
        literal_at[index] = reached
        if op.kind == LITERAL:
            reached += op.length
    index = 0
    for start, end in wanted:
        parts: list[Extent | int] = []
        while index < len(ops) and starts[index + 1] <= start:
            index += 1
        at = index
        while at < len(ops) and starts[at] < end:
            kind, length, offset, source = ops[at]
            skipped = max(0, start - starts[at])
            taken = min(end - starts[at], length) - skipped
            if taken > 0:
                if kind == COPY:
                    parts.append(len(below))
                    below.append((offset + skipped, offset + skipped + taken))
                elif kind == RECALL:
                    parts.append(Extent(source, offset + skipped, taken))
                else:
                    parts.append(Extent(number, literal_at[at] + skipped, taken))
            at += 1
        index = max(index, at - 1)
        plan.append(parts)
    return plan, below


def _merged(parts: list[Extent | int], below: list[list[Extent]]) -> list[Extent]:
    """The parts with the spans of the base in their places."""
    extents: list[Extent] = []
    for part in parts:
        more = [part] if isinstance(part, Extent) else below[part]
        if extents and more:
            last, first = extents[-1], more[0]
            if last.number == first.number and last.offset + last.length == first.offset:
                extents[-1] = Extent(last.number, last.offset, last.length + first.length)
                extents += more[1:]
                continue
        extents += more
    return extents
