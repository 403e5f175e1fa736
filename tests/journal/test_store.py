"""The store: who may read it, what stands in it, and that `remove` removes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from playhead.core.events import EventKind
from playhead.errors import DamagedRecording, IncompatibleRecording, SessionNotFound, SetupError
from playhead.journal.contents import read_contents
from playhead.journal.segment import SegmentWriter
from playhead.journal.store import Store, default_root

ID = "7f3a2b9c41d0e655"
OTHER = "0123456789abcdef"


def begun(store: Store, session: str = ID, **segments: bytes) -> dict[str, SegmentWriter]:
    """An open session with one writer a segment, each with a first record."""
    folder = store.begin(session)
    writers = {}
    for name, body in (segments or {"launcher": b"hello"}).items():
        writers[name] = SegmentWriter(folder / f"{name}.seg", name)
        writers[name].append(EventKind.STDIO, 1, body)
    return writers


def close(writers: dict[str, SegmentWriter]) -> None:
    for writer in writers.values():
        writer.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_may_read(tmp_path: Path) -> None:
    """Folders are 0700 and files 0600, open and sealed, whatever the umask."""
    import os

    before = os.umask(0)
    try:
        store = Store.open(tmp_path / "store")
        close(begun(store))
        folder = store.path(ID)
        assert [mode(p) for p in (store.root, store.sessions, folder)] == [0o700] * 3
        assert mode(folder / "launcher.seg") == 0o600
        assert mode(store.seal(ID)) == 0o600
    finally:
        os.umask(before)


def test_where_the_store_is() -> None:
    """The variable, else the home folder."""
    assert default_root({"PLAYHEAD_STORE": "/data/ph", "HOME": "/home/me"}) == Path("/data/ph")
    assert default_root({"HOME": "/home/me"}) == Path("/home/me/.playhead")
    assert default_root({"HOME": "/home/me", "PLAYHEAD_STORE": ""}) == Path("/home/me/.playhead")


def test_a_store_that_is_a_file_is_a_set_up_error(tmp_path: Path) -> None:
    """With the place and what to do."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(SetupError) as caught:
        Store.open(tmp_path / "file")
    assert caught.value.code == "store-unusable"
    assert str(tmp_path / "file") in str(caught.value)
    assert "--store" in caught.value.todo


def test_sealing_merges_the_segments_launcher_first(tmp_path: Path) -> None:
    """One file instead of the folder, with the same events."""
    store = Store.open(tmp_path)
    close(begun(store, engine=b"e", agent=b"a", launcher=b"l"))
    before = read_contents(store.path(ID))
    path = store.seal(ID)
    after = read_contents(path)
    assert [s.segment for s in after.segments] == ["launcher", "agent", "engine"]
    assert [s.events for s in after.segments] == [s.events for s in before.segments]
    assert (before.sealed, after.sealed) == (False, True)
    assert [p.name for p in store.sessions.iterdir()] == [f"{ID}.tape"]


def test_ids_are_of_sessions_alone(tmp_path: Path) -> None:
    """Sealed, open, or both for the moment of sealing: each once; other files are not sessions."""
    store = Store.open(tmp_path)
    close(begun(store))
    (store.sessions / f"{ID}.tape").write_bytes(b"")
    close(begun(store, OTHER))
    for name in (".hidden.tape", "notes.txt", "abc.tape", f"{OTHER}.tape.1", f".{OTHER}.tape.77", "0" * 17 + ".tape"):
        (store.sessions / name).write_bytes(b"")
    assert sorted(store.ids()) == sorted([ID, OTHER])


def test_a_session_is_known_to_be_written(tmp_path: Path) -> None:
    """While any of its segments is locked by a living writer."""
    store = Store.open(tmp_path)
    writers = begun(store, launcher=b"l", engine=b"e")
    assert store.is_being_written(ID)
    writers["launcher"].close()
    assert store.is_being_written(ID)
    assert read_contents(store.path(ID)).being_written
    writers["engine"].close()
    assert not store.is_being_written(ID)
    store.seal(ID)
    assert not store.is_being_written(ID)


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    """A session, and a file."""
    store = Store.open(tmp_path)
    for ask in (store.path, store.remove, store.is_being_written):
        with pytest.raises(SessionNotFound):
            ask(ID)
    with pytest.raises(SessionNotFound):
        read_contents(tmp_path / "none.tape")


def test_an_empty_folder_and_one_of_foreign_files_are_no_recordings(tmp_path: Path) -> None:
    """Said as such, with what was expected."""
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(IncompatibleRecording) as caught:
        read_contents(tmp_path)
    assert caught.value.code == "not-a-recording"


def test_a_file_that_cannot_be_read_is_said_to_be_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own reason is in the message."""

    def refuse(path: object, *_: object) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "x.tape").write_bytes(b"")
    monkeypatch.setattr("playhead.journal.frames.os.open", refuse)
    with pytest.raises(DamagedRecording, match="cannot be read") as caught:
        read_contents(tmp_path / "x.tape")
    monkeypatch.undo()
    assert (caught.value.code, caught.value.seen) == ("recording-unreadable", "Permission denied")


def test_remove_takes_every_file_of_a_session_and_of_no_other(tmp_path: Path) -> None:
    """Sealed file, folder, and what a killed sealing left half written."""
    store = Store.open(tmp_path)
    for session in (ID, OTHER):
        close(begun(store, session))
        store.seal(session)
        close(begun(store, session))
        (store.sessions / f".{session}.tape.4711").write_bytes(b"half")
    store.remove(ID)
    assert sorted(p.name for p in store.sessions.iterdir()) == [
        f".{OTHER}.tape.4711",
        f"{OTHER}.tape",
        f"{OTHER}.tape.d",
    ]
