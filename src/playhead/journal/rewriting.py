"""Sealed files made of sealed files: compressed harder in place, and cut off before an exchange for a fork."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from playhead.core.events import Event, EventKind
from playhead.errors import DamagedRecording
from playhead.journal.blocks import OF_EXCHANGES
from playhead.journal.bodies import Encoder
from playhead.journal.frames import FrameFile, FrameWriter, Kind
from playhead.journal.placing import beside
from playhead.journal.records import SegmentContents
from playhead.journal.sealed import Sealed
from playhead.journal.sealing import HIGHEST, Stored, verify_sealed, write_segments

if TYPE_CHECKING:
    from pathlib import Path


def recompress(path: Path, level: int = HIGHEST) -> bool:
    """Compress a sealed file to a zstd level: written beside it, compared, synced, renamed. Returns whether that was
    done; a file at that level or damaged stays as it is, and one deleted meanwhile stays deleted (FileNotFoundError).
    Raises as `FrameFile` does, OSError."""
    source = FrameFile(path)
    try:
        frames = sorted((f for each in source.frames.values() for f in each), key=lambda f: f.offset)
        if not frames or min(f.level for f in frames) >= level:
            return False
        source.check()
        if source.faults:
            return False
        with beside(path, wanted=source.is_there) as temporary:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                writer = FrameWriter(file, source.mark, lambda _: level)
                for frame in frames:
                    writer.again(frame, source.decode(frame) or b"", source.pread(frame.offset, frame.stored))
            _compare(source, temporary)
        return True
    finally:
        source.close()


def _compare(source: FrameFile, path: Path) -> None:
    made = FrameFile(path)
    try:
        for kind in Kind:
            same = [(f.start, f.raw) for f in source.frames[kind]] == [(f.start, f.raw) for f in made.frames[kind]]
            pairs = zip(source.frames[kind], made.frames[kind], strict=False)
            if not same or made.faults or any(source.decode(a) != made.decode(b) for a, b in pairs):
                raise DamagedRecording(
                    "The recompressed file does not read back as the one it was made of.",
                    code="seal-unverified",
                    where=str(path),
                    todo="the recording stays as it is; the disk may be failing",
                )
    finally:
        made.close()


def copy_prefix(source: Path, cut: int, target: Path, session: str) -> None:
    """Write what a session was before its exchange `cut` to a new sealed file for `session`: the exchanges before it,
    answers that came later among them, and of everything else what was written before the cut was asked. Frames that
    lie before the cut as a whole are copied as they are stored, the others made anew: nothing after it travels along.

    Raises as `Sealed` does; DamagedRecording when the source is damaged; OSError."""
    sealed = Sealed(source)
    try:
        damage = sealed.damage()
        if damage:
            raise DamagedRecording(
                "A damaged recording cannot be forked.",
                code="recording-damaged",
                where=str(source),
                seen="; ".join(d.problem for d in damage[:3]),
                todo="restore the file from a copy",
            )
        found = sealed.placed()
        opened = [p.event for rows in found.values() for p in rows if p.event.kind is EventKind.OPEN]
        end_ns = min((e.t_ns for e in opened if e.subject >= cut), default=None)
        segments = []
        for number, facts in enumerate(sealed.segments):
            events = [(p.event, p.meta) for p in found.get(number, [])]
            kept = _before(events, cut, end_ns)
            if _leans_on_later(sealed, number, cut):
                kept = _encoded_anew(sealed, number, kept)
            contents = SegmentContents(facts.name, [event for event, _ in kept], 0, 0, list(facts.damage))
            segments.append(Stored(contents, [meta for _, meta in kept]))
        with beside(target) as temporary:
            blocks = write_segments(temporary, session, segments, known=_Known(sealed.file))
            verify_sealed(temporary, segments, blocks)
    finally:
        sealed.close()


def _before(events: list[tuple[Event, bytes]], cut: int, end_ns: int | None) -> list[tuple[Event, bytes]]:
    return [
        (event, meta)
        for event, meta in events
        if (event.subject < cut if event.kind in OF_EXCHANGES else end_ns is None or event.t_ns < end_ns)
    ]


def _leans_on_later(sealed: Sealed, segment: int, cut: int) -> bool:
    """Whether a body before the cut is made of one behind it: of two that are under way together the later one's may
    have been encoded first."""
    requests = sealed.requests(segment)
    behind = [(r.start, r.start + r.length) for r in requests.values() if r.number >= cut]
    if not behind:
        return False
    bodies = sealed.bodies(segment)
    for request in requests.values():
        if request.number < cut:
            try:
                if bodies.form(request.number).base >= cut:
                    return True
                spans = bodies.spans(request.number)
            except ValueError:
                return True
            if any(start < last and first < start + length for start, length in spans for first, last in behind):
                return True
    return False


def _encoded_anew(sealed: Sealed, segment: int, events: list[tuple[Event, bytes]]) -> list[tuple[Event, bytes]]:
    bodies, encoder = sealed.bodies(segment), Encoder()
    out = []
    for event, meta in events:
        head = event.meta.get("head")
        made = event
        if event.kind is EventKind.REQUEST and type(head) is int and 0 <= head < len(event.body):
            try:
                body = bodies.get(event.subject)
            except ValueError:
                continue  # it could not be read before either
            made = event.replaced(body=event.body[:head] + encoder.encode(event.subject, body))
        out.append((made, meta))
    return out


class _Known:
    """Frames of a file by what they hold."""

    def __init__(self, file: FrameFile) -> None:
        self._file = file
        self._frames = {(f.kind, f.start, f.raw): f for frames in file.frames.values() for f in frames}

    def __call__(self, kind: Kind, start: int, raw: bytes) -> tuple[bytes, int] | None:
        """The stored bytes of the frame that holds just these, and their level."""
        frame = self._frames.get((kind, start, len(raw)))
        if frame is None or self._file.decode(frame) != raw:
            return None
        return self._file.pread(frame.offset, frame.stored), frame.level
