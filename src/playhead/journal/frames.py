"""Frames: how a sealed file is laid out, so that any whole part of it can be read whatever became of the rest.

    8 bytes "PLAYHEAD" | u32 FORMAT_VERSION | 8 bytes mark | u32 CRC-32 of these 20 bytes | frames

A frame is a header and its stored bytes. The header, 36 bytes:

    8 bytes mark | u8 kind | u8 coding (1 = zstd) | u16 zstd level | u32 stored length | u32 raw length |
    u64 start | u32 CRC-32 of the stored bytes | u32 CRC-32 of these 32 bytes

The raw bytes of all frames of one kind form one stream, in which this frame begins at `start`. The mark is drawn for
each session: headers of this file are found behind damage by it, and those of another recording that lies inside a
recorded body are not. The last frame is the only one of kind INDEX; a file without it was cut short. All integers are
little-endian.
"""

from __future__ import annotations

import os
import weakref
from bisect import bisect_right
from collections import OrderedDict
from enum import IntEnum
from hashlib import sha256
from itertools import accumulate
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from playhead.errors import DamagedRecording, IncompatibleRecording
from playhead.journal.segment import FORMAT_VERSION, MAX_RECORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import IO

MAGIC = b"PLAYHEAD"
FRAME_BYTES = 1 << 20
ASKED_BYTES = 4 << 20
"""Of a frame of requests: files read again and quoted lie that far apart, and a late body needs all frames anyway."""
MAX_FRAME = 2 * FRAME_BYTES + 2 * MAX_RECORD
MAX_TOTAL = 1 << 30  # bytes all frames may decode to, unless the file itself is large
MAX_RATIO = 200
_PREAMBLE = Struct("<8sI8s")
_SUM = Struct("<I")
_HEADER = Struct("<8sBBHIIQI")
PREAMBLE = _PREAMBLE.size + _SUM.size
HEADER = _HEADER.size + _SUM.size
_ZSTD = 1
_WINDOW = 1 << 20
_KEPT = 16 << 20  # decoded bytes that stay in memory
_AHEAD = 64 << 10  # a frame of which only the beginning is needed is decoded so much farther: what is next lies there


class Kind(IntEnum):
    """What a frame holds; numbers on disk."""

    ASKED = 1  # request bodies, what none before them said
    ANSWERED = 2  # answers, each joined
    RECORDS = 3  # everything else of the events
    EXTENTS = 4  # where whole request bodies lie among what was asked; derived from the records
    INDEX = 5  # totals and the directory of exchanges; derived from the records


NAMES = {
    Kind.ASKED: "requests",
    Kind.ANSWERED: "answers",
    Kind.RECORDS: "records",
    Kind.EXTENTS: "extents",
    Kind.INDEX: "the index",
}


class Frame(NamedTuple):
    """One frame: its kind, where its stored bytes lie in the file and what they must be, where its raw bytes belong."""

    kind: Kind
    offset: int
    stored: int
    raw: int
    start: int
    crc: int
    level: int = 0

    @property
    def end(self) -> int:
        """Where its raw bytes end in the stream of its kind."""
        return self.start + self.raw


class Fault(NamedTuple):
    """Bytes of the file that are not what was written, and what of which stream is lost with them, if that is known."""

    offset: int
    problem: str
    kind: Kind | None = None
    start: int = 0
    end: int = 0


def mark_of(session: str) -> bytes:
    """The mark of a session's sealed file."""
    return sha256(b"playhead frame\0" + session.encode()).digest()[:8]


def preamble(mark: bytes) -> bytes:
    """The first bytes of a sealed file."""
    start = _PREAMBLE.pack(MAGIC, FORMAT_VERSION, mark)
    return start + _SUM.pack(crc32(start))


def header(mark: bytes, frame: Frame) -> bytes:
    """The header of a frame."""
    start = _HEADER.pack(mark, frame.kind, _ZSTD, frame.level, frame.stored, frame.raw, frame.start, frame.crc)
    return start + _SUM.pack(crc32(start))


