"""Where the secrets in a piece of bytes are. Knows the rules, replaces nothing, keeps nothing.

One `bytes.translate` turns the piece into runs and gaps, one search finds the runs, and only those are compared with
rules. Everything here counts in offsets of the piece that was given, so that a caller may scan a suffix with the bytes
before it as context.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from playhead.core import redact_hidden as hidden
from playhead.core import redact_names as names
from playhead.core import redact_rules as rules
from playhead.core.late import late
from playhead.core.redact_ahead import CONTEXT, FLAGS_END, QUOTES, SEPARATORS, is_beside, may_name, named, schemed
from playhead.core.redact_opened import opened_key, opened_token
from playhead.core.redact_short import short_begun, short_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from playhead.core.redact_pii import Detector

HELD_AT_MOST = 256
"""Bytes at the end of an unfinished piece that are held back: they could begin a secret."""

SPELLED_AT_MOST = 2048
"""As HELD_AT_MOST for what is spelled with escapes or in base64, which takes up to eight bytes for one."""

_BLOB = 4096
INSIDE = 0x61
SHAPE = bytes(INSIDE if chr(c).isascii() and (chr(c).isalnum() or chr(c) in "_-/+") else 0x20 for c in range(256))
_NEEDLE = b"a" * rules.RUN
_BACKSLASH, _PERCENT, _POINT, _PLUS, _SLASH, _COLON = b"\\%.+/:"
_MSGPACK_STR8 = 0xD9
_ESCAPES, _EDGES = b"\\%[;", b"-_+"
_JOINTS = late(rb"[/+]")
"""What a key may stand behind inside a run: the slash of a path, the blank of a form (`use+sk-...`), a line of a diff."""
_COLOUR = late(rb"[0-9]{1,3}m")
_MORE_BASE64 = late(rb"(?:[A-Za-z0-9+/_=-]|\\+(?:[rn]|\Z)|[\r\n])*")
_BY_NAME = frozenset({"credential", "aws-secret", "signature"})
_IDS = frozenset({b"call", b"tool", b"msg_", b"resp", b"chat", b"req_", b"run_", b"lc_r"})
"""How providers' ids begin: half of the runs in an agent's request, and never keys."""


def _by_head() -> dict[bytes, tuple[rules.Rule, ...]]:
    table: dict[bytes, list[rules.Rule]] = {}
    for rule in rules.RULES:
        for key in dict.fromkeys(head[:2] for head in rule.heads):
            table.setdefault(key, []).append(rule)
    return {key: tuple(found) for key, found in table.items()}


_BY_HEAD = _by_head()
_PARTS_BEGIN = frozenset(_BY_HEAD)
POINTED = tuple(head for rule in rules.RULES for head in rule.heads if head.endswith(b"."))
HEADS = tuple(dict.fromkeys(head for rule in rules.RULES for head in rule.heads))
_HEADS_BY_FIRST = {
    first: tuple(head for head in HEADS if head.startswith(first))
    for first in dict.fromkeys(head[:1] for head in HEADS)
}


_GLUED_HEADS = tuple(head for head in HEADS if len(head) >= 6 and head[-1:] in (b"-", b"_"))
_GLUED = late(b"|".join(map(re.escape, _GLUED_HEADS)))
"""Heads so long that they are looked for anywhere in a run, be they glued to a word (`prod_sk-ant-...`) or to the length
in front of a string of protobuf or MessagePack, which may be a letter."""
GLUED_BEGUN = late(b"|".join(re.escape(head) for head in dict.fromkeys(head[:3] for head in _GLUED_HEADS)))


class Span(NamedTuple):
    """One secret: `data[start:end]`, the rule's id, and the pattern of bytes that would still belong to it."""

    start: int
    end: int
    rule: str
    more: re.Pattern[bytes] | None = None

    @property
    def held_at_most(self) -> int:
        """How much of it may wait for what follows."""
        return SPELLED_AT_MOST if self.more in (hidden.MORE, hidden.WIDE_MORE, _MORE_BASE64) else HELD_AT_MOST

    def may_go_on(self, data: bytes) -> bool:
        """Whether what comes behind `data` may belong to it: it ends there, or where an escape begins that the end cuts."""
        if self.more not in (hidden.MORE, names.PEM_MORE) or self.end == len(data):
            return self.end == len(data)
        return hidden.CUT_ESCAPE.fullmatch(data, self.end) is not None


