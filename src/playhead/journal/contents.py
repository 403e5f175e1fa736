"""Everything that one recording holds, decoded from its sealed file or its open folder."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from playhead.core.events import EventKind
from playhead.errors import DamagedRecording, IncompatibleRecording, SessionNotFound
from playhead.journal.held import is_being_written
from playhead.journal.records import Damage, SegmentContents, read_segment
from playhead.journal.segment import FORMAT_VERSION
from playhead.journal.store import segments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Contents(NamedTuple):
    """Everything decoded of one recording, sealed or not."""

    segments: list[SegmentContents]
    damage: list[Damage]
    being_written: bool
    sealed: bool


def _check_format(path: Path, found: list[SegmentContents]) -> None:
    for segment in found:
        first = segment.events[0] if segment.events else None
        if first is not None and first.kind is EventKind.SEGMENT and first.meta.get("format") != FORMAT_VERSION:
            from playhead.journal.frames import other_format

            raise other_format(str(path), first.meta.get("format"))


def is_sealed(path: Path) -> bool:
    """Whether a recording is one file. Raises IncompatibleRecording for what is neither a file nor a folder."""
    if path.is_dir():
        return False
    if path.exists() and not path.is_file():  # a pipe or a device might never end
        raise IncompatibleRecording(
            "This is no recording, and not even a file.",
            code="not-a-recording",
            where=str(path),
            todo="give a .tape file, or a session from `playhead list`",
        )
    return True


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what the system refuses inside the block into SessionNotFound or the DamagedRecording that says so."""
    try:
        yield
    except FileNotFoundError:
        raise SessionNotFound(
            "There is no recording here.", code="session-not-found", where=str(path), todo="playhead list"
        ) from None
    except OSError as error:
        raise DamagedRecording(
            "This recording cannot be read.",
            code="recording-unreadable",
            where=str(path),
            seen=error.strerror or str(error),
            todo="check the file's permissions and the disk",
        ) from None


def read_open(path: Path) -> Contents:
    """Decode a recording from its open folder. Raises as `read_contents`, and OSError."""
    files = segments(path)
    if not files:
        raise IncompatibleRecording(
            "This folder holds no recording.",
            code="not-a-recording",
            where=str(path),
            expected="segment files (*.seg)",
            seen="none",
            todo="give a .tape file, or a session from `playhead list`",
        )
    found = [read_segment(p.read_bytes(), p.stem) for p in files]
    _check_format(path, found)
    damage = [d for s in found for d in s.damage]
    return Contents(found, damage, any(is_being_written(p) for p in files), sealed=False)


def read_contents(path: Path) -> Contents:
    """Decode a recording, all of it, from its sealed file or its open folder.

    Raises SessionNotFound, IncompatibleRecording or DamagedRecording; damage that costs only some records is listed.
    """
    with reading(path):
        if not is_sealed(path):
            return read_open(path)
        from playhead.journal.sealed import read_sealed

        sealed = read_sealed(path)
        return Contents(sealed.segments, sealed.damage, being_written=False, sealed=True)