def parse_header(data: bytes, offset: int, mark: bytes = b"") -> Frame | None:
    """The frame whose header is `data`, read at `offset` of the file; None when it is none (of this mark)."""
    if len(data) < HEADER or _SUM.unpack_from(data, _HEADER.size)[0] != crc32(data[: _HEADER.size]):
        return None
    own, kind, coding, level, stored, raw, start, crc = _HEADER.unpack_from(data)
    if (mark and own != mark) or coding != _ZSTD or kind not in _KINDS:
        return None
    if not 0 < raw <= MAX_FRAME or start + raw >= 1 << 62 or stored > MAX_FRAME:
        return None
    return Frame(_KINDS[kind], offset + HEADER, stored, raw, start, crc, level)


_KINDS = {int(kind): kind for kind in Kind}


def _frame_bytes(kind: Kind) -> int:
    return ASKED_BYTES if kind is Kind.ASKED else FRAME_BYTES


class FrameWriter:
    """Writes streams of several kinds as frames of about FRAME_BYTES (ASKED_BYTES) into one file, each as soon as it is
    full.

    `level_of(kind)` is the zstd level of the next frame. `known` gives the stored bytes, and their level, of a frame
    that starts there and holds just these bytes, where another file has it."""

    def __init__(
        self,
        file: IO[bytes],
        mark: bytes,
        level_of: Callable[[Kind], int],
        known: Callable[[Kind, int, bytes], tuple[bytes, int] | None] | None = None,
    ) -> None:
        self._file = file
        self._known = known
        self._mark = mark
        self._level_of = level_of
        self._pending: dict[Kind, list[bytes]] = {}
        self._size: dict[Kind, int] = {}
        self.position: dict[Kind, int] = dict.fromkeys(Kind, 0)  # where the next byte of a stream will stand
        file.write(preamble(mark))

    def stream(self, kind: Kind, data: bytes) -> None:
        """Add bytes to a stream; they may come to lie in several frames."""
        room = _frame_bytes(kind) - self._size.get(kind, 0)
        while len(data) >= room:
            self.piece(kind, data[:room])
            data = data[room:]
            room = _frame_bytes(kind)
        if data:
            self.piece(kind, data)

    def piece(self, kind: Kind, data: bytes) -> None:
        """Add bytes to a stream that are to lie in one frame."""
        self._pending.setdefault(kind, []).append(data)
        size = self._size[kind] = self._size.get(kind, 0) + len(data)
        self.position[kind] += len(data)
        if size >= _frame_bytes(kind):
            self.flush(kind)

    def flush(self, kind: Kind) -> None:
        """End the frame of a stream that is under way."""
        pending = self._pending.pop(kind, None)
        if not pending:
            return
        raw = b"".join(pending)
        self._size[kind] = 0
        start = self.position[kind] - len(raw)
        known = self._known(kind, start, raw) if self._known is not None else None
        if known is None:
            import zstandard

            level = self._level_of(kind)
            known = zstandard.ZstdCompressor(level=level).compress(raw), level
        self._put(kind, start, len(raw), *known)

    def again(self, frame: Frame, raw: bytes, stored: bytes) -> None:
        """Write a frame of another file of the same mark, compressed anew when that makes it smaller."""
        import zstandard

        level = self._level_of(frame.kind)
        again = zstandard.ZstdCompressor(level=level).compress(raw)
        self._put(frame.kind, frame.start, frame.raw, min(again, stored, key=len), level)

    def _put(self, kind: Kind, start: int, raw: int, stored: bytes, level: int) -> None:
        frame = Frame(kind, 0, len(stored), raw, start, crc32(stored), level)
        self._file.write(header(self._mark, frame))
        self._file.write(stored)


