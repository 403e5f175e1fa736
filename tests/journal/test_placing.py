"""Sessions come and go as wholes: whoever is killed, or meets another, leaves one session or none, and nothing else."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from playhead.cassette.admission import admit, content_digest
from playhead.core.events import EventKind
from playhead.journal import rewriting, sealing
from playhead.journal.segment import SegmentWriter
from playhead.journal.store import Store
from playhead.sessions.reader import read_recording
from playhead.sessions.tidy import clear, half_written
from tests.sessions.tapes import Tape, chat, said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ID = "7f3a2b9c41d0e655"
STEPS = frozenset({"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.scandir"})


def recorded(store: Store, calls: int = 2) -> Path:
    """A session that ended in order and is not sealed yet."""
    tape = Tape(store, ID)
    for n in range(calls):
        tape.exchange(chat(f"{n} " + "x" * 600), said("yes"))
    tape.close()
    return tape.folder


def killed_at(place: int, root: Path, act: Callable[[], object]) -> bool:
    """Do it in a process of its own that is killed before its nth call about a file under `root`; whether it was."""
    pid = os.fork()
    if pid == 0:
        left = place

        def count(event: str, given: tuple[object, ...]) -> None:
            nonlocal left
            if event in STEPS and given and str(given[0]).startswith(str(root)):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status == 0 or os.WIFSIGNALED(status)
    return os.WIFSIGNALED(status)


def age(store: Store) -> None:
    for path in store.sessions.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))


def digest(store: Store) -> set[bytes]:
    """What each session of a store says."""
    return {content_digest(read_recording(store.path(each))) for each in store.ids()}


def every_kill(
    tmp_path: Path, prepare: Callable[[Store], object], act: Callable[[Store], object]
) -> Iterator[tuple[Store, set[bytes]]]:
    """Stores in which `act` was killed before its first call, its second, and so on until it came to its end, and what
    they said before."""
    for place in range(1, 1000):
        store = Store.open(tmp_path / str(place))
        prepare(store)
        before = digest(store)
        if not killed_at(place, store.root, partial(act, store)):
            assert place > 3
            return
        yield store, before
    raise AssertionError("it never ends")


def tidy(store: Store) -> list[str]:
    """What is in the folder of sessions once gc has cleared it."""
    age(store)
    clear(half_written(store))
    return sorted(os.listdir(store.sessions))  # noqa: PTH208


def test_an_import_that_is_killed_brings_all_or_nothing(tmp_path: Path) -> None:
    """Never a shorter session that passes for a whole one; taken in again it is there once, under its own id."""
    whole = read_recording(recorded(Store.open(tmp_path / "from")))
    for store, _ in every_kill(tmp_path, lambda _: None, lambda store: admit(store, whole)):
        assert digest(store) <= {content_digest(whole)}
        assert set(tidy(store)) <= {f"{ID}.tape"}
        assert admit(store, whole).id == ID
        assert tidy(store) == [f"{ID}.tape"]


def test_a_sealing_that_is_killed_leaves_the_session_once(tmp_path: Path) -> None:
    """In parts or in one piece, whole; and no parts beside the piece once gc has been there."""
    for store, before in every_kill(tmp_path, recorded, lambda store: store.seal(ID)):
        assert digest(store) == before
        assert tidy(store) in ([f"{ID}.tape"], [f"{ID}.tape.d"])
        assert digest(store) == before


def test_a_removal_that_is_killed_leaves_all_or_nothing(tmp_path: Path) -> None:
    """Of a session in parts, too: a part of it is not taken for a recording."""
    for store, before in every_kill(tmp_path, recorded, lambda store: store.remove(ID)):
        assert digest(store) in (set(), before)
        assert tidy(store) in ([], [f"{ID}.tape.d"])


@pytest.mark.parametrize("act", ["recompress", "seal"])
def test_what_is_deleted_meanwhile_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """A gc that is busy with a session when rm deletes it gives it up."""
    store = Store.open(tmp_path)
    recorded(store)
    if act == "recompress":
        store.seal(ID, level=1)
    module, name = (rewriting, "_compare") if act == "recompress" else (sealing, "verify_sealed")
    real = getattr(module, name)

    def meanwhile(*arguments: Any) -> None:
        real(*arguments)
        held = [p.read_bytes() for p in store.sessions.glob(".*.tape.*")]
        store.remove(ID)
        for data in held:  # as if it had been written only now
            (store.sessions / f".{ID}.tape.{os.getpid()}").write_bytes(data)

    monkeypatch.setattr(module, name, meanwhile)
    with pytest.raises(Exception, match=ID):
        getattr(store, act)(ID)
    assert list(store.sessions.iterdir()) == []


def test_two_who_compress_one_session_leave_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second finds another file in its place and lets it stand."""
    store = Store.open(tmp_path)
    recorded(store)
    store.seal(ID, level=1)
    real = rewriting._compare

    def meanwhile(*arguments: Any) -> None:
        real(*arguments)
        monkeypatch.setattr(rewriting, "_compare", real)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if store.recompress(ID) else 1)
        assert os.waitpid(pid, 0)[1] == 0

    monkeypatch.setattr(rewriting, "_compare", meanwhile)
    with pytest.raises(Exception, match=ID):
        store.recompress(ID)
    assert tidy(store) == [f"{ID}.tape"]
    assert store.recompress(ID) is False


def test_nobody_seals_a_session_of_no_parts(tmp_path: Path) -> None:
    """One whose folder went between the look and the sealing is gone, not empty."""
    store = Store.open(tmp_path)
    with pytest.raises(FileNotFoundError):
        store.seal(ID)
    assert list(store.sessions.iterdir()) == []


def test_gc_clears_a_recording_without_a_byte_and_no_other(tmp_path: Path) -> None:
    """Its recorder was killed before it wrote. One that holds a record stays, also one that is young or being written."""
    store = Store.open(tmp_path)
    store.begin("0" * 16)
    empty = store.begin("1" * 16)
    (empty / "launcher.seg").touch()
    held = SegmentWriter(store.begin("2" * 16) / "launcher.seg", "launcher")
    with_record = SegmentWriter(store.begin("3" * 16) / "launcher.seg", "launcher")
    with_record.append(EventKind.STDIO, 1, b"x")
    with_record.close()
    assert half_written(store) == []
    assert tidy(store) == [f"{'2' * 16}.tape.d", f"{'3' * 16}.tape.d"]
    held.close()


def test_a_recording_that_has_the_id_of_a_cassette_and_cannot_be_read_is_another(tmp_path: Path) -> None:
    """The cassette comes in under a new id; what is there stays."""
    whole = read_recording(recorded(Store.open(tmp_path / "from")))
    store = Store.open(tmp_path / "to")
    store.begin(ID)
    admitted = admit(store, whole)
    assert admitted.renamed
    assert sorted(store.ids()) == sorted({ID, admitted.id})
