"""What killed recorders left in parts is sealed in passing, by one at a time, and says the same then."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from playhead.journal import sealing as sealed_files
from playhead.journal import unsealed
from playhead.journal.held import locked
from playhead.journal.store import Store
from playhead.sessions.reader import read_recording
from tests.sessions.tapes import Tape, chat, said

if TYPE_CHECKING:
    from pathlib import Path

IDS = ("7f3a2b9c41d0e655", "8f3a2b9c41d0e655", "9f3a2b9c41d0e655")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def left_behind(store: Store, session: str, *, old: bool = True, calls: int = 1) -> Path:
    """A folder as a killed recorder leaves it: no CLOSED, a question without an answer, nobody's lock."""
    tape = Tape(store, session)
    for _ in range(calls):
        tape.exchange(chat("x" * 500), said("yes"))
    tape.ask(b"{}", path="/pay")
    tape.engine.forget()
    tape.launcher.forget()
    for path in tape.folder.iterdir():
        if old:
            os.utime(path, (1_000_000_000, 1_000_000_000))
    return tape.folder


def test_a_leftover_is_sealed_and_still_says_that_its_recorder_was_killed(store: Store) -> None:
    """Status, doubt, bytes: the same before and after; the folder is gone."""
    folder = left_behind(store, IDS[0])
    before = read_recording(folder)
    assert unsealed.seal_leftovers(store) == [IDS[0]]
    after = read_recording(store.path(IDS[0]))
    assert after.sealed
    assert not folder.exists()
    assert (after.status, after.in_doubt, after.incomplete) == (before.status, [2], before.incomplete)
    assert [e.answer for e in after.exchanges] == [e.answer for e in before.exchanges]


def test_what_lives_or_is_young_or_damaged_is_left_alone(store: Store) -> None:
    """A writer's lock, a folder of this moment, a wrong byte."""
    young = left_behind(store, IDS[0], old=False)
    damaged = left_behind(store, IDS[1])
    engine = damaged / "engine.seg"
    data = bytearray(engine.read_bytes())
    data[100] ^= 1
    engine.write_bytes(data)
    os.utime(engine, (1_000_000_000, 1_000_000_000))
    living = left_behind(store, IDS[2])
    with locked([living / "engine.seg"], wait=False):
        assert unsealed.seal_leftovers(store) == []
    assert all(folder.exists() for folder in (young, damaged, living))
    assert unsealed.seal_leftovers(store) == [IDS[2]]


def test_one_command_seals_so_much_and_no_more(store: Store) -> None:
    """The smallest first; the next command goes on."""
    left_behind(store, IDS[0], calls=9)
    small = left_behind(store, IDS[1])
    size = sum(path.stat().st_size for path in small.iterdir())
    assert unsealed.seal_leftovers(store, at_most_bytes=size) == [IDS[1]]
    assert unsealed.seal_leftovers(store) == [IDS[0]]


def test_a_sealing_that_was_killed_before_its_last_act_is_finished(store: Store) -> None:
    """The file is whole and stays as it is; the folder goes."""
    folder = left_behind(store, IDS[0])
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    sealed = store.seal(IDS[0])
    bytes_sealed = sealed.read_bytes()
    folder.mkdir()
    (folder / "launcher.seg").write_bytes(kept["launcher.seg"])  # rmtree had got this far
    os.utime(folder / "launcher.seg", (1_000_000_000, 1_000_000_000))
    assert unsealed.seal_leftovers(store) == [IDS[0]]
    assert not folder.exists()
    assert sealed.read_bytes() == bytes_sealed


def test_two_that_seal_do_not_meet(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one is at it another is refused, or waits and finds it done; the session is whole."""
    left_behind(store, IDS[0])
    at_it, go_on = threading.Event(), threading.Event()
    real = sealed_files.write_sealed

    def slow(*args: object, **options: object) -> None:
        at_it.set()
        assert go_on.wait(60)
        real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(sealed_files, "write_sealed", slow)
    first = threading.Thread(target=store.seal, args=(IDS[0],))
    first.start()
    assert at_it.wait(60)
    with pytest.raises(BlockingIOError):
        store.seal(IDS[0])
    second = threading.Thread(target=store.seal, args=(IDS[0],), kwargs={"wait": True})
    second.start()
    go_on.set()
    first.join(60)
    second.join(60)
    recording = read_recording(store.path(IDS[0]))
    assert recording.sealed
    assert [e.number for e in recording.exchanges] == [1, 2]
