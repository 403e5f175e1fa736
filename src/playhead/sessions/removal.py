"""Taking sessions out of a store for good: files, index, and every byte that was in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playhead.core.ids import shown
from playhead.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from playhead.journal.catalogue import Catalogue
    from playhead.journal.store import Store


def remove(store: Store, index: Catalogue, sessions: Iterable[str], done: Callable[[str], None]) -> None:
    """Delete sessions and overwrite what the catalogue held of them; `done` hears of each whose file is gone. Raises
    SetupError when the system refuses, or when the catalogue's log cannot be emptied while another reads it."""
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
        if gone:
            index.forget(*gone)
    if not index.scrub():
        raise SetupError(
            "The files are deleted, but another process reads the catalogue: its log may still hold their text.",
            code="catalogue-busy",
            where=str(index.path),
            todo="end what reads it, then: playhead gc",
        )