class Known(NamedTuple):
    """A value that is a secret wherever it stands. `core` is its longest run, by which it is found."""

    value: bytes
    core: bytes
    offset: int


def known(value: bytes) -> Known:
    """`value` prepared for the search: by its longest run if that is long enough to be looked at, else literally."""
    pieces = value.translate(SHAPE).split(b" ")
    longest = max(pieces, key=len)
    offset = value.translate(SHAPE).find(longest)
    return Known(value, value[offset : offset + len(longest)], offset)


class Scanner:
    """The rule pack and some known values, ready to be applied to any number of pieces. Immutable, thread-safe."""

    __slots__ = ("_begun", "_detectors", "_least", "_long", "_short", "_values", "has_quotes", "personal")

    def __init__(self, values: Iterable[bytes] = (), *, personal: bool = False, extra: Iterable[Detector] = ()) -> None:
        self.personal, self._detectors = personal, tuple(extra)
        prepared = [known(value) for value in sorted(set(values), key=len, reverse=True)]
        self._long = tuple(item for item in prepared if len(item.core) >= rules.RUN)
        self._least = min((len(item.core) for item in self._long), default=1 << 62)
        self._short = tuple(item.value for item in prepared if len(item.core) < rules.RUN)
        self._values = tuple(item.value for item in prepared)
        self.has_quotes = any(b'"' in value for value in self._values)
        # a beginning ends with a pair of the value's bytes, or is its first byte
        self._begun = frozenset(value[max(0, at - 2) : at] for value in self._values for at in range(1, len(value)))

    def __repr__(self) -> str:
        return f"Scanner({len(self._long) + len(self._short)} known values)"

    def spans(self, data: bytes, start: int = 0, known: Sequence[tuple[int, int]] = ()) -> list[Span]:
        """Secrets of `data` that end behind `start`, in order, none overlapping; the bytes before `start` are context,
        in which a secret may begin. `known` are sorted spans of `data` that were scanned before and hold none: only
        what lies between them is scanned, and enough around it that a secret across an edge is found."""
        found: list[Span] = []
        if not known:
            self._scan(data, start, len(data), found)
        else:
            done = start
            for first, last in known:
                if first > done:
                    self._scan(data, done, first, found)
                elif 0 < first == done:  # two known spans side by side make a secret that neither holds
                    self._scan(data, done, done, found)
                done = max(done, last)
            if done < len(data) or known[-1][1] < len(data):
                self._scan(data, done, len(data), found)
        return _settled(found, start) if found else found

    def _scan(self, data: bytes, start: int, end: int, found: list[Span], *, undone: int = 0) -> None:
        """Add the secrets that have bytes in `data[start:end]`, or touch it, or are named by it. `undone` spellings have
        been undone to get here; there are never more than two."""
        base = _run_start(data, start) if start else 0
        size = len(data)
        stop = size if end == size else min(size, end + CONTEXT)
        shape = (data[base:stop] if base or stop < size else data).translate(SHAPE)
        if stop < size and shape[-1:] == b"a":  # the run goes on
            shape += data[stop : stop + _BLOB].translate(SHAPE).partition(b" ")[0]
        self._runs(data, base, shape, found, undone)
        near = max(0, start - CONTEXT - HELD_AT_MOST) if start else 0
        found += [Span(*secret) for secret in short_secrets(data, near, stop)]
        if self.personal:
            from playhead.core.redact_pii import personal

            found += [Span(*item) for item in personal(data, near, stop, self._detectors)]
        for value in self._short:
            reach = min(size, end + len(value))
            where = data.find(value, max(0, start - len(value)), reach)
            while where >= 0:
                found.append(Span(where, where + len(value), "env"))
                where = data.find(value, where + len(value), reach)
        if undone < 2:
            for view in hidden.views(data, near, stop):
                self._undone(view, found, undone + 1)
            if data.find(b"\0", near, stop) >= 0:
                for wide in hidden.wide_views(data, near, stop):
                    self._undone(wide, found, undone + 1)

    def _runs(self, data: bytes, base: int, shape: bytes, found: list[Span], undone: int) -> None:
        """Add what the runs of `data` hold; `shape` tells them from gaps, from `base` on."""
        at = shape.find(_NEEDLE)
        while at >= 0:
            after = shape.find(b" ", at + rules.RUN)
            if after < 0:
                after = len(shape)
            reach = self._look(data, base + at, base + after, found, undone)
            at = shape.find(_NEEDLE, max(after, reach - base))

    def _undone(self, view: hidden.View | hidden.Wide, found: list[Span], undone: int) -> None:
        """Add what a stretch of the data holds when its escapes are undone."""
        inner: list[Span] = []
        self._scan(view.text, 0, len(view.text), inner, undone=undone)
        for span in inner:
            more = None if span.more is None else view.more
            found.append(Span(view.place(span.start), view.place(span.end), span.rule, more))

    def _look(self, data: bytes, at: int, end: int, found: list[Span], undone: int) -> int:
        """Add what the run `data[at:end]` holds. Returns how far it looked: base64 may go on in further lines."""
        reach = end if _is_plain(data, at, end) else max(end, self._rule(data, at, end, found, undone))
        if reach - at >= self._least:
            self._values_in(data, at, reach, found)
        return reach

    def _values_in(self, data: bytes, at: int, end: int, found: list[Span]) -> None:
        """Add the known values of `data[at:end]`, also those that are text in base64, or a part of what a rule found."""
        for item in self._long:
            where = data.find(item.core, at, end)
            while where >= 0:
                begin = where - item.offset
                is_there = begin >= 0 and data.startswith(item.value, begin)
                if is_there:
                    found.append(Span(begin, begin + len(item.value), "env"))
                where = data.find(item.core, where + (len(item.core) if is_there else 1), end)

    def _rule(self, data: bytes, at: int, end: int, found: list[Span], undone: int) -> int:
        """Add what the run holds by the rules. Returns how far they looked, -1 if they left something of the run."""
        name = at
        if data[at - 1] in _ESCAPES or data[at] in _EDGES:
            at = behind_escape(data, at)
            name = at if data[name] not in _EDGES else name
        span = _in_run(data, at, end, name)
        if span is not None:
            span = self._as_known(data, span) if self._long and span.rule in _BY_NAME else span
            found.append(span)
            if span.end >= end:
                return end
        elif undone < 2 and at < end:  # else nothing but edges
            block = hidden.block(data, at, end)
            if block is not None:
                self._in_block(data, block, found, undone + 1)
                return block.end
        return -1

    def _as_known(self, data: bytes, span: Span) -> Span:
        """The span as a known value, if a name says what it is: a replay has another value in its place, which need not
        look like one that the name would find."""
        for item in self._long:
            end = span.start + len(item.value)
            if data.startswith(item.value, span.start) and not data[end : span.end].strip(b"."):
                return Span(span.start, end, "env")
        return span

    def _in_block(self, data: bytes, block: hidden.Block, found: list[Span], undone: int) -> None:
        """Add the letters of base64 that hold a secret. One that could go on where the data ends takes what follows."""
        inner: list[Span] = []
        self._scan(block.text, 0, len(block.text), inner, undone=undone)
        for span in inner:
            grows = block.end == len(data) and span.end >= len(block.text) - 2
            end = block.end if grows else block.stop(span.end)
            found.append(Span(block.start(span.start), end, span.rule, _MORE_BASE64 if grows else None))

    def undecided(self, data: bytes, start: int) -> int:
        """Where the tail of an unfinished piece begins that must be held back; `len(data)` when none must."""
        size = len(data)
        floor = max(start, size - HELD_AT_MOST)
        hold = max(self._undecided(data, floor), floor)
        floor = max(start, size - SPELLED_AT_MOST)
        if data.find(b"%", floor) >= 0 or data.find(b"\\", max(0, floor - 8)) >= 0 or hidden.is_spelled(data, floor):
            view, cut = hidden.tail_view(data, floor)
            hold = min(hold, cut)
            if view.text:
                near = max(0, len(view.text) - HELD_AT_MOST)
                hold = min(hold, view.place(max(near, self._undecided(view.text, near))))
        wide = hidden.wide_tail(data, floor) if data.find(b"\0", max(0, floor - 8)) >= 0 else None
        if wide is not None:
            near = max(0, len(wide.text) - HELD_AT_MOST)
            hold = min(hold, wide.place(max(near, self._undecided(wide.text, near))))
        if size and (SHAPE[data[-1]] == INSIDE or _may_be_wrapped(data)):
            at = behind_escape(data, _run_start(data, size))
            block = hidden.last_block(data, min(at, size))
            if block is not None and not block.packed:
                near = max(0, len(block.text) - SPELLED_AT_MOST)
                hold = min(hold, block.start(self.undecided(block.text, near)))
        return max(hold, floor)

    def _undecided(self, data: bytes, floor: int) -> int:
        size = len(data)
        hold = size
        if not size:
            return size
        last = data[-1:]
        for opened in (opened_key(data, floor), opened_token(data, floor)):
            if opened >= 0:
                hold = min(hold, opened)
        if last == b"\n":  # no value but a private key holds a line's end, and most pieces of a stream end with one
            return hold
        if last in b"\\%." or SHAPE[last[0]] == INSIDE:
            hold = min(hold, undecided_run(data, _run_start(data, size, floor=floor - 8), size))
        hold = min(hold, short_begun(data, size - HELD_AT_MOST))
        if self.personal:
            from playhead.core.redact_pii import personal_begun

            hold = min(hold, personal_begun(data, floor, words=bool(self._detectors)))
        if self.may_begin_value(data):
            hold = min(hold, self.value_begun(data, floor))
        return max(hold, floor)

    def value_begun(self, data: bytes, floor: int) -> int:
        """Where a known value begins that the end of `data` cuts; the length of `data` if there is none."""
        hold = len(data)
        for item in self._values:
            where = data.find(item[:1], max(floor, len(data) - len(item) + 1))
            while where >= 0:
                if item.startswith(data[where:]):
                    hold = min(hold, where)
                    break
                where = data.find(item[:1], where + 1)
        return hold

    def may_begin_value(self, data: bytes) -> bool:
        """Whether the last two bytes of `data` are ones with which the beginning of a known value ends."""
        return data[-2:] in self._begun or data[-1:] in self._begun

    def has_value_or_run(self, data: bytes, start: int) -> bool:
        """Whether `data[start:]`, in which nothing is spelled, holds a known value or a run that is a secret."""
        for value in self._short:
            if data.find(value, max(0, start - len(value))) >= 0:
                return True
        found: list[Span] = []
        base = _run_start(data, start) if start else 0
        self._runs(data, base, (data[base:] if base else data).translate(SHAPE), found, 0)
        return bool(found)


