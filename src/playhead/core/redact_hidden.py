r"""Other spellings of the same bytes: `\u0073k-...` in JSON (in JSON), `sk%2D...` in URLs and forms, base64 of text.

A stretch of data is undone into a *view* in which the rules are asked again, and what they find is told in offsets of the
data. Looking is cheap where there is nothing: a spelling is only undone where its first bytes say so.
Formats: RFC 8259 section 7 (JSON), RFC 3986 section 2.1 (percent), RFC 4648 sections 4 and 5, RFC 2045 6.8 (base64).
"""

from __future__ import annotations

import binascii
import re
import zlib
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_AHEAD, _BEYOND, _APART = 256, 4096, 512
_ESCAPED = re.compile(
    rb"\\+u00(?:2[0-9a-fA-F]|3[0-9a-fA-F]|[46][0-9a-fA-F]|5[0-9a-fA-F]|7[0-9a-eA-E])|\\+/"
    rb"|%(?:25)*(?:0[9AaDd]|2[0-9A-Fa-f]|3[0-9A-Fa-f]|[46][0-9A-Fa-f]|5[0-9A-Fa-f]|7[0-9A-Ea-e])"
)
CUT_ESCAPE = re.compile(rb"(?:\\+(?:u(?:0(?:0[0-9a-fA-F]?)?)?)?|%(?:25)*2?[0-9A-Fa-f]?)\Z")
_BACKSLASHED = re.compile(rb"\\(?:u00[2-7]|/)")  # one literal in front, so that it is looked for by memchr

_STANDARD = bytes.maketrans(b"-_", b"+/")
_TEXT = bytes(range(0x20, 0x7F)) + b"\t\r\n"
_LINE = re.compile(rb"(?:\\+r)?(?:\\+n|\r?\n)[ \t]{0,16}([A-Za-z0-9+/]{1,76})(?![A-Za-z0-9+/_\-])")
_BREAK = re.compile(rb"(?:\\+[rn]?|[\r\n\t ]){1,24}\Z")
_LETTERS = re.compile(rb"[A-Za-z0-9+/_\-]*")
_LINE_BEFORE = re.compile(
    rb"(?:(?<![A-Za-z0-9+/])|(?<=\\n))([A-Za-z0-9+/]{76}|[A-Za-z0-9+/]{64})(?:\\+r)?(?:\\+n|\r?\n)[ \t]{0,16}\Z"
)
_WRAPPED = (76, 64)
_PADDING = re.compile(rb"={1,2}|(?:%3[Dd]){1,2}")
_UNPACKED_AT_MOST = 1 << 20


MORE = re.compile(
    rb"(?:[A-Za-z0-9+/_.~=\-]|\\+u00[2-7][0-9a-fA-F]|%(?:25)*(?:0[9AaDd]|[2-7][0-9A-Fa-f])|\\+/|\\+(?:u(?:00?[2-7]?)?)?\Z|%\Z)*"
)
"""What may go on a secret that is spelled with escapes."""


class View(NamedTuple):
    """`text` stands for a stretch of data; `places` and `raws` are where its single steps begin here and there. Between
    two steps both run alike."""

    text: bytes
    places: list[int]
    raws: list[int]

    def place(self, at: int) -> int:
        """The offset in the data of the view's byte `at`; also for an end, because a step stands behind every escape."""
        step = bisect_right(self.places, at) - 1
        return self.raws[step] + at - self.places[step]


def may_be_spelled(data: bytes, start: int) -> bool:
    """Whether `data[start:]` may hold an escape that `views` undoes."""
    return data.find(b"%", start) >= 0 or (
        data.find(b"\\", start) >= 0 and _BACKSLASHED.search(data, start) is not None
    )


def views(data: bytes, start: int, stop: int) -> Iterator[View]:
    """Views of the stretches of `data[start:stop]` that hold escapes, with what stands around them."""
    first = data.find(b"%", start, stop)
    slash = _BACKSLASHED.search(data, start, stop if first < 0 else first)
    if slash is not None:
        first = slash.start()
        while first > start and data[first - 1 : first] == b"\\":
            first -= 1
    if first < 0:
        return
    start = first
    group: list[re.Match[bytes]] = []
    for hit in _ESCAPED.finditer(data, start, stop):
        if group and hit.start() - group[-1].end() > _APART:
            yield _view(data, group)
            group = []
        group.append(hit)
    if group:
        yield _view(data, group)


