"""The bodies of the requests of a cassette: JSON whose arrays share elements with those of earlier ones.

A body that a line tells by its likeness to an earlier one has that one's elements, as the same objects. So each element is
serialised once, and how a body is made of the other follows from where their elements stand, without comparing 2 MB
at every step: readers then look at what a step added only, as they do in a session file.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import accumulate
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple

from playhead.cassette.payload import PLAIN_STYLE, STYLES, Serialiser
from playhead.journal.bodies.form import COPY, LITERAL, Form, Op

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT = 8  # bodies whose places are remembered: the agents of a run take turns


class _Array(NamedTuple):
    """An array of a body: its elements, their bytes, and where each begins in the body and one behind the last would."""

    elements: list[Any]
    pieces: list[bytes]
    starts: list[int]


_NOTHING = _Array([], [], [0])


class _Run(NamedTuple):
    """Neighbouring elements that are those of another array: the first and the one behind the last, and the first there."""

    first: int
    last: int
    there: int


class _Made(NamedTuple):
    """A body: its bytes in pieces, how many they are, its arrays by name, and what it has of the one it is told by."""

    pieces: list[bytes]
    size: int
    arrays: dict[str, _Array]
    ops: list[Op]


class SharedBodies:
    """The bodies of one cassette that are JSON objects."""

    def __init__(self) -> None:
        self._serialised = Serialiser()
        self._shown: dict[int, tuple[dict[str, Any], str, int]] = {}
        self._made: OrderedDict[int, _Made] = OrderedDict()

    def put(self, number: int, value: dict[str, Any], style: str = PLAIN_STYLE, base: int = 0) -> None:
        """The body of an exchange, and the exchange it is told by (0 = none)."""
        if base in self._shown and self._shown[base][1] != style:
            base = 0
        self._shown[number] = value, style, base if base in self._shown else 0

    def body(self, number: int) -> bytes:
        """The bytes of a body, as `serialise` gives them, and raising what it raises."""
        return b"".join(self._of(number).pieces)

    def form(self, number: int) -> Form | None:
        """How a body is made of the one it is told by; None when it is told by none. Raises as `body`."""
        base = self._shown[number][2]
        if not base:
            return None
        ops, done = list[Op](), 0
        made = self._of(number)
        for op in made.ops:
            ops.append(op)
            done += op.length
        if made.size > done:
            ops.append(Op(LITERAL, made.size - done))
        return Form(base, ops)

    def _of(self, number: int) -> _Made:
        made = self._made.get(number)
        if made is not None:
            self._made.move_to_end(number)
            return made
        value, style, base = self._shown[number]
        if base and base not in self._made:
            self._keep(base, self._make(*self._shown[base][:2], {}))
        made = self._make(value, style, self._made[base].arrays if base else {})
        self._keep(number, made)
        return made

    def _keep(self, number: int, made: _Made) -> None:
        self._made[number] = made
        if len(self._made) > _KEPT:
            self._made.popitem(last=False)

    def _make(self, value: dict[str, Any], style: str, known: dict[str, _Array]) -> _Made:
        comma, colon = (sign.encode() for sign in STYLES[style][0])
        members: list[bytes] = []
        arrays: dict[str, _Array] = {}
        ops: list[Op] = []
        at, done, reached = 1, 0, 0
        for name, each in value.items():
            key = self._serialised(name, style) + colon
            if type(each) is not list or not each:
                members.append(key + self._serialised(each, style))
                at += len(members[-1]) + len(comma)
                continue
            start = at + len(key) + 1
            other = known.get(name, _NOTHING)
            runs = list(_runs(each, other.elements))
            array = arrays[name] = self._array(each, style, start, other, runs)
            for run in runs:
                first, there = array.starts[run.first], other.starts[run.there]
                length = array.starts[run.last] - len(comma) - first
                if there < reached:
                    continue  # members in another order than there
                if first > done:
                    ops.append(Op(LITERAL, first - done))
                ops.append(Op(COPY, length, there))
                done, reached = first + length, there + length
            members.append(b"%b[%b]" % (key, comma.join(array.pieces)))
            at = array.starts[-1] + 1
        return _Made([b"{", comma.join(members), b"}"], max(2, at - len(comma) + 1), arrays, ops)

    def _array(self, elements: list[Any], style: str, at: int, known: _Array, runs: list[_Run]) -> _Array:
        comma = len(STYLES[style][0][0])
        pieces: list[bytes] = []
        starts: list[int] = []
        done = 0
        for first, last, there in [*runs, _Run(len(elements), len(elements), 0)]:
            fresh = [self._serialised(each, style) for each in elements[done:first]]
            ends = list(accumulate([len(piece) + comma for piece in fresh], initial=at))
            pieces += fresh
            starts += ends[:-1]
            at = ends[-1]
            if first < last:
                behind = there + last - first
                pieces += known.pieces[there:behind]
                shift = at - known.starts[there]
                starts += known.starts[there:behind] if not shift else [s + shift for s in known.starts[there:behind]]
                at = known.starts[behind] + shift
            done = last
        return _Array(elements, pieces, [*starts, at])


def _runs(mine: list[Any], theirs: list[Any]) -> Iterator[_Run]:
    """Runs of elements that are the same objects in both, forward in both."""
    places: dict[int, int] = {}
    at = there = 0
    while at < len(mine) and there < len(theirs):
        if mine[at] is not theirs[there]:
            if mine[at + 1 : at + 2] and theirs[there + 1 : there + 2] and mine[at + 1] is theirs[there + 1]:
                at, there = at + 1, there + 1  # one in its place changed
                continue
            places = places or {id(each): place for place, each in enumerate(theirs)}
            place = places.get(id(mine[at]), -1)
            if place < there:
                at += 1
                continue
            there = place
        same = list(map(is_, mine[at:], theirs[there:]))
        count = same.index(False) if False in same else len(same)
        yield _Run(at, at + count, there)
        at, there = at + count, there + count
