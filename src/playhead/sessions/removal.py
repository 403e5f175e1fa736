"""Taking sessions out of a store for good: files, index, and every byte that was in them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from playhead.core.ids import shown
from playhead.errors import SetupError
from playhead.journal.catalogue import Catalogue
from playhead.sessions.index import FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from playhead.journal.store import Store


def remove(store: Store, index: Catalogue, sessions: Iterable[str], done: Callable[[str], None]) -> None:
    """Delete sessions and overwrite what the catalogue held of them; `done` hears of each whose file is gone. Raises
    SetupError when the system refuses, or when the catalogue cannot be written or its log not be emptied while another
    reads it."""
    gone: list[str] = []
    try:
        for session in sessions:
            try:
                store.remove(session)
            except OSError as error:
                raise SetupError(
                    f"Session {shown(session)} could not be deleted.",
                    code="store-unusable",
                    where=str(store.sessions),
                    seen=error.strerror or str(error),
                    todo="fix the permissions of the store",
                ) from None
            gone.append(session)
            done(session)
    finally:
        scrubbed = _forget(store, index, gone)
    if not scrubbed:
        raise SetupError(
            "The files are deleted, but another process reads the catalogue: its log may still hold their text.",
            code="catalogue-busy",
            where=str(index.path),
            todo="end what reads it, then: playhead gc",
        )


def _forget(store: Store, index: Catalogue, gone: Sequence[str]) -> bool:
    """Take sessions out of the catalogue for good; False while another process reads its log. Raises SetupError."""
    if not gone:
        return index.scrub()
    try:
        index.forget(*gone)
        if index.path is not None:
            return index.scrub()
        with Catalogue(store.root / FILE) as written:  # the disk was full: now there is the room that they took
            written.forget(*gone)
            return written.scrub()
    except (sqlite3.OperationalError, OSError) as error:
        raise SetupError(
            "The files are deleted, but the catalogue cannot be written: it still holds their text.",
            code="catalogue-unwritten",
            where=str(store.root / FILE),
            seen=str(error),
            todo="free some space or fix its permissions, then: playhead gc",
        ) from None