class FrameFile:
    """The frames of one sealed file, read on demand. A few decoded ones are kept. Opening reads the headers alone.

    Raises IncompatibleRecording for a file that is no recording or of another format version, DamagedRecording when
    nothing of it can be read or when it claims to unpack to more than a recording would; OSError. What is wrong with
    the rest is in `faults`, in the order of the file; bytes lost in a stream are named there as soon as they are known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: list[Fault] = []
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._close = weakref.finalize(self, os.close, self._fd)
        self.size = os.fstat(self._fd).st_size
        self.frames: dict[Kind, list[Frame]] = {kind: [] for kind in Kind}
        self._starts: dict[Kind, list[int]] = {}
        self._decoded: OrderedDict[int, bytes] = OrderedDict()
        self._held = 0
        self._bad: set[int] = set()
        self.all_wanted = False  # so that no frame is decoded in two goes
        self.mark = self._begin()
        self._scan()
        self._refuse_excess()
        self._starts = {kind: [f.start for f in frames] for kind, frames in self.frames.items()}

    @property
    def descriptor(self) -> int | None:
        """The open file, which a forked process that reads on must keep; None once it is closed: the number may then be
        that of something else."""
        return self._fd if self._close.alive else None

    def is_there(self) -> bool:
        """Whether the open file still stands under its name: it may have been deleted, or another have taken its place."""
        try:
            return os.path.samestat(os.fstat(self._fd), self.path.stat())
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Let go of the file; what was decoded stays."""
        self._close()

    def pread(self, offset: int, length: int) -> bytes:
        """Bytes of the file as they are stored."""
        return os.pread(self._fd, length, offset)

    # -- layout

    def _begin(self) -> bytes:
        """The file's mark, from its preamble or, when that is damaged, from the frame behind it."""
        start = self.pread(0, PREAMBLE + HEADER)
        sound = len(start) >= PREAMBLE and _SUM.unpack_from(start, _PREAMBLE.size)[0] == crc32(start[: _PREAMBLE.size])
        if sound and start.startswith(MAGIC):
            _, version, mark = _PREAMBLE.unpack_from(start)
            if version != FORMAT_VERSION:
                raise other_format(str(self.path), version)
            return bytes(mark)
        if parse_header(start[PREAMBLE:], PREAMBLE) is not None:
            self.faults.append(Fault(0, "the first bytes of the file are not what was written"))
            return start[PREAMBLE : PREAMBLE + 8]
        if not start.startswith(MAGIC):
            raise IncompatibleRecording(
                "This file is not a Playhead recording.",
                code="not-a-recording",
                where=str(self.path),
                expected=f"a file that begins with {MAGIC.decode()}",
                seen=repr(start[:8]) if start else "an empty file",
                todo="give a .tape file, or a session from `playhead list`",
            )
        version = _SUM.unpack_from(start, len(MAGIC))[0] if len(start) >= len(MAGIC) + _SUM.size else FORMAT_VERSION
        if version != FORMAT_VERSION:
            raise other_format(str(self.path), version)
        raise cut_short(self.path, f"{self.size} bytes")

    def _scan(self) -> None:
        """Walk from header to header; behind a damaged one look for the mark."""
        position = PREAMBLE
        reached = dict.fromkeys(Kind, 0)
        while position < self.size:
            frame = parse_header(self.pread(position, HEADER), position, self.mark)
            if frame is None:
                further = self._next_header(position + 1)
                rest = f"{(further or self.size) - position} bytes"
                self.faults.append(Fault(position, f"{rest} that belong to no whole frame"))
                if further is None:
                    return
                position = further
                continue
            end = frame.offset + frame.stored
            if end > self.size:
                problem = f"the file ends in the middle of a frame of {NAMES[frame.kind]}"
                self.faults.append(Fault(position, problem, frame.kind, frame.start, frame.end))
            elif frame.start < reached[frame.kind]:
                self.faults.append(Fault(position, f"a frame of {NAMES[frame.kind]} that is there twice"))
            else:
                self.frames[frame.kind].append(frame)
                reached[frame.kind] = frame.end
            position = end

    def _next_header(self, position: int) -> int | None:
        """Where the next header stands, at `position` or behind."""
        while position < self.size:
            window = self.pread(position, _WINDOW + HEADER)
            at = window.find(self.mark)
            while 0 <= at < _WINDOW:
                if parse_header(window[at : at + HEADER], position + at, self.mark) is not None:
                    return position + at
                at = window.find(self.mark, at + 1)
            position += _WINDOW
        return None

    def _refuse_excess(self) -> None:
        total = sum(frame.raw for frames in self.frames.values() for frame in frames)
        if total > max(MAX_TOTAL, MAX_RATIO * self.size):
            raise DamagedRecording(
                "This recording claims to unpack to more than a recording would.",
                code="recording-excessive",
                where=str(self.path),
                expected=f"at most {MAX_TOTAL} bytes or {MAX_RATIO} times the file",
                seen=f"{total} bytes from {self.size}",
                todo="do not trust where it came from; nothing was unpacked",
            )

    # -- contents

    def length(self, kind: Kind) -> int:
        """Where a stream ends as far as it is there."""
        frames = self.frames[kind]
        return frames[-1].end if frames else 0

    def decode(self, frame: Frame, end: int = 1 << 62) -> bytes | None:
        """The raw bytes of a frame, of which those from `end` of its stream on may be missing; None when they are lost,
        which is named in `faults`. A frame is decoded in two goes at most: what nobody asked for yet, and then all."""
        needed = min(end - frame.start, frame.raw)
        kept = self._decoded.get(frame.offset)
        if kept is not None and len(kept) >= needed:
            self._decoded.move_to_end(frame.offset)
            return kept
        if frame.offset in self._bad:
            return None
        import zstandard

        raw = b""
        stored = self.pread(frame.offset, frame.stored)
        problem = ""
        if len(stored) != frame.stored or crc32(stored) != frame.crc:
            problem = "checksum mismatch"
        else:
            try:
                # the frame's own header rules what is allocated, so it must say what ours says
                if zstandard.frame_content_size(stored) != frame.raw:
                    problem = "of another size than announced"
                elif kept is None and not self.all_wanted and needed + _AHEAD < frame.raw * 7 // 8:
                    with zstandard.ZstdDecompressor().stream_reader(stored) as reader:
                        raw = reader.read(needed + _AHEAD)
                    if len(raw) < needed:
                        problem = "of another size than announced"
                else:
                    raw = zstandard.ZstdDecompressor().decompress(stored)
            except zstandard.ZstdError:
                problem = "does not decompress"
        if problem:
            self._lose(frame, problem)
            return None
        self._decoded[frame.offset] = raw
        self._held += len(raw) - len(kept or b"")
        while self._held > _KEPT and len(self._decoded) > 1:
            self._held -= len(self._decoded.popitem(last=False)[1])
        return raw

    def read(self, kind: Kind, start: int, length: int) -> bytes:
        """Bytes of a stream. Raises ValueError when any of them is lost."""
        if not length:
            return b""
        frames = self.frames[kind]
        at = bisect_right(self._starts[kind], start) - 1
        pieces = []
        end = start + length
        while start < end:
            frame = frames[at] if 0 <= at < len(frames) else None
            if frame is None or not frame.start <= start < frame.end:
                raise ValueError(f"bytes of {NAMES[kind]} that are lost")
            raw = self.decode(frame, end)
            if raw is None:
                raise ValueError(f"bytes of {NAMES[kind]} that are lost")
            piece = raw[start - frame.start : end - frame.start]
            pieces.append(piece)
            start += len(piece)
            at += 1
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_spans(self, kind: Kind, spans: Sequence[tuple[int, int]]) -> bytes:
        """The bytes of (start, length) of a stream, one behind the other, where no frame is decoded twice. Raises
        ValueError when any of them is lost."""
        if self.length(kind) > _KEPT and len(spans) > 1:
            whole = bytearray(sum(length for _, length in spans))
            places = accumulate((length for _, length in spans), initial=0)
            for (start, length), place in sorted(zip(spans, places, strict=False)):
                whole[place : place + length] = self.read(kind, start, length)
            return bytes(whole)
        if len(spans) == 1:
            return self.read(kind, *spans[0])
        pieces: list[memoryview | bytes] = []
        views: dict[int, tuple[int, int, memoryview]] = {}  # start, end and bytes of a frame
        first = end = 0
        view = memoryview(b"")
        reach = sum(max(spans, default=(0, 0)))  # no frame is needed behind the last span
        for start, length in spans:
            if not first <= start <= start + length <= end:
                at = bisect_right(self._starts[kind], start) - 1
                found = views.get(at) or self._view(kind, at, reach)
                if found is None or start + length > found[1]:
                    pieces.append(self.read(kind, start, length))
                    continue
                first, end, view = views[at] = found
            pieces.append(view[start - first : start - first + length])
        return b"".join(pieces)

    def _view(self, kind: Kind, at: int, reach: int) -> tuple[int, int, memoryview] | None:
        frame = self.frames[kind][at] if at >= 0 else None
        raw = self.decode(frame, reach) if frame is not None else None
        return None if frame is None or raw is None else (frame.start, frame.start + len(raw), memoryview(raw))

    def rest(self, kind: Kind, start: int) -> bytes:
        """Bytes of a stream up to the end of the frame they begin in. Raises ValueError when they are lost."""
        at = bisect_right(self._starts[kind], start) - 1
        frame = self.frames[kind][at] if at >= 0 else None
        raw = self.decode(frame) if frame is not None and start < frame.end else None
        if frame is None or raw is None:
            raise ValueError(f"bytes of {NAMES[kind]} that are lost")
        return raw[start - frame.start :]

    def holds(self, kind: Kind, start: int, length: int) -> bool:
        """Whether all those bytes of a stream are in frames that are there; they may yet turn out to be damaged."""
        end = start + length
        frames = self.frames[kind]
        at = bisect_right(self._starts[kind], start) - 1
        while start < end:
            if not 0 <= at < len(frames) or not frames[at].start <= start < frames[at].end:
                return False
            if frames[at].offset in self._bad:
                return False
            start = frames[at].end
            at += 1
        return True

    def check(self) -> None:
        """Sum up the stored bytes of every frame that was not decoded yet, so that `faults` names what is damaged."""
        for frames in self.frames.values():
            for frame in frames:
                if frame.offset in self._decoded or frame.offset in self._bad:
                    continue
                stored = self.pread(frame.offset, frame.stored)
                if len(stored) != frame.stored or crc32(stored) != frame.crc:
                    self._lose(frame, "checksum mismatch")

    def _lose(self, frame: Frame, problem: str) -> None:
        self._bad.add(frame.offset)
        text = f"a frame of {NAMES[frame.kind]}: {problem}"
        self.faults.append(Fault(frame.offset - HEADER, text, frame.kind, frame.start, frame.end))

    def gaps(self, kind: Kind, total: int) -> Iterator[tuple[int, int]]:
        """The parts of a stream of `total` bytes that no frame holds."""
        reached = 0
        for frame in self.frames[kind]:
            if frame.start > reached:
                yield reached, frame.start
            reached = frame.end
        if reached < total:
            yield reached, total


def other_format(where: str, seen: object) -> IncompatibleRecording:
    """The error for a recording of another format version."""
    newer = isinstance(seen, int) and seen > FORMAT_VERSION
    return IncompatibleRecording(
        "This recording was written in a format that this Playhead does not read.",
        code="format-version",
        where=where,
        expected=f"format {FORMAT_VERSION}",
        seen=f"format {seen}"[:100],
        todo="a newer Playhead wrote it: pip install -U playhead"
        if newer
        else "read it with the Playhead that wrote it",
    )


def cut_short(path: Path, seen: str) -> DamagedRecording:
    """The error for a sealed file of which nothing whole is left."""
    return DamagedRecording(
        "This recording was cut short.",
        code="recording-truncated",
        where=str(path),
        expected="whole frames",
        seen=seen,
        todo="copy it again from where it came; nothing was changed",
    )
