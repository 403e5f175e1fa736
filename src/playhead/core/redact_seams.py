"""Seams of chunked transfer coding (RFC 9112 7.1): `CRLF size CRLF` between two pieces of one body.

Bytes are stored as framed on the wire, and a server may cut a body anywhere, so a secret can have a seam in its middle.
Redaction looks at the *view*, the bytes without their seams, and puts the seams back where they were. A body in which such
a line is text loses nothing by it: it is put back as it was.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SEAM = re.compile(rb"\r\n[0-9A-Fa-f]{1,8}(?:;[^\r\n]{0,200})?\r\n")
_CUT = re.compile(rb"\r(?:\n(?:[0-9A-Fa-f]{1,8}\r?)?)?\Z")
LONGEST_CUT = 11


class Seamed(NamedTuple):
    """Bytes without their seams, and where those are: `cuts` as (start, end) in the bytes with them."""

    view: bytes
    cuts: list[tuple[int, int]]

    def to_view(self, at: int) -> int:
        """The place in the view of an offset in the bytes."""
        return at - sum(min(end, at) - start for start, end in self.cuts if start < at)

    def to_bytes(self, at: int) -> int:
        """The place in the bytes of the view's byte `at`; behind everything for the view's end."""
        for start, end in self.cuts:
            if start > at:
                break
            at += end - start
        return at

    def put_back(self, data: bytes, start: int, end: int, fresh: bytes) -> bytes:
        """`data[start:end]` with `fresh` in the place of its view, which is as long."""
        pieces: list[bytes] = []
        done, used = start, 0
        for begin, stop in self.cuts:
            if stop <= start or begin >= end:
                continue
            plain = max(0, begin - done)
            pieces += fresh[used : used + plain], data[max(begin, start) : stop]
            used += plain
            done = stop
        pieces.append(fresh[used:])
        return b"".join(pieces)


def cut_seam(data: bytes) -> int:
    """Where a seam begins that the end of `data` cuts; the length of `data` when none does."""
    match = _CUT.search(data, max(0, len(data) - LONGEST_CUT))
    return len(data) if match is None else match.start()


def may_be_seam(payload: bytes) -> bool:
    """Whether a seam stands in a whole chunk's payload, or in its last bytes and the line end behind them."""
    return b"\r" in payload and _SEAM.search(payload + b"\r\n") is not None


def without_seams(data: bytes, *, unfinished: bool = False) -> Seamed | None:
    """The view of `data`, or None when it has no seam; with `unfinished`, a seam cut by the end counts as one."""
    cuts = [match.span() for match in _SEAM.finditer(data)] if b"\r" in data else []
    if unfinished:
        cut = cut_seam(data)
        if cut < len(data) and (not cuts or cut >= cuts[-1][1]):
            cuts.append((cut, len(data)))
    if not cuts:
        return None
    pieces: list[bytes] = []
    done = 0
    for start, end in cuts:
        pieces.append(data[done:start])
        done = end
    pieces.append(data[done:])
    return Seamed(b"".join(pieces), cuts)
