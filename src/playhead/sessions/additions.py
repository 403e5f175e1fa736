"""What each request adds to the conversation that it sends again.

Reading the whole of every request costs the square of the steps: a thousand of them, of up to 3 MB, took minutes. But a
request is stored as spans of an earlier one, so where the earlier one's messages lay tells where this one's lie: those
that lie in a span as a whole were read before. A *shortened* body has, in the place of each run of them, their count.

    {"messages":[{"role":"system",...},{...},{...},{"role":"tool",...}],"model":...}   as it was sent
    {"messages":[3,{"role":"tool",...}],"model":...}                                   shortened

Everything else of the body is as it was sent, so a provider recognises it, and finds the model, as in the whole.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from playhead.journal.bodies.form import COPY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playhead.journal.bodies.form import Form

CONVERSATIONS = frozenset({"messages", "input", "contents"})
"""Top-level fields in which clients send a conversation again."""

LEAST = 1 << 14
"""Bytes; a body below this is read whole."""

_KEPT = 64
_decode = json.JSONDecoder().raw_decode
_BLANK = re.compile(r"[ \t\r\n]+")


class Entries(NamedTuple):
    """Where the entries of a body's conversation begin and end, in bytes; both go forward."""

    starts: list[int]
    ends: list[int]


class _Run(NamedTuple):
    """Neighbouring entries that were read before: the first and the one behind the last, among those of the base, and
    how much further on they are in this body."""

    first: int
    last: int
    shift: int


class Additions:
    """Shortens the bodies of one recording. The most is made of it when they are asked for in their order."""

    def __init__(self) -> None:
        self._entries: OrderedDict[int, Entries] = OrderedDict()

    def of(self, number: int, body: bytes, form: Form | None) -> bytes:
        """The body of an exchange shortened, or as it is when nothing of it was read before. `form` is how it was
        stored; None when that is not known."""
        if len(body) < LEAST or form is None:
            return body
        known = self._entries.get(form.base)
        if known is not None:
            self._entries.move_to_end(form.base)
            short, entries = _shortened(body, known, list(_runs(known, form)))
            if entries is not None:
                self._keep(number, entries)
                return short
        entries = _entries(body)
        if entries is not None:
            self._keep(number, entries)
        return body

    def _keep(self, number: int, entries: Entries) -> None:
        self._entries[number] = entries
        if len(self._entries) > _KEPT:
            self._entries.popitem(last=False)


def _runs(known: Entries, form: Form) -> Iterator[_Run]:
    """Runs of entries of the base that lie in a copied span as a whole."""
    at = 0
    for kind, length, offset, _ in form.ops:
        if kind == COPY:
            first, last = bisect_left(known.starts, offset), bisect_right(known.ends, offset + length)
            if first < last:
                yield _Run(first, last, at - offset)
        at += length


def _shortened(body: bytes, known: Entries, runs: list[_Run]) -> tuple[bytes, Entries | None]:
    """The body with counts in the place of runs, and where all its entries are; None for these when a count came to
    stand where no entry of a conversation does."""
    pieces: list[bytes] = []
    counts: dict[int, _Run] = {}  # by where they stand in the shortened body
    shifts = [(0, 0)]  # from where on in the shortened body, and how much further on that is in the whole
    done = size = 0
    for run in runs:
        start, end = known.starts[run.first] + run.shift, known.ends[run.last - 1] + run.shift
        count = b"%d" % (run.last - run.first)
        pieces += body[done:start], count
        counts[size + start - done] = run
        size += start - done + len(count)
        done = end
        shifts.append((size, done - size))
    short = b"".join([*pieces, body[done:]])
    found = _entries(short)
    if found is None:
        return short, None
    starts: list[int] = []
    ends: list[int] = []
    for start, end in zip(*found, strict=True):
        met = counts.pop(start, None)
        if met is None:
            shift = shifts[bisect_right(shifts, (start, 1 << 62)) - 1][1]
            starts.append(start + shift)
            ends.append(end + shift)
        elif met.shift:
            starts += [at + met.shift for at in known.starts[met.first : met.last]]
            ends += [at + met.shift for at in known.ends[met.first : met.last]]
        else:
            starts += known.starts[met.first : met.last]
            ends += known.ends[met.first : met.last]
    return short, None if counts else Entries(starts, ends)


def _entries(body: bytes) -> Entries | None:
    """Where the entries of the first conversation are in a JSON object; None when there is none. Structure is ASCII, so
    letters may be read as anything: as Latin-1 they are as many as bytes."""
    text = body.decode("latin-1")
    try:
        at = _passed(text, 0, "{")
        while True:
            name, at = _decode(text, _behind(text, at))
            at = _passed(text, at, ":")
            if name in CONVERSATIONS and text[at] == "[":
                return _list(text, at + 1)
            at = _passed(text, _decode(text, at)[1], ",")
    except (ValueError, IndexError, RecursionError):
        return None


def _list(text: str, at: int) -> Entries:
    entries = Entries([], [])
    at = _behind(text, at)
    while text[at] != "]":
        _, end = _decode(text, at)
        entries.starts.append(at)
        entries.ends.append(end)
        at = _behind(text, end)
        if text[at] != "]":
            at = _passed(text, at, ",")
    return entries


def _behind(text: str, at: int) -> int:
    """Behind what is blank there."""
    found = _BLANK.match(text, at)
    return at if found is None else found.end()


def _passed(text: str, at: int, sign: str) -> int:
    """Behind a sign and what is blank on both sides of it. Raises ValueError when it is not there."""
    at = _behind(text, at)
    if text[at] != sign:
        raise ValueError(sign)
    return _behind(text, at + 1)