def _may_be_wrapped(data: bytes) -> bool:
    """Whether the data ends between two lines that could be base64."""
    if data[-1] not in b"\n\r\\ \t":
        return False
    line = data[-24:].rstrip(b"\n\r\\ \t")
    return not line or SHAPE[line[-1]] == INSIDE


def undecided_run(data: bytes, begin: int, size: int) -> int:
    """Where in the unfinished run `data[begin:size]` a secret could be beginning; `size` if nowhere."""
    if begin and data[begin - 1] == _POINT and (pointed := _pointed_begun(data, begin)) >= 0:
        return pointed
    at = behind_escape(data, begin)
    if at >= size:
        is_break = size - begin == 1 and begin > 0 and data[begin - 1] == _BACKSLASH and data[begin] in b"nrt"
        return size if is_break else begin
    if by_name(data, at, least=1) is not None:
        return at
    if at != begin and data[begin] in _EDGES and by_name(data, begin, least=1) is not None:
        return begin
    for where in _starts(data, at, size):
        if where > at and data[where - 1] == _PLUS and by_name(data, where, least=1) is not None:
            return where
        rest = data[where : where + 16]
        heads = _HEADS_BY_FIRST.get(rest[:1], ())
        if not rest or any(head.startswith(rest) or rest.startswith(head) for head in heads):
            return where
    return size


