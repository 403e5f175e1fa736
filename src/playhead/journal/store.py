"""The store: one folder with a person's recordings, their catalogue and the local certificate authority.

<root>/                       0700
  sessions/<id>.tape          a sealed session, 0600
  sessions/<id>.tape.d/       a session that is being written, or whose recorder was killed; one file a segment
  catalogue.db                an index over sessions, always rebuildable from them
  ca/                         the local certificate authority
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from playhead.core.events import EventKind
from playhead.core.ids import is_session_id
from playhead.errors import DamagedRecording, IncompatibleRecording, SessionNotFound, SetupError
from playhead.journal.segment import FORMAT_VERSION, Damage, SegmentContents, is_being_written, locked, read_segment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SEALED = ".tape"
OPEN = ".tape.d"
SEGMENT = ".seg"


def default_root(environ: Mapping[str, str]) -> Path:
    """`$PLAYHEAD_STORE`, else `~/.playhead`. Raises SetupError when neither is known."""
    named = environ.get("PLAYHEAD_STORE")
    try:
        return Path(named).expanduser() if named else Path(environ.get("HOME") or "~").expanduser() / ".playhead"
    except RuntimeError:  # a user whom the system does not know, as in some containers
        raise SetupError(
            "There is no home directory to keep recordings in.",
            code="no-home",
            expected="$PLAYHEAD_STORE or $HOME",
            seen=f"{named!r}" if named else "neither is set, and the system knows no home of this user",
            todo="name a store: --store DIR or PLAYHEAD_STORE=DIR",
        ) from None


class Contents(NamedTuple):
    """Everything decoded of one recording, sealed or not."""

    segments: list[SegmentContents]
    damage: list[Damage]
    being_written: bool
    sealed: bool


@dataclass(frozen=True, slots=True)
class Store:
    """A store folder. Opening it creates what is missing; raises SetupError when it may not be used."""

    root: Path

    @classmethod
    def open(cls, root: Path) -> Store:
        try:
            for folder in (root, root / "sessions"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not os.access(folder, os.W_OK | os.X_OK | os.R_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        except OSError as error:
            raise _unusable(root, error) from None
        return cls(root)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turns what the system refuses inside the block into the SetupError that says the store cannot be used."""
        try:
            yield
        except OSError as error:
            raise _unusable(self.root, error) from None

    @property
    def sessions(self) -> Path:
        return self.root / "sessions"

    @property
    def authority(self) -> Path:
        """Where the local certificate authority lives."""
        return self.root / "ca"

    def begin(self, session: str) -> Path:
        """The folder of a new session. Raises SetupError when it cannot be made."""
        folder = self.folder(session)
        with self.writing():
            folder.mkdir(mode=0o700)
        return folder

    def folder(self, session: str) -> Path:
        """Where a session is while it is being written."""
        return self.sessions / f"{session}{OPEN}"

    def seal(self, session: str, *, level: int = 0, wait: bool = False) -> Path:
        """Merge the segments of an ended session into its one file, then remove the folder. `level` is zstd's, 0 the
        best that takes no longer than a person waits. Two who seal the same one do not meet: the second finds it done
        (`wait`) or hears BlockingIOError. Raises OSError."""
        from playhead.journal.sealing import write_sealed  # here: a command that only lists opens no recording

        folder = self.sessions / f"{session}{OPEN}"
        path = self.sessions / f"{session}{SEALED}"
        segments = _segments(folder)
        try:
            with locked(segments, wait=wait):
                if not path.exists():  # else another has sealed it, or was killed between the two acts
                    write_sealed(path, session, ((p.stem, p.read_bytes()) for p in segments), level=level)
                if folder.exists():
                    shutil.rmtree(folder)
        except FileNotFoundError:  # another removed the folder, which is the last that it does
            if not path.exists():
                raise
        return path

    def recompress(self, session: str) -> bool:
        """Compress a sealed session as far as it goes, in place; whether that was done. Raises SessionNotFound,
        DamagedRecording or IncompatibleRecording."""
        from playhead.journal.rewriting import recompress

        path = self.path(session)
        with reading(path):
            return is_sealed(path) and recompress(path)

    def ids(self) -> Iterator[str]:
        """Ids of all sessions in the store, in no order."""
        seen = set()
        for entry in os.scandir(self.sessions):
            name = entry.name.split(".", 1)[0]
            if is_session_id(name) and name not in seen and entry.name in (name + SEALED, name + OPEN):
                seen.add(name)
                yield name

    def path(self, session: str) -> Path:
        """The file or folder of a session. Raises SessionNotFound."""
        for suffix in (SEALED, OPEN):
            path = self.sessions / f"{session}{suffix}"
            if path.exists():
                return path
        raise SessionNotFound(
            f"There is no session {session}.", code="session-not-found", where=str(self.sessions), todo="playhead list"
        )

    def is_being_written(self, session: str) -> bool:
        """Whether a live process writes this session. Raises SessionNotFound."""
        path = self.path(session)
        return path.is_dir() and any(map(is_being_written, _segments(path)))

    def remove(self, session: str) -> None:
        """Delete every file of a session. Raises SessionNotFound; OSError when the system refuses."""
        self.path(session)
        (self.sessions / f"{session}{SEALED}").unlink(missing_ok=True)
        for half_sealed in self.sessions.glob(f".{session}{SEALED}.*"):  # a sealing that was killed leaves one
            half_sealed.unlink(missing_ok=True)
        folder = self.sessions / f"{session}{OPEN}"
        if folder.exists():
            shutil.rmtree(folder)


def _unusable(root: Path, error: OSError) -> SetupError:
    return SetupError(
        "The store cannot be used.",
        code="store-unusable",
        where=str(error.filename or root),
        expected="a folder that this user may read and write, on a disk with room",
        seen=error.strerror or str(error),
        todo="fix its permissions, free some space, or name another store: --store DIR or PLAYHEAD_STORE=DIR",
    )


def _segments(folder: Path) -> list[Path]:
    """Segment files in the order of their writers' start: the launcher's first, then by name."""
    return sorted(folder.glob(f"*{SEGMENT}"), key=lambda p: (p.stem != "launcher", p.name))


def _check_format(path: Path, segments: list[SegmentContents]) -> None:
    for segment in segments:
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
    files = _segments(path)
    if not files:
        raise IncompatibleRecording(
            "This folder holds no recording.",
            code="not-a-recording",
            where=str(path),
            expected="segment files (*.seg)",
            seen="none",
            todo="give a .tape file, or a session from `playhead list`",
        )
    segments = [read_segment(p.read_bytes(), p.stem) for p in files]
    _check_format(path, segments)
    damage = [d for s in segments for d in s.damage]
    return Contents(segments, damage, any(is_being_written(p) for p in files), sealed=False)


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
