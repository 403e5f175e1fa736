"""Keeps the catalogue true to the session files: what a file says, the catalogue says."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

from playhead.errors import InternalError, PlayheadError, SetupError
from playhead.journal.catalogue import Catalogue, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playhead.journal.store import Store
    from playhead.sessions.session import Session


@contextlib.contextmanager
def catalogue(store: Store) -> Iterator[Catalogue]:
    """The store's catalogue, brought up to date with the files: new ones read, vanished ones dropped, and sessions
    that were being written looked at again. A damaged one is made again from the files; where none can be written
    (a full disk, no permission) one is made in memory. Raises SetupError when damage shows only later."""
    with _opened(store) as index:
        try:
            yield index
        except sqlite3.OperationalError as error:
            raise SetupError(
                "The catalogue of the store cannot be written.",
                code="store-unusable",
                where=str(index.path),
                seen=str(error),
                todo="free some space or fix the permissions, or name another store: --store DIR",
            ) from None
        except sqlite3.DatabaseError as error:
            index.discard()
            raise SetupError(
                "The catalogue of the store is damaged.",
                code="catalogue-damaged",
                where=str(index.path),
                seen=str(error),
                todo="run the same command again: it is made again from the recordings, which are whole",
            ) from None


def add(store: Store, session: Session) -> None:
    """Index one session now. A catalogue that cannot be written is brought up to date by the next that can."""
    with contextlib.suppress(sqlite3.Error), _opened(store) as index:
        index.put(row_of(session))


def _opened(store: Store) -> Catalogue:
    path = store.root / "catalogue.db"
    for attempt in (path, path, None):
        try:
            index = Catalogue(attempt)
        except (sqlite3.Error, OSError):
            continue
        try:
            _update(store, index)
        except sqlite3.OperationalError:
            index.close()
        except sqlite3.DatabaseError:
            index.close()
            index.discard()
        else:
            return index
    raise InternalError(
        "No catalogue can be made.",
        code="internal",
        where=str(path),
        todo="please report it; playhead verify FILE works without",
    )


def _update(store: Store, index: Catalogue) -> None:
    present = set(store.ids())
    known = index.ids()
    for session in known - present:
        index.forget(session)
    unsettled = {row.id for row in index.newest(status="open")}
    for session in (present - known) | (unsettled & present):
        with contextlib.suppress(PlayheadError):  # a session without a readable header has no row; verify names it
            index.put(replace(row_of(_read(store, session)), id=session))  # a file is found by its own name


def _read(store: Store, session: str) -> Session:
    from playhead.sessions.reader import read_recording
    from playhead.sessions.session import Session

    return Session(read_recording(store.path(session)))


def row_of(session: Session) -> Row:
    """The catalogue's row of a session."""
    header = session.recording.header
    return Row(header.id, header.name, header.created_ns, session.status, session.summary())