def _pointed_begun(data: bytes, begin: int) -> int:
    """As `undecided_run` for a run behind a point: where the head of a key, or its part, before the point begins; or -1."""
    for head in POINTED:
        if data.endswith(head, 0, begin):
            return begin - len(head)
    return rules.parted_begun(data)


def _run_start(data: bytes, at: int, *, floor: int = 0) -> int:
    """Where the run begins in which `at` stands; not before `floor`, not more than a blob back."""
    if not at or SHAPE[data[at - 1]] != INSIDE:
        return at
    floor = max(floor, at - _BLOB, 0)
    return floor + data[floor:at].translate(SHAPE).rfind(b" ") + 1


def context_start(data: bytes, at: int) -> int:
    """From where on the bytes before `at` are needed to judge those behind it: the name of a value, the letters of
    base64 from the first, or from a multiple of four on."""
    near = max(0, at - CONTEXT)
    if at and SHAPE[data[at - 1]] == INSIDE:
        begin = _run_start(data, at)
        if begin > at - _BLOB or not begin:
            begin = hidden.block_start(data, begin)
            return min(near, max(0, begin - CONTEXT))
        return max(0, at - _BLOB) // 4 * 4
    return near


def behind_escape(data: bytes, at: int) -> int:
    r"""The first byte of a run's own text: behind the letter of `\n`, the digits of `\u0022` or `%3D`, and `-_`."""
    if at and at < len(data):
        before = data[at - 1]
        if before == _BACKSLASH:
            at += 5 if data[at : at + 1] == b"u" else 1
        elif before == _PERCENT:
            at += 2
        elif before in b"[;":  # of a terminal's colours
            colour = _COLOUR.match(data, at)
            at = at if colour is None else colour.end()
    while data[at : at + 1] in (b"-", b"_", b"+") and not data.startswith(b"-----BEGIN", at):
        at += 1
    return at


