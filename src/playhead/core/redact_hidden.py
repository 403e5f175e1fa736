r"""Other spellings of the same bytes: `\u0073k-...` in JSON (in JSON), `sk%2D...` in URLs and forms, `sk&#45;` in HTML, lines
that quoted-printable cuts, UTF-16 and UTF-32, base64 and hex of text.

A stretch of data is undone into a *view* in which the rules are asked again, and what they find is told in offsets of the
data. Looking is cheap where there is nothing: a spelling is only undone where its first bytes say so.
Formats: RFC 8259 section 7 (JSON), RFC 3986 section 2.1 (percent), RFC 4648 sections 4, 5 and 8, RFC 2045
sections 6.7 (quoted-printable) and 6.8 (base64), HTML living standard 13.5 (character references).
"""

from __future__ import annotations

import binascii
import zlib
from bisect import bisect_right
from codecs import utf_8_decode
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from playhead.core.late import late

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

_AHEAD, _BEYOND, _APART = 256, 4096, 512
# each way begins with one literal, so that places are looked for by a set of four and not by trying every way
_ESCAPED = late(
    rb"\\\\*(?:u00(?:0[9aAdD]|2[0-9a-fA-F]|3[0-9a-fA-F]|[46][0-9a-fA-F]|5[0-9a-fA-F]|7[0-9a-eA-E])|/)"
    rb"|%(?:25)*(?:0[9AaDd]|2[0-9A-Fa-f]|3[0-9A-Fa-f]|[46][0-9A-Fa-f]|5[0-9A-Fa-f]|7[0-9A-Ea-e])"
    rb"|&(?:#(?:0{0,5}(?:9|1[03]|3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-6])|[xX]0{0,4}(?:[9aAdD]|[2-7][0-9a-fA-F]))"
    rb"|quot|amp|apos);"
    rb"|=(?:3D|(?<=[^\r\n]{73}=)(?<![^\r\n]{76}=)\r?\n)"
)
CUT_ESCAPE = late(
    rb"(?:\\+(?:u(?:0(?:0[0-9a-fA-F]?)?)?)?|%(?:25)*2?[0-9A-Fa-f]?|&(?:#[xX]?[0-9a-fA-F]{0,8}|[a-z]{0,4})"
    rb")\Z"
)
_REFERENCES = {b"&quot;": b'"', b"&amp;": b"&", b"&apos;": b"'"}
_REFERENCE = late(rb"&(?:#|quot;|amp;|apos;)")  # these two have one literal in front, as _BACKSLASHED
_QUOTED = late(rb"=(?:3D|\r?\n)")
_BACKSLASHED = late(rb"\\(?:u00[2-7]|/)")  # one literal in front, so that it is looked for by memchr