def _view(data: bytes, hits: list[re.Match[bytes]]) -> View:
    begin = max(0, hits[0].start() - _AHEAD)
    places, raws = [0], [begin]
    pieces: list[bytes] = []
    done, length = begin, 0
    for hit in hits:
        first, last = hit.span()
        pieces += data[done:first], _plain(hit[0])
        length += first - done
        places += length, length + 1
        raws += first, last
        length += 1
        done = last
    pieces.append(data[done : done + _BEYOND])
    return View(b"".join(pieces), places, raws)


def _plain(escape: bytes) -> bytes:
    return b"/" if escape.endswith(b"/") else bytes((int(escape[-2:], 16),))


def tail_view(data: bytes, floor: int) -> tuple[View, int]:
    """The end of `data` from `floor` on without its escapes, and where an escape begins that the end cuts (`len(data)`
    when none does)."""
    cut = CUT_ESCAPE.search(data, max(floor, len(data) - 12))
    size = cut.start() if cut is not None else len(data)
    hits = list(_ESCAPED.finditer(data, max(0, floor - _AHEAD), size))
    if not hits:
        return View(b"", [0], [floor]), size
    view = _view(data[:size], hits)
    return view, size


class Block(NamedTuple):
    """Text in base64. `lines` are (start, end, letters before it) in the data; with `stride` 2 the text is UTF-16."""

    text: bytes
    lines: list[tuple[int, int, int]]
    stride: int
    end: int
    packed: bool

    def start(self, at: int) -> int:
        """Where in the data the letters begin that hold the text's byte `at`."""
        return self._raw(at * self.stride // 3 * 4) if not self.packed else self.lines[0][0]

    def stop(self, at: int) -> int:
        """Where the letters end that hold the text before `at`."""
        letters = -(-at * self.stride // 3) * 4
        start, end, before = self.lines[-1]
        if self.packed or letters >= before + end - start:
            return self.end
        return self._raw(letters - 1) + 1

    def _raw(self, letter: int) -> int:
        for start, end, before in reversed(self.lines):
            if letter >= before:
                return min(start + letter - before, end)
        return self.lines[0][0]


def block(data: bytes, at: int, end: int) -> Block | None:
    """The text in the run `data[at:end]` and the lines that go on with it, if it is base64 of text (or of packed text)."""
    lead = _decoded(data[at : min(end, at + 16)])
    stride = 1
    packed = lead.startswith(b"\x1f\x8b\x08")
    if not packed and lead.translate(None, _TEXT):
        if lead[1::2].strip(b"\0") or lead[::2].translate(None, _TEXT):
            return None
        stride = 2
    lines = [(at, end, 0)]
    letters = end - at
    while lines[-1][1] - lines[-1][0] in _WRAPPED:
        line = _LINE.match(data, lines[-1][1])
        if line is None:
            break
        lines.append((line.start(1), line.end(1), letters))
        letters += line.end(1) - line.start(1)
    whole = data[at:end] if len(lines) == 1 else b"".join(data[a:b] for a, b, _ in lines)
    text = _decoded(whole)
    if packed:
        try:
            text = zlib.decompressobj(wbits=31).decompress(text, _UNPACKED_AT_MOST)
        except zlib.error:
            return None
    last = lines[-1][1]
    padding = _PADDING.match(data, last)
    return Block(text[::stride], lines, stride, last if padding is None else padding.end(), packed)


def last_block(data: bytes, at: int) -> Block | None:
    """The block that is under way where `data` ends, be it between two of its lines; what looks like its last line, or
    like what is there of the next, begins at `at`."""
    broken = _BREAK.search(data, max(0, at - 24), at)
    if broken is None:
        begin = block_start(data, at)
    else:
        width = next((n for n in _WRAPPED if _LETTERS.fullmatch(data, broken.start() - n, broken.start())), 0)
        if not width or broken.start() < width:
            return None
        begin = block_start(data, broken.start() - width)
    letters = _LETTERS.match(data, begin)
    if letters is None or len(letters[0]) < 8:
        return None
    return block(data, begin, letters.end())


def block_start(data: bytes, at: int) -> int:
    """Where the block begins whose line begins at `at`: before the lines of full width right before it."""
    line = _LINE_BEFORE.search(data, max(0, at - 120), at)
    while line is not None:
        at = line.start(1)
        line = _LINE_BEFORE.search(data, max(0, at - 120), at)
    return at


def _decoded(letters: bytes) -> bytes:
    letters = letters[: len(letters) - (len(letters) % 4 == 1)].translate(_STANDARD)
    try:
        return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
    except binascii.Error:
        return b"\xff"
