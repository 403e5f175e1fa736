"""The cheap question: can a piece be passed as it is? Nearly every event of a stream can.

`calm_until` says yes only where `Scanner.spans` finds nothing, and holds back no less than `Scanner.undecided`, so asking it
first changes no byte that is stored. It looks for that without which there is no secret: the letters of a name, an escape, a
known value, a run that is no word; and at the end of the piece for that with which one begins. Where it meets any of
them it says no, and the rules are asked. What a rule comes to look for beyond these has to be asked here too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playhead.core import redact_hidden as hidden
from playhead.core import redact_rules as rules
from playhead.core.late import late
from playhead.core.redact_opened import opened_key, opened_token
from playhead.core.redact_scan import (
    GLUED_BEGUN,
    HEADS,
    HELD_AT_MOST,
    INSIDE,
    POINTED,
    SHAPE,
    behind_escape,
    by_name,
    undecided_run,
)
from playhead.core.redact_short import LONGEST_NAME, URL_OPEN, has_name

if TYPE_CHECKING:
    from playhead.core.redact_scan import Scanner

_NEWLINE, _BACKSLASH, _POINT, _MSGPACK_STR8 = b"\n\\.\xd9"
_BREAKS = b"\n\r \t"
_SIGNS = b"%\\\0&=@-"
_ONE_PASS = 640  # bytes beyond which a search for each costs less
_LINE_OF_BASE64 = 64  # letters, at least
_NEAR = _LINE_OF_BASE64 + rules.RUN


def _beginnings(words: tuple[bytes, ...]) -> bytes:
    """A pattern of what begins with one of the words, or ends as a beginning of one."""
    if b"" in words:
        return b""
    by_first: dict[bytes, list[bytes]] = {}
    for word in words:
        by_first.setdefault(word[:1], []).append(word[1:])
    return b"(?:\\Z|" + b"|".join(re.escape(a) + _beginnings(tuple(rest)) for a, rest in by_first.items()) + b")"


_HEAD_BEGUN = late(lambda: _beginnings(HEADS))


def calm_until(scanner: Scanner, data: bytes, start: int, *, clear: bool, final: bool) -> int:
    """Where the part of `data[start:]` ends that can be let go as it is: its end, most often, or where what begins at its
    end must wait for what follows (never if it is `final`). -1 when the rules must be asked. `clear`: the bytes before
    `start` were calm."""
    near = max(0, start - LONGEST_NAME) if clear else 0
    if scanner.personal or has_name(data, near) or (_is_signed(data, near) and _may_say(data, near, start)):
        return -1
    end = len(data) if final else _calm_end(scanner, data, start)
    return -1 if end < start or scanner.has_value_or_run(data, start) else end


def _is_signed(data: bytes, near: int) -> bool:
    """Whether `data[near:]` may hold a sign without which nothing is spelled, no URL has a password and no private key
    begins. Most events hold none, which one pass tells."""
    size = len(data) - near
    return size > _ONE_PASS or len(data[near:].translate(None, _SIGNS)) != size


def _may_say(data: bytes, near: int, start: int) -> bool:
    """Whether what the signs are for may be there."""
    return hidden.may_be_spelled(data, near) or data.find(b"@", start) >= 0 or data.find(b"-----B", near) >= 0


def _calm_end(scanner: Scanner, data: bytes, start: int) -> int:
    """The part of `calm_until` that stands for `Scanner.undecided`, of data that holds no name."""
    end = size = len(data)
    floor = max(start, size - HELD_AT_MOST)
    if data.find(b"<", start) >= 0 and opened_token(data, floor) >= 0:
        return -1
    last = data[-1]
    if last == _NEWLINE:
        return end if _is_unwrapped(data) else -1
    tail = max(0, size - 12)
    if (data.find(b"\\", tail) >= 0 or data.find(b"&", tail) >= 0) and hidden.CUT_ESCAPE.search(data, tail) is not None:
        return -1
    if SHAPE[last] == INSIDE:
        end = _calm_run(data, floor)
    elif (
        data.endswith(POINTED)
        or (last in _BREAKS and not _is_unwrapped(data))
        or (last == _POINT and rules.parted_begun(data) >= 0)
    ):
        return -1
    if scanner.may_begin_value(data):
        end = min(end, scanner.value_begun(data, floor))
    if data.find(b"-", max(start, size - 9)) >= 0 and opened_key(data, floor) >= 0:
        return -1
    scheme = data.rfind(b"://", max(0, size - HELD_AT_MOST))
    return end if scheme < 0 or URL_OPEN.match(data, scheme) is None else -1


def _is_unwrapped(data: bytes) -> bool:
    """Whether what stands before the break at the end of `data` is no full line of base64."""
    tail = data[-26:]
    line = tail.rstrip(_BREAKS)
    if not line or line[-1] == _BACKSLASH:
        return False
    if SHAPE[line[-1]] != INSIDE:
        return True
    if tail.find(b"\\") >= 0:  # a break may be spelled
        return False
    end = len(data) - len(tail) + len(line)
    return end < _LINE_OF_BASE64 or b" " in data[end - _LINE_OF_BASE64 : end].translate(SHAPE)


def _calm_run(data: bytes, floor: int) -> int:
    """As `_calm_end` for the run with which `data` ends: where it begins if it could be the head of a key."""
    size = len(data)
    near = data[-_NEAR:].translate(SHAPE)
    gap = near.rfind(b" ")
    length = len(near) - gap - 1
    if length >= rules.RUN:
        return -1
    at = size - length
    begin = max(at, floor - 8)  # as `Scanner.undecided` looks at it
    ahead = data[begin - 1] if begin else 0x20
    is_word = (
        ahead not in b".\\%[;"
        and ahead >= 0x20
        and ahead != _MSGPACK_STR8
        and data[begin:].isalnum()
        and not data[begin : begin + 1].isdigit()
    )
    if is_word:
        if by_name(data, begin, least=1) is not None or GLUED_BEGUN.search(data, begin) is not None:
            return -1
        end = size if _HEAD_BEGUN.match(data, begin) is None else max(begin, floor)
    else:
        end = undecided_run(data, begin, size)
    return end if _is_unblocked(data, at, near[: gap + 1]) else -1


def _is_unblocked(data: bytes, at: int, shape_before: bytes) -> bool:
    """Whether the run that begins at `at` is not on its way to be a block of base64 text."""
    if len(data) - at < hidden.SHORTEST_BLOCK:
        if not at or data[at - 1] not in b" \t\r\nnr\\":
            return True
        if data[at - 1] in b" \t" and data.find(b"\\", max(0, at - 26), at) < 0:
            line = shape_before.rstrip()
            if b" " in line[-_LINE_OF_BASE64:] or (len(line) < _LINE_OF_BASE64 and len(shape_before) == at):
                return True
    return hidden.last_block(data, min(behind_escape(data, at), len(data))) is None