def _starts(data: bytes, at: int, end: int) -> Iterator[int]:
    """Where in a run a key may begin: at its head, and behind a joint or as a long head unless the run is a blob."""
    yield at
    if _length_ahead(data, at):
        yield at + 1
    reach = min(end, at + _BLOB)
    for joint in _JOINTS.finditer(data, at, reach):
        yield joint.end()
    for head in GLUED_BEGUN.finditer(data, at, reach):
        yield head.start()


def _is_plain(data: bytes, at: int, end: int) -> bool:
    """Whether no rule can be about the run: answers for most runs what `_in_run` and `hidden.block` would."""
    if end - at >= _BLOB:
        return False
    run = data[at:end]
    if (
        not run.isalnum()
        and (  # a key may stand in its midst
            _PLUS in run
            or data[at] in _EDGES
            or _GLUED.search(run) is not None
            or (_SLASH in run and not _PARTS_BEGIN.isdisjoint([part[:2] for part in run.split(b"/")]))
        )
    ):
        return False
    return run[:4] in _IDS or (
        (end - at not in rules.MARKED or rules.by_mark(data, at, end) is None)
        and run[:2] not in _BY_HEAD
        and run[1:3] not in _BY_HEAD
        and (not at or data[at - 1] not in b".\\%[;")
        and not may_name(data, at)
        and (hidden.begins_no_text(run[:2]) or hidden.block(data, at, end) is None)
    )


def _in_run(data: bytes, at: int, end: int, name: int) -> Span | None:
    """The first secret of the run `data[name:end]`, which is `data[at:end]` without what may stand before a key."""
    span = _by_shape(data, at, end, name) or by_name(data, at) or (by_name(data, name) if name != at else None)
    if span is None and end - at in rules.MARKED:
        found = rules.by_mark(data, at, end)
        span = None if found is None else Span(*found)
    return _inside(data, at, end) if span is None and end - at < _BLOB else span


def _by_shape(data: bytes, at: int, end: int, run: int) -> Span | None:
    """The key that begins in the run (at `run`; at `at` without what may stand before a key), if its own shape says so."""
    if run and data[run - 1] == _POINT:
        for head in POINTED:
            if data.endswith(head, max(0, run - len(head)), run):
                span = _match(data, run - len(head), _BY_HEAD[head[:2]])
                if span is not None:  # else a word ends so: `task.ghp_...`
                    return span
    span = None
    candidates = _BY_HEAD.get(data[at : at + 2])
    if candidates is not None:
        span = _match(data, at, candidates)
    if span is None and end - at < _BLOB:
        for joint in _JOINTS.finditer(data, at, end):
            candidates = _BY_HEAD.get(data[joint.end() : joint.end() + 2])
            if candidates is not None:
                span = _match(data, joint.end(), candidates)
                if span is not None and span.rule != "cargo-token":  # three letters, often behind a joint in base64
                    return span
                span = None
    return span


