"""The sealed form of a session: its segments in one file, compressed, with an index. Writer and reader live here.

    8 bytes "PLAYHEAD" | u32 FORMAT_VERSION | zstd frames | index (JSON, utf-8) |
    u64 index offset, u32 index length, u32 CRC-32 of the index, 8 bytes "DAEHYALP"

A frame holds whole records of one segment, about 1 MiB of them. The index lists, for each segment, its frames as
[offset, stored length, raw length, CRC-32 of the stored bytes]. All integers are little-endian.

FORMAT_VERSION history: 0 unstable, may be refused by any later version.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from playhead.errors import DamagedRecording, IncompatibleRecording
from playhead.journal.segment import FORMAT_VERSION, MAX_RECORD, Damage, SegmentContents, read_segment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAGIC = b"PLAYHEAD"
END_MAGIC = b"DAEHYALP"
FRAME_BYTES = 1 << 20
MAX_FRAME = FRAME_BYTES + MAX_RECORD + 8
MAX_TOTAL = 1 << 30  # bytes all frames may decode to, unless the file itself is large: see _unpacks_too_far
MAX_RATIO = 200
_VERSION = Struct("<I")
_TRAILER = Struct("<QII8s")
_LENGTH = Struct("<I")


class Frame(NamedTuple):
    """Where a frame lies in the file and what it must be."""

    offset: int
    stored: int
    raw: int
    crc: int


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A decoded sealed file: its segments in the order they were written, and the frames that were damaged."""

    session: str
    segments: list[SegmentContents]
    damage: list[Damage]


def write_sealed(path: Path, session: str, segments: Iterable[tuple[str, bytes]]) -> None:
    """Write the sealed form beside its final place, sync it and rename it there: it exists whole or not at all."""
    import zstandard

    compressor = zstandard.ZstdCompressor(level=3)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    index: dict[str, Any] = {"format": FORMAT_VERSION, "session": session, "segments": []}
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(MAGIC + _VERSION.pack(FORMAT_VERSION))
            for name, data in segments:
                frames = []
                for raw in _cut(data):
                    stored = compressor.compress(raw)
                    frames.append([file.tell(), len(stored), len(raw), crc32(stored)])
                    file.write(stored)
                index["segments"].append({"name": name, "frames": frames})
            encoded = json.dumps(index, separators=(",", ":")).encode()
            offset = file.tell()
            file.write(encoded + _TRAILER.pack(offset, len(encoded), crc32(encoded), END_MAGIC))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _cut(data: bytes) -> Iterable[bytes]:
    """The whole records of a segment in pieces of about FRAME_BYTES; a torn tail is left behind."""
    start = position = 0
    while position + _LENGTH.size <= len(data):
        end = position + 8 + _LENGTH.unpack_from(data, position)[0]
        if end > len(data):
            break
        position = end
        if position - start >= FRAME_BYTES:
            yield data[start:position]
            start = position
    if position > start:
        yield data[start:position]


def read_sealed(path: Path) -> SealedFile:
    """Decode a sealed file.

    Raises IncompatibleRecording for a file that is no recording or of another format version, DamagedRecording when
    it was cut short or its index is damaged. A damaged frame is named in `damage` and costs its own records only.
    """
    import zstandard

    data = path.read_bytes()
    index = _read_index(path, data)
    if _unpacks_too_far(index, len(data)):
        raise DamagedRecording(
            "This recording claims to unpack to more than a recording would.",
            code="index-damaged",
            where=str(path),
            expected=f"frames one behind the other, at most {MAX_TOTAL} bytes or {MAX_RATIO} times the file in all",
            seen=f"{sum(f.raw for _, frames in index for f in frames)} bytes from {len(data)}",
            todo="do not trust where it came from; nothing was unpacked",
        )
    decompressor = zstandard.ZstdDecompressor()
    segments: list[SegmentContents] = []
    damage: list[Damage] = []
    for name, frames in index:
        raw: list[bytes] = []
        for frame in frames:
            stored = data[frame.offset : frame.offset + frame.stored]
            problem = ""
            if len(stored) != frame.stored or crc32(stored) != frame.crc:
                problem = "frame checksum mismatch"
            elif not 0 < frame.raw <= MAX_FRAME:
                problem = f"frame claims {frame.raw} bytes"
            else:
                try:
                    # the frame's own header rules what is allocated, so it must say what the index says
                    if zstandard.frame_content_size(stored) != frame.raw:
                        problem = "frame is of another size than the index says"
                    else:
                        raw.append(decompressor.decompress(stored))
                except zstandard.ZstdError:
                    problem = "frame does not decompress"
            if problem:
                damage.append(Damage(name, frame.offset, problem))
        contents = read_segment(b"".join(raw), name)
        damage += contents.damage
        segments.append(contents)
    return SealedFile(str(path.stem), segments, damage)


def _unpacks_too_far(index: list[tuple[str, list[Frame]]], size: int) -> bool:
    """Whether the index is made to exhaust memory: by frames that are read twice, or that unpack beyond all measure."""
    reached = 0
    for frame in (frame for _, frames in index for frame in frames):
        if frame.offset < reached or frame.stored < 0:
            return True
        reached = frame.offset + frame.stored
    return sum(f.raw for _, frames in index for f in frames) > max(MAX_TOTAL, MAX_RATIO * size)


def _read_index(path: Path, data: bytes) -> list[tuple[str, list[Frame]]]:
    where = str(path)
    if not data.startswith(MAGIC):
        raise IncompatibleRecording(
            "This file is not a Playhead recording.",
            code="not-a-recording",
            where=where,
            expected=f"a file that begins with {MAGIC.decode()}",
            seen=repr(data[:8]) if data else "an empty file",
            todo="give a .tape file, or a session from `playhead list`",
        )
    version = _VERSION.unpack_from(data, len(MAGIC))[0] if len(data) >= len(MAGIC) + _VERSION.size else FORMAT_VERSION
    if version != FORMAT_VERSION:
        raise other_format(where, version)
    if len(data) < len(MAGIC) + _VERSION.size + _TRAILER.size:
        raise _cut_short(where, f"{len(data)} bytes")
    offset, length, crc, end = _TRAILER.unpack_from(data, len(data) - _TRAILER.size)
    encoded = data[offset : offset + length]
    if end != END_MAGIC:
        raise _cut_short(where, f"{len(data)} bytes, no end mark")
    if crc32(encoded) != crc:
        raise DamagedRecording(
            "The index of this recording is damaged.",
            code="index-damaged",
            where=where,
            expected=f"CRC {crc:08x}",
            seen=f"CRC {crc32(encoded):08x}",
            todo="restore the file from a copy; nothing was changed",
        )
    try:
        index = json.loads(encoded)
        return [(str(s["name"]), [Frame(*map(int, f)) for f in s["frames"]]) for s in index["segments"]]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise DamagedRecording(
            "The index of this recording cannot be read.",
            code="index-damaged",
            where=where,
            todo="restore the file from a copy; nothing was changed",
        ) from None


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


def _cut_short(where: str, seen: str) -> DamagedRecording:
    return DamagedRecording(
        "This recording was cut short.",
        code="recording-truncated",
        where=where,
        expected="an index and an end mark at its end",
        seen=seen,
        todo="copy it again from where it came; nothing was changed",
    )
