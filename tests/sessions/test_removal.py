"""Deleting where the catalogue cannot be written: nothing of a session stays behind unsaid."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from playhead.errors import SetupError
from playhead.journal.catalogue import Catalogue
from playhead.journal.store import Store
from playhead.sessions import index, removal
from tests.sessions.tapes import Tape, chat, said

if TYPE_CHECKING:
    from pathlib import Path

MARKER = "aubergine"


def full(path: Path | None) -> Catalogue:
    """What opening a catalogue does on a full disk."""
    if path is not None:
        raise sqlite3.OperationalError("database or disk is full")
    return Catalogue(None)


@pytest.fixture
def tape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tape:
    """A session that the catalogue on disk knows, and a disk that is full from then on."""
    store = Store.open(tmp_path / "store")
    tape = Tape(store)
    tape.exchange(chat(MARKER), said("yes"))
    tape.seal()
    with index.catalogue(store):
        pass
    assert MARKER.encode() in written(store)
    monkeypatch.setattr(index, "Catalogue", full)
    return tape


def written(store: Store) -> bytes:
    """The index's words stand there as they are."""
    return b"".join(path.read_bytes() for path in store.root.glob("catalogue.db*"))


def delete(tape: Tape) -> None:
    with index.catalogue(tape.store) as catalogue:
        assert catalogue.path is None
        removal.remove(tape.store, catalogue, [tape.id], lambda _: None)


def test_with_the_room_that_it_took_the_catalogue_forgets_it(tape: Tape) -> None:
    """The one in memory answered; the one on the disk holds the words."""
    delete(tape)
    assert MARKER.encode() not in written(tape.store)


def test_where_there_still_is_none_that_is_said(tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is gone, and gc takes the words once it can."""
    monkeypatch.setattr(removal, "Catalogue", full)
    with pytest.raises(SetupError) as caught:
        delete(tape)
    assert (caught.value.code, tape.store.ids()) == ("catalogue-unwritten", set())
    assert "playhead gc" in caught.value.todo
    monkeypatch.undo()
    with index.catalogue(tape.store) as catalogue:
        removal.remove(tape.store, catalogue, [], lambda _: None)
    assert MARKER.encode() not in written(tape.store)
