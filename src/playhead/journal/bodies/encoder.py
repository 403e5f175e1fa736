"""The encoder: bodies to stored forms, in the order in which they are written.

It keeps the recent bodies (as written, so without secrets) as bases, newest first, one for each conversation if it can;
and of every long piece that was ever a literal where it is, by its hash, so that content which comes back, or moves from
one agent's conversation into another's, is stored once.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from playhead.journal.bodies.form import COPY, LITERAL, RECALL, Extent, Op, joined, write_ops
from playhead.journal.bodies.spans import Common, common_prefix, common_spans

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAF = 512
"""A piece between two quotes of at least this many bytes is looked for, and can be found, among all before it."""

KEPT = 16
"""Conversations whose last body is kept; of bodies that a later one carries on, half as many."""

KEPT_BYTES = 64 << 20
"""What they may hold in memory together."""

LEAVES = 1 << 17

_SNAP = 256  # how far a literal is widened so that it holds a piece from quote to quote
_KNOWN = 256  # a common span shorter than this is scanned for secrets again: the edges cost as much
_CLOSE = 256  # bases whose prefixes differ by less are told apart by what follows
_GLANCE = 4 << 10
_TOKEN = b"<redacted:"
_BACKSLASH = 0x5C


class _Kept(NamedTuple):
    """A body that can be a base, and what of it redaction must see again wherever it comes back: where tokens begin,
    and whether it is the end of a body in parts."""

    body: bytes
    tokens: list[int]
    part: bool


class _Match(NamedTuple):
    """A body, its base (0 = none) and what they have in common."""

    body: bytes
    base: int
    kept: _Kept | None
    spans: list[Common]


class Encoder:
    """Turns the bodies of one segment into stored form. Not thread-safe."""

    def __init__(self) -> None:
        self._open: OrderedDict[int, _Kept] = OrderedDict()  # the last bodies of conversations
        self._carried_on: OrderedDict[int, _Kept] = OrderedDict()  # bodies of which a later one has nearly everything
        self._bytes = 0
        self._leaves: dict[bytes, Extent] = {}
        self._match: _Match | None = None  # the body last looked at: it is asked after twice

    def clean_spans(self, body: bytes) -> tuple[tuple[int, int], ...]:
        """Spans (start, end) of `body`, before redaction, which stand in a recent body as it was written, so that a scan
        would leave them alone; they hold no tokens. In order and apart, and none reaches an end of `body`
        that was not one."""
        match = self._match = self._matched(body)
        base = match.kept
        if base is None or base.part:
            return ()
        known = []
        for at, start, size in match.spans:
            first = start + (at > 0 == start)
            last = start + size - (start + size == len(body) and at + size < len(base.body))
            for token in base.tokens:
                place = token - at + start
                if first < place + len(_TOKEN) and place < last:
                    known.append((first, place))
                    first = place + len(_TOKEN)
            known.append((first, last))
        return tuple([span for span in known if span[1] - span[0] >= _KNOWN])

    def encode(self, number: int, body: bytes, *, part: bool = False) -> bytes:
        """The stored form of the body (redacted) of an exchange that has none yet. A `part` is the end of a body whose
        start is elsewhere: what redaction thinks of it depends on that."""
        match, self._match = self._match, None
        if match is None or match.body is not body:
            match = self._matched(body, match)
        ops: list[Op] = []
        literal: list[bytes] = []
        size = done = 0
        for span in [*match.spans, Common(0, len(body), 0)]:
            start, offset = span.body, span.base
            if done < start:
                done, start = self._snapped(body, done, start, ops, span)
                size = self._literal(number, body, (done, start), ops, literal, size)
            skipped = start - span.body
            if span.length > skipped:
                ops.append(Op(COPY, span.length - skipped, offset + skipped))
            done = span.body + span.length
        self._remember(number, match, part=part)
        return joined(write_ops(number, match.base, ops), b"".join(literal))

    def _snapped(self, body: bytes, start: int, end: int, ops: list[Op], after: Common) -> tuple[int, int]:
        """A literal's place, widened over the copies beside it if it begins or ends within a long string, so that the
        string is known as a whole."""
        if end - start < LEAF:
            return start, end
        if ops and ops[-1].kind == COPY and _no_quote(body, start, start + LEAF - _SNAP):
            quote = _quote_before(body, start, min(_SNAP, ops[-1].length - 1))
            if quote >= 0:
                shorter = ops[-1].length - (start - quote)
                ops[-1] = ops[-1]._replace(length=shorter)
                start = quote
        if after.length > 1 and _no_quote(body, end - LEAF + _SNAP, end):
            quote = body.find(b'"', end, end + min(_SNAP, after.length - 1))
            if quote >= 0 and body[quote - 1] != _BACKSLASH:
                end = quote
        return start, end

    def _literal(
        self, number: int, body: bytes, where: tuple[int, int], ops: list[Op], literal: list[bytes], size: int
    ) -> int:
        """Add what stands in `body` at `where`; long pieces that were a literal before are recalled. Returns the new
        size of the literal."""
        start, end = where
        done = start
        for first, last in _long_pieces(body, start, end):
            key = blake2b(body[first:last], digest_size=16).digest()
            known = self._leaves.get(key)
            if known is None:
                if len(self._leaves) >= LEAVES:
                    del self._leaves[next(iter(self._leaves))]
                self._leaves[key] = Extent(number, size + first - done, last - first)
                continue
            size = _add(body, done, first, ops, literal, size)
            ops.append(Op(RECALL, known.length, known.offset, known.number))
            done = last
        return _add(body, done, end, ops, literal, size)

    def _matched(self, body: bytes, before: _Match | None = None) -> _Match:
        """The body with its base: that of `before`, which it was before redaction, or the best of the recent ones."""
        base, prefix = self._base(body) if before is None else (before.base, -1)
        kept = (self._open.get(base) or self._carried_on.get(base)) if base else None
        if kept is None:
            return _Match(body, 0, None, [])
        return _Match(body, base, kept, common_spans(kept.body, body, prefix=prefix))

    def _base(self, body: bytes) -> tuple[int, int]:
        """The recent body that begins most like this one (0 = none), and for how long. Where several do, as behind a
        clock in the system prompt, the one that also goes on most like it."""
        best, length = 0, 0
        close: list[tuple[int, int]] = []
        for number, kept in chain(reversed(self._open.items()), reversed(self._carried_on.items())):
            floor = max(0, length - _CLOSE)
            if len(kept.body) <= floor or len(body) <= floor or kept.body[floor] != body[floor]:
                continue
            common = common_prefix(kept.body, body)
            if common > length:
                best, length = number, common
                if common * 10 >= len(body) * 9:
                    return best, length
            if number in self._open:
                close.append((number, common))
        rivals = {number: common for number, common in close if common + _CLOSE > length}
        if len(rivals) < 2:
            return best, length
        best = max(rivals, key=lambda number: self._shared(number, body, rivals[number]))
        return best, rivals[best]

    def _shared(self, number: int, body: bytes, prefix: int) -> int:
        """How many bytes the body has of this one, by a glance."""
        spans = common_spans(self._open[number].body, body, prefix=prefix, reach=_GLANCE, most=4)
        return sum(span.length for span in spans)

    def _remember(self, number: int, match: _Match, *, part: bool) -> None:
        """Keep the body as a base. Bodies that are carried on go first, then the least recently used."""
        base = match.base
        if base in self._open:
            if sum(span.length for span in match.spans) * 10 >= len(self._open[base].body) * 9:
                self._carried_on[base] = self._open.pop(base)
            else:
                self._open.move_to_end(base)
        elif base:
            self._carried_on.move_to_end(base)
        self._open[number] = _kept(match, part=part)
        self._bytes += len(match.body)
        while len(self._carried_on) > KEPT // 2 or (self._carried_on and self._bytes > KEPT_BYTES):
            self._bytes -= len(self._carried_on.popitem(last=False)[1].body)
        while len(self._open) > KEPT or (len(self._open) > 1 and self._bytes > KEPT_BYTES):
            self._bytes -= len(self._open.popitem(last=False)[1].body)


def _kept(match: _Match, *, part: bool) -> _Kept:
    """The body of the match as a base; only what it has not from its own base is searched."""
    body, _, base, spans = match
    tokens: list[int] = []
    done = 0
    for at, start, size in [*spans, (0, len(body), 0)]:
        token = body.find(_TOKEN, max(0, done - len(_TOKEN) + 1), start + len(_TOKEN) - 1)
        while token >= 0:
            tokens.append(token)
            token = body.find(_TOKEN, token + 1, start + len(_TOKEN) - 1)
        if base is not None and base.tokens:
            tokens += [place - at + start for place in base.tokens if at <= place <= at + size - len(_TOKEN)]
        done = start + size
    return _Kept(body, tokens, part)


def _long_pieces(body: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The places between two quotes, or an edge and a quote, that are LEAF or more apart."""
    while end - start >= LEAF:
        quote = body.rfind(b'"', start, start + LEAF)
        while quote >= 0 and _is_escaped(body, quote, start):
            quote = body.rfind(b'"', start, quote)
        if quote >= 0:
            start = quote + 1
            continue
        quote = body.find(b'"', start + LEAF, end)
        while quote >= 0 and _is_escaped(body, quote, start):
            quote = body.find(b'"', quote + 1, end)
        stop = end if quote < 0 else quote
        yield start, stop
        start = stop + 1


def _is_escaped(body: bytes, at: int, floor: int) -> bool:
    first = at
    while first > floor and body[first - 1] == _BACKSLASH:
        first -= 1
    return (at - first) % 2 == 1


def _add(body: bytes, start: int, end: int, ops: list[Op], literal: list[bytes], size: int) -> int:
    if start < end:
        ops.append(Op(LITERAL, end - start))
        literal.append(body[start:end])
    return size + max(0, end - start)


def _no_quote(body: bytes, start: int, end: int) -> bool:
    return body.find(b'"', start, end) < 0


def _quote_before(body: bytes, at: int, reach: int) -> int:
    """Behind the last quote before `at`, at most `reach` back; -1 when there is none, or it is escaped."""
    quote = body.rfind(b'"', max(0, at - reach), at)
    return quote + 1 if quote >= 0 and body[quote - 1] != _BACKSLASH else -1