def _length_ahead(data: bytes, at: int) -> bool:
    """Whether the byte at `at` may be the length of a string in protobuf or MessagePack instead of its first letter."""
    tag = data[at - 1] if at else 0x20
    return data[at : at + 1].isdigit() or tag == _MSGPACK_STR8 or (tag < 0x20 and tag not in b"\t\n\r\x1b")


def _inside(data: bytes, at: int, end: int) -> Span | None:
    """The first key or named value in the midst of a run: glued to what stands before it, or behind the blank of a form."""
    if _length_ahead(data, at):
        span = _match(data, at + 1, _BY_HEAD.get(data[at + 1 : at + 3], ()))
        if span is not None:
            return span
    if (
        data.find(b"-", at, end) >= 0 or data.find(b"_", at, end) >= 0
    ):  # with which these heads end: most runs have none
        for head in _GLUED.finditer(data, at, end):
            span = _match(data, head.start(), _BY_HEAD[head[0][:2]])
            if span is not None:
                return span
    plus = data.find(b"+", at, end)
    while plus >= 0:
        span = by_name(data, plus + 1)
        if span is not None:
            return span
        plus = data.find(b"+", plus + 1, end)
    return None


def _match(data: bytes, at: int, candidates: tuple[rules.Rule, ...]) -> Span | None:
    for rule in candidates:
        match = rule.pattern.match(data, at)
        if match is not None and (rule.valid is None or rule.valid(match[0])):
            return Span(at, match.end(), rule.id, rule.more)
    return None


def by_name(data: bytes, at: int, *, least: int = rules.RUN) -> Span | None:
    """The value that begins at `at`, if what stands before it says that it is a secret. With `least` below RUN the
    value may still be growing, so its worth is not judged."""
    if not may_name(data, at):
        return None
    escaped = data[at - 2 : at - 1] == b"\\"
    ahead = data[max(0, at - CONTEXT) : at]
    bare = ahead.rstrip(QUOTES)
    last = bare[-1:]
    if last == b"":
        return None
    if last in b"-,\r\n" or escaped or data[at - 3 : at - 1] == b"%0":
        key = _private_key(data, at, ahead)
        if key is not None:
            return key
    rule = None
    if last in SEPARATORS or last in b"," + FLAGS_END:
        rule = named(ahead, bare)
        if rule is None and last == b":" and b"AA".startswith(data[at : at + 2]):
            return _telegram(data, at, ahead, judged=least >= rules.RUN)
    if rule is None and (last == b"\n" or escaped) and ahead.find(b"form-data") >= 0:
        rule = "credential" if names.FIELD_AHEAD.search(ahead) is not None else None
    if rule is None:
        rule = schemed(ahead, last)
    if rule is None and is_beside(ahead, bare):
        return _value(data, at, "credential", judged=least >= rules.RUN, valid=rules.is_no_slug)
    return None if rule is None else _value(data, at, rule, judged=least >= rules.RUN)


def _private_key(data: bytes, at: int, ahead: bytes) -> Span | None:
    begin = ahead.rfind(b"-----BEGIN")
    if begin < 0:
        return None
    start = at - len(ahead) + begin
    key = names.PEM.match(data, start)
    return None if key is None or key.end() <= at else Span(start, key.end(), "private-key", names.PEM_MORE)


def _telegram(data: bytes, at: int, ahead: bytes, *, judged: bool) -> Span | None:
    if names.TELEGRAM_AHEAD.search(ahead) is None:
        return None
    match = names.TELEGRAM_VALUE.match(data, at)
    if match is None:
        return None if judged else Span(at, len(data), "telegram-token")
    return Span(at, match.end(), "telegram-token", names.MORE_NAMED_VALUE)


def _value(
    data: bytes, at: int, name: str, *, judged: bool, valid: Callable[[bytes], bool] = rules.is_generated
) -> Span | None:
    if not judged:
        return Span(at, len(data), name)
    match = names.NAMED_VALUE.match(data, at)
    if match is None or not valid(match[0]):
        return None
    return Span(at, match.end(), name, names.MORE_NAMED_VALUE)


def _settled(found: list[Span], start: int) -> list[Span]:
    """Spans in order; of two that overlap the earlier, and of two that begin together the one found first."""
    settled: list[Span] = []
    reach = 0
    for span in sorted(found, key=lambda span: span.start):
        if span.end <= max(reach, start):
            continue
        settled.append(span if span.start >= reach else span._replace(start=reach))
        reach = span.end
    return settled
