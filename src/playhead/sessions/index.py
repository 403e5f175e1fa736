"""Keeps the catalogue true to the session files: what a file says, the catalogue says."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from playhead.errors import PlayheadError
from playhead.journal.catalogue import Catalogue, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playhead.journal.store import Store
    from playhead.sessions.session import Session


@contextlib.contextmanager
def catalogue(store: Store) -> Iterator[Catalogue]:
    """The store's catalogue, brought up to date with the files: new ones read, vanished ones dropped, and sessions
    that were being written looked at again."""
    with Catalogue(store.root / "catalogue.db") as index:
        present = set(store.ids())
        known = index.ids()
        for session in known - present:
            index.forget(session)
        unsettled = {row.id for row in index.newest(status="open")}
        for session in (present - known) | (unsettled & present):
            with contextlib.suppress(PlayheadError):  # a session without a readable header has no row; verify names it
                index.put(row_of(_read(store, session)))
        yield index


def _read(store: Store, session: str) -> Session:
    from playhead.sessions.reader import read_recording
    from playhead.sessions.session import Session

    return Session(read_recording(store.path(session)))


def row_of(session: Session) -> Row:
    """The catalogue's row of a session."""
    header = session.recording.header
    return Row(header.id, header.name, header.created_ns, session.status, session.summary())