_STANDARD = bytes.maketrans(b"-_", b"+/")
_TEXT = bytes(range(0x20, 0x7F)) + b"\t\r\n"
_BEYOND_ASCII = _TEXT + bytes(range(0x80, 0x100))
_HEX = late(rb"[0-9a-fA-F]*")
_HEX_OF_TEXT = (b"2", b"3", b"4", b"5", b"6", b"7")
_PACKED = (b"\x1f\x8b\x08", b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")
"""How gzip (RFC 1952) and zlib (RFC 1950) begin."""
_PACKED_BITS = frozenset((lead[0], lead[1] >> 4) for lead in _PACKED)
_LINE = late(rb"(?:\\+r)?(?:\\+n|\r?\n)[ \t]{0,16}([A-Za-z0-9+/]{1,76})(?![A-Za-z0-9+/_\-])")
_BREAK = late(rb"(?:\\+[rn]?|[\r\n\t ]){1,24}\Z")
_LETTERS = late(rb"[A-Za-z0-9+/_\-]*")
_LINE_BEFORE = late(
    rb"(?:(?<![A-Za-z0-9+/])|(?<=\\n))([A-Za-z0-9+/]{76}|[A-Za-z0-9+/]{64})(?:\\+r)?(?:\\+n|\r?\n)[ \t]{0,16}\Z"
)
_WRAPPED = (76, 64)
_PADDING = late(rb"={1,2}|(?:%3[Dd]){1,2}")
_UNPACKED_AT_MOST = 1 << 20
_NO_TEXT = b"ABEFGghijklmnopqrstuv"
"""Letters of base64 with which no text begins, packed or not: the byte would be a control or the middle of a letter."""
SHORTEST_BLOCK = 8  # letters


@lru_cache(maxsize=4096)
def begins_no_text(pair: bytes) -> bool:
    """Whether what begins with these two letters of base64, which say a byte and a half, is no text in base64, packed or not,
    and none in hex."""
    if pair[:1] in _HEX_OF_TEXT:
        return False
    bits = int.from_bytes(binascii.a2b_base64(pair.translate(_STANDARD) + b"A="), "big") >> 4
    byte, behind = bits >> 4, bits & 15
    if byte in _TEXT:  # behind it ASCII, the zero of UTF-16 or the first byte of a longer letter
        return (8 <= behind < 12 and (byte, behind) not in _PACKED_BITS) or behind == 1
    return not (byte >= 0xC2 and 8 <= behind < 12) and (byte, behind) not in _PACKED_BITS


MORE = late(
    rb"(?:[A-Za-z0-9+/_.~=\-]|\\+u00[02-7][0-9a-fA-F]|%(?:25)*(?:0[9AaDd]|[2-7][0-9A-Fa-f])|\\+/|\\+(?:u(?:00?[02-7]?)?)?\Z|%(?:25)*[02-7]?\Z"
    rb"|&#[xX]?[0-9a-fA-F]{1,8};|=\r?\n)*"
)
"""What may go on a secret that is spelled with escapes."""
CUT_REFERENCE = late(rb"&(?:#[xX]?[0-9a-fA-F]{0,8})?\Z")
"""The beginning of a reference, which may go on it too. It waits for its end: nothing else tells its last letter."""
WIDE_MORE = late(rb"[A-Za-z0-9+/_.~=\-\0]*")
"""What may go on one in UTF-16 or UTF-32."""
_WIDE = late(rb"(?:[\t\n\r -~]\0\0\0){8,}|(?:\0\0\0[\t\n\r -~]){8,}|(?:[\t\n\r -~]\0){8,}|(?:\0[\t\n\r -~]){8,}")


class View(NamedTuple):
    """`text` stands for a stretch of data; `places` and `raws` are where its single steps begin here and there. Between
    two steps both run alike."""

    text: bytes
    places: list[int]
    raws: list[int]
    more: re.Pattern[bytes] = MORE

    def place(self, at: int) -> int:
        """The offset in the data of the view's byte `at`; also for an end, because a step stands behind every escape."""
        step = bisect_right(self.places, at) - 1
        return self.raws[step] + at - self.places[step]


def may_be_spelled(data: bytes, start: int) -> bool:
    """Whether `data[start:]` may hold what `views` or `wide_views` undo."""
    return (
        data.find(b"%", start) >= 0
        or (data.find(b"\\", start) >= 0 and _BACKSLASHED.search(data, start) is not None)
        or data.find(b"\0", start) >= 0
        or (data.find(b"&", start) >= 0 and _REFERENCE.search(data, start) is not None)
        or (data.find(b"=", start) >= 0 and _QUOTED.search(data, start) is not None)
    )


def _hint(data: bytes, start: int, stop: int) -> int:
    """Where a reference of HTML or what quoted-printable writes begins in `data[start:stop]`; -1 if there is none."""
    found = [
        match.start() for match in (_REFERENCE.search(data, start, stop), _QUOTED.search(data, start, stop)) if match
    ]
    return min(found, default=-1)


class Wide(NamedTuple):
    """As a view, for text whose letters take `width` bytes each, the first of them at `begin`."""

    text: bytes
    begin: int
    width: int
    more: re.Pattern[bytes] = WIDE_MORE

    def place(self, at: int) -> int:
        """The offset in the data of the text's byte `at`."""
        return self.begin + at * self.width


def wide_views(data: bytes, start: int, stop: int) -> Iterator[Wide]:
    """The stretches of `data[start:stop]` that are ASCII in UTF-16 or UTF-32, of either byte order."""
    for stretch in _WIDE.finditer(data, start, stop):
        letters = stretch[0]
        width = 4 if b"\0\0" in letters[:4] else 2
        yield Wide(letters[0 if letters[0] else width - 1 :: width], stretch.start(), width)


def wide_tail(data: bytes, floor: int) -> Wide | None:
    """The stretch with which `data` ends, but for a letter that the end cuts."""
    found = list(wide_views(data, max(0, floor - _APART), len(data)))
    last = found[-1] if found else None
    return last if last is not None and last.place(len(last.text)) + last.width > len(data) else None


def views(data: bytes, start: int, stop: int) -> Iterator[View]:
    """Views of the stretches of `data[start:stop]` that hold escapes, with what stands around them."""
    first = data.find(b"%", start, stop)
    hint = _hint(data, start, stop if first < 0 else first)
    if hint >= 0:
        first = hint
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
            yield from _views(data, group)
            group = []
        group.append(hit)
    if group:
        yield from _views(data, group)


def is_spelled(data: bytes, floor: int) -> bool:
    """Whether `data[floor:]` holds references of HTML or what quoted-printable writes, or ends with the beginning of one."""
    return _hint(data, floor, len(data)) >= 0 or data.find(b"&", max(floor, len(data) - 12)) >= 0


def _views(data: bytes, hits: list[re.Match[bytes]]) -> Iterator[View]:
    """The view of these escapes; and, if they are a form's, with its `+` as the blank it stands for."""
    view = _view(data, hits)
    yield view
    if hits[0][0][:1] == b"%" and data.find(b"+", view.raws[0], hits[-1].end() + _BEYOND) >= 0:
        yield _view(data.replace(b"+", b" "), hits)


def _view(data: bytes, hits: list[re.Match[bytes]]) -> View:
    begin = max(0, hits[0].start() - _AHEAD)
    places, raws = [0], [begin]
    pieces: list[bytes] = []
    done, length = begin, 0
    for hit in hits:
        first, last = hit.span()
        plain = _plain(hit[0])
        pieces += data[done:first], plain
        length += first - done
        places += length, length + len(plain)
        raws += first, last
        length += len(plain)
        done = last
    pieces.append(data[done : done + _BEYOND])
    return View(b"".join(pieces), places, raws)


@lru_cache(maxsize=1024)  # a text has few different ones
def _plain(escape: bytes) -> bytes:
    if escape[:1] == b"&":
        digits = escape[2:-1]
        return _REFERENCES.get(escape) or bytes((int(digits[1:], 16) if digits[:1] in b"xX" else int(digits),))
    if escape[:1] == b"=":
        return b"=" if escape == b"=3D" else b""
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
    """Text in base64. `lines` are (start, end, letters before it) in the data; with `stride` 2 the text is UTF-16. `unit`:
    how many letters say how many bytes, (2, 1) for hex."""

    text: bytes
    lines: list[tuple[int, int, int]]
    stride: int
    end: int
    packed: bool
    unit: tuple[int, int] = (4, 3)

    def start(self, at: int) -> int:
        """Where in the data the letters begin that hold the text's byte `at`."""
        letters, size = self.unit
        return self._raw(at * self.stride // size * letters) if not self.packed else self.lines[0][0]

    def stop(self, at: int) -> int:
        """Where the letters end that hold the text before `at`."""
        letters = -(-at * self.stride // self.unit[1]) * self.unit[0]
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
    """The text in the run `data[at:end]` and the lines that go on with it, if it is base64 of text (or of packed text), or
    hex of text."""
    if data[at : at + 1] in _HEX_OF_TEXT and data[at + 2 : at + 3] in _HEX_OF_TEXT and _HEX.fullmatch(data, at, end):
        return _hex_block(data, at, end)
    if data[at] in _NO_TEXT or (end - at >= 4 and begins_no_text(data[at : at + 2])):
        return None
    lead = _decoded(data[at : min(end, at + 16)])
    stride = 1
    packed = lead.startswith(_PACKED)
    if not packed and lead.translate(None, _TEXT) and not _is_utf8(lead):
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
            text = zlib.decompressobj(wbits=47).decompress(text, _UNPACKED_AT_MOST)
        except zlib.error:
            return None
    last = lines[-1][1]
    padding = _PADDING.match(data, last)
    return Block(text[::stride], lines, stride, last if padding is None else padding.end(), packed)


def _hex_block(data: bytes, at: int, end: int) -> Block | None:
    text = binascii.unhexlify(data[at : end - (end - at) % 2])
    return None if text[:8].translate(None, _TEXT) else Block(text, [(at, end, 0)], 1, end, packed=False, unit=(2, 1))


def _is_utf8(lead: bytes) -> bool:
    """Whether the first bytes of something are text beyond ASCII; the last letter may be cut."""
    if lead.translate(None, _BEYOND_ASCII):
        return False
    try:
        utf_8_decode(lead, "strict", False)  # these are not the last bytes
    except UnicodeDecodeError:
        return False
    return True


def last_block(data: bytes, at: int) -> Block | None:
    """The block that is under way where `data` ends, be it between two of its lines; what looks like its last line, or
    like what is there of the next, begins at `at`."""
    broken = _BREAK.search(data, max(0, at - 24), at)
    if broken is None:
        begin = block_start(data, at)
    else:
        width = next((n for n in _WRAPPED if _LETTERS.fullmatch(data, broken.start() - n, broken.start())), 0)
        begin = block_start(data, broken.start() - width) if 0 < width <= broken.start() else at
    letters = _LETTERS.match(data, begin)
    if letters is None or len(letters[0]) < SHORTEST_BLOCK:
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
