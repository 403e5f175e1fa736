"""Segments as bytes, made of any events, without a file."""

from __future__ import annotations

import json
from struct import pack
from typing import TYPE_CHECKING, Any
from zlib import crc32

from playhead.core.events import EventKind, Flag
from playhead.journal.bodies import Encoder
from playhead.journal.segment import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

ID = "7f3a2b9c41d0e655"


def record(kind: int, seq: int, subject: int, meta: bytes, body: bytes, flags: int, t_ns: int) -> bytes:
    data = pack("<BBHIIQ", kind, flags, len(meta), seq, subject, t_ns) + meta + body
    return pack("<II", len(data), crc32(data)) + data


def segment_of(
    name: str, events: Iterable[tuple[int, int, dict[str, Any], bytes, int, int]], *, close: bool = True
) -> bytes:
    """A segment of (kind, subject, meta, body, flags, t_ns), with its first record and, closed, its last."""
    first = json.dumps({"segment": name, "format": FORMAT_VERSION, "wall_ns": 1, "mono_ns": 1}).encode()
    records = [record(EventKind.SEGMENT, 0, 0, first, b"", 0, 1)]
    for kind, subject, meta, body, flags, t_ns in events:
        text = json.dumps(meta).encode() if meta else b""
        records.append(record(kind, len(records), subject, text, body, flags, t_ns))
    if close:
        records.append(record(EventKind.CLOSED, len(records), 0, b"", b"", 0, 2**40))
    return b"".join(records)


def session_of_exchanges(count: int, *, size: int = 0) -> dict[str, bytes]:
    """A launcher's segment, and an engine's in which exchanges two and two interleave. `size` bytes of noise are added
    to each question and answer."""
    import random

    noise = random.Random(count)
    encoder = Encoder()
    launcher = segment_of(
        "launcher",
        [
            (EventKind.SESSION, 0, {}, json.dumps({"id": ID}).encode(), 0, 2),
            *((EventKind.STDIO, 1, {}, b"line %d\n" % n, 0, 10**9 + n) for n in range(5)),
            (EventKind.EXIT, 0, {"code": 0, "signal": None, "duration_s": 1.5}, b"", 0, 3 * 10**9),
        ],
    )
    events: list[tuple[int, int, dict[str, Any], bytes, int, int]] = []
    t_ns = 10**9
    for first in range(1, count + 1, 2):
        pair = [n for n in (first, first + 1) if n <= count]
        for n in pair:
            question = b"POST / HTTP/1.1\r\n\r\n"
            body = question + encoder.encode(n, b"question %d " % n + noise.randbytes(size))
            events.append((EventKind.OPEN, n, {"connection": n}, b"", 0, t_ns + 1))
            events.append((EventKind.REQUEST, n, {"head": len(question)}, body, 0, t_ns + 2))
        for part in range(4):
            for n in pair:
                t_ns += 1_234_567
                text = b"answer %d part %d. " % (n, part) + (noise.randbytes(size) if part == 3 else b"")
                flags = Flag.FIRST if part == 0 else Flag.LAST if part == 3 else 0
                events.append((EventKind.ANSWER, n, {}, text, flags, t_ns))
    return {"launcher": launcher, "engine": segment_of("engine", events)}
