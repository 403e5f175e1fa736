"""The store: one folder with a person's recordings, their catalogue and the local certificate authority.

<root>/                       0700
  sessions/<id>.tape          a sealed session, 0600
  sessions/<id>.tape.d/       a session that is being written, or whose recorder was killed; one file a segment
  sessions/.<id>.tape*        what is being made or cleared away (journal.placing)
  catalogue.db                an index over sessions, always rebuildable from them
  catalogue.names             the names in sessions/ that it was last compared with
  ca/                         the local certificate authority
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from playhead.errors import SessionNotFound, SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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


class Store(NamedTuple):
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

    def file(self, session: str) -> Path:
        """Where a session is once it is sealed."""
        return self.sessions / f"{session}{SEALED}"

    def folder(self, session: str) -> Path:
        """Where a session is while it is being written."""
        return self.sessions / f"{session}{OPEN}"

    def seal(self, session: str, *, level: int = 0, wait: bool = False) -> Path:
        """Merge the segments of an ended session into its one file, then remove the folder. `level` is zstd's, 0 the
        best that takes no longer than a person waits. Two who seal the same one do not meet: the second finds it done
        (`wait`) or hears BlockingIOError. Raises OSError; FileNotFoundError for one that was deleted meanwhile."""
        from playhead.journal.held import locked
        from playhead.journal.placing import clear_away
        from playhead.journal.sealing import write_sealed  # here: a command that only lists opens no recording

        folder = self.folder(session)
        path = self.file(session)
        files = segments(folder)
        try:
            with locked(files, wait=wait):
                if not path.exists():  # else another has sealed it, or was killed between the two acts
                    if not files:
                        raise FileNotFoundError(folder)
                    parts = ((p.stem, p.read_bytes()) for p in files)
                    write_sealed(path, session, parts, level=level, wanted=folder.exists)
                clear_away(folder)
        except FileNotFoundError:  # another removed the folder, which is the last that it does
            if not path.exists():
                raise
        return path

    def take_in(self, session: str, write: Callable[[Path], None]) -> Path:
        """Make a session of segments that are there from the first: `write` puts them into a folder. It has its name
        once it is sealed, or is not there at all. Raises OSError; FileExistsError when the id was taken meanwhile."""
        from playhead.journal.placing import making
        from playhead.journal.sealing import write_sealed

        path, folder = self.file(session), self.folder(session)
        with making(folder) as hidden:
            write(hidden)
            parts = ((p.stem, p.read_bytes()) for p in segments(hidden))
            try:
                write_sealed(path, session, parts, wanted=lambda: not path.exists() and not folder.exists())
            except FileNotFoundError:
                if path.exists() or folder.exists():
                    raise FileExistsError(path) from None
                raise
        return path

    def recompress(self, session: str) -> bool:
        """Compress a sealed session as far as it goes, in place; whether that was done. Raises SessionNotFound,
        DamagedRecording or IncompatibleRecording."""
        from playhead.journal.contents import is_sealed, reading
        from playhead.journal.rewriting import recompress

        path = self.path(session)
        with reading(path):
            return is_sealed(path) and recompress(path)

    def listing(self) -> bytes:
        """The names in the folder of sessions, each behind a `/`, in the order in which the file system tells them."""
        names = os.listdir(os.fsencode(self.sessions))  # noqa: PTH208  no Path for each of 100,000
        return b"/" + b"/".join(names)

    def ids(self) -> set[str]:
        """Ids of all sessions in the store."""
        return ids_in(self.listing())

    def path(self, session: str) -> Path:
        """The file or folder of a session. Raises SessionNotFound."""
        for path in (self.file(session), self.folder(session)):
            if path.exists():
                return path
        raise SessionNotFound(
            f"There is no session {session}.", code="session-not-found", where=str(self.sessions), todo="playhead list"
        )

    def is_being_written(self, session: str) -> bool:
        """Whether a live process writes this session. Raises SessionNotFound."""
        from playhead.journal.held import is_being_written

        path = self.path(session)
        return path.is_dir() and any(map(is_being_written, segments(path)))

    def remove(self, session: str) -> None:
        """Delete every file of a session. Raises SessionNotFound; OSError when the system refuses."""
        from playhead.journal.placing import clear_away, names_held, remove_hidden

        self.path(session)
        with names_held(self.sessions):  # lest one who seals or compresses it brings it back
            self.file(session).unlink(missing_ok=True)
            clear_away(self.folder(session))
        for hidden in self.sessions.glob(f".{session}{SEALED}.*"):  # what was killed while it sealed or removed it
            remove_hidden(hidden)


def ids_in(listing: bytes) -> set[str]:
    """Ids of the sessions that a listing names."""
    found = re.findall(rb"/([0-9a-f]{16})\.tape(?:\.d)?(?=/|\Z)", listing)
    return set(b" ".join(found).decode().split())


def _unusable(root: Path, error: OSError) -> SetupError:
    return SetupError(
        "The store cannot be used.",
        code="store-unusable",
        where=str(error.filename or root),
        expected="a folder that this user may read and write, on a disk with room",
        seen=error.strerror or str(error),
        todo="fix its permissions, free some space, or name another store: --store DIR or PLAYHEAD_STORE=DIR",
    )


def segments(folder: Path) -> list[Path]:
    """Segment files in the order of their writers' start: the launcher's first, then by name."""
    return sorted(folder.glob(f"*{SEGMENT}"), key=lambda p: (p.stem != "launcher", p.name))
