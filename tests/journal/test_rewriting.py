"""Sealed files made of sealed files: the same events harder compressed, and a fork's prefix without what came after."""

from __future__ import annotations

import random
import stat
from typing import TYPE_CHECKING

import pytest
import zstandard

from playhead.core.events import EventKind
from playhead.errors import DamagedRecording
from playhead.journal.frames import FrameFile, Kind
from playhead.journal.rewriting import copy_prefix, recompress
from playhead.journal.sealed import Sealed, read_sealed
from playhead.journal.sealing import write_sealed
from playhead.journal.store import Store
from playhead.sessions.reader import read_recording
from tests.journal.tapes import ID, session_of_exchanges
from tests.sessions.tapes import Tape, chat, said

if TYPE_CHECKING:
    from pathlib import Path

FORK = "0123456789abcdef"


def test_recompressing_makes_it_smaller_and_changes_no_event(tmp_path: Path) -> None:
    """In place, mode 0600, nothing left beside it; a second time there is nothing to do."""
    path = tmp_path / f"{ID}.tape"
    write_sealed(path, ID, session_of_exchanges(60).items(), level=1)
    before, size = read_sealed(path), path.stat().st_size
    assert recompress(path) is True
    assert path.stat().st_size < size
    assert read_sealed(path) == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    data = path.read_bytes()
    assert recompress(path) is False
    assert path.read_bytes() == data


def test_a_damaged_file_is_not_recompressed(tmp_path: Path) -> None:
    """It stays byte for byte as it is."""
    path = tmp_path / f"{ID}.tape"
    write_sealed(path, ID, session_of_exchanges(6).items(), level=1)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))
    assert recompress(path) is False
    assert path.read_bytes() == bytes(data)


def test_the_store_recompresses_sealed_sessions_alone(tmp_path: Path) -> None:
    """One that is still a folder is left as it is."""
    store = Store.open(tmp_path)
    tape = Tape(store)
    tape.exchange(chat("hi"), said("ho"))
    tape.close()
    assert store.recompress(ID) is False
    store.seal(ID, level=3)
    assert store.recompress(ID) is True


def contents(path: Path) -> bytes:
    """Everything a file holds, decompressed, and the file itself."""
    file = FrameFile(path)
    raw = [file.decode(f) or b"" for frames in file.frames.values() for f in frames]
    return b"".join([path.read_bytes(), *raw])


@pytest.mark.parametrize("cut", [1, 2, 7, 12])
def test_a_prefix_has_all_before_the_cut_and_nothing_behind_it(tmp_path: Path, cut: int) -> None:
    """Exchanges before it are the same to the byte; no marker of a later question, answer or output is in the file."""
    store = Store.open(tmp_path)
    tape = Tape(store)
    dice = random.Random(cut)
    history = ""
    for n in range(1, 13):
        history += f"marker-{n:02}-asked {dice.randbytes(40).hex()} "
        tape.exchange(chat(history), said(f"marker-{n:02}-said"))
        tape.output(1, b"marker-%02d-out\n" % n)
    tape.exit()
    tape.close()
    source, target = store.seal(ID), tmp_path / "fork.tape"
    copy_prefix(source, cut, target, FORK)
    whole, part = read_recording(source), read_recording(target)
    assert part.damage == []
    assert part.incomplete == []
    assert [(e.number, e.head, e.body, e.answer, e.ending) for e in part.exchanges] == [
        (e.number, e.head, e.body, e.answer, e.ending) for e in whole.exchanges if e.number < cut
    ]
    held = contents(target)
    for n in range(1, 13):
        for what in (b"asked", b"said", b"out"):
            assert (b"marker-%02d-%b" % (n, what) in held) == (n < cut), (n, what)
    assert b"marker-12-said" in contents(source)


def test_frames_wholly_before_the_cut_are_copied_as_they_are_stored(tmp_path: Path) -> None:
    """The bytes of the parent's file, not what another compression would make of them."""
    path, target = tmp_path / f"{ID}.tape", tmp_path / "fork.tape"
    write_sealed(path, ID, session_of_exchanges(40, size=420_000).items(), level=1)
    copy_prefix(path, 31, target, FORK)
    for kind in (Kind.ASKED, Kind.ANSWERED):
        theirs, ours = FrameFile(path), FrameFile(target)
        copied = [
            ours.pread(b.offset, b.stored) == theirs.pread(a.offset, a.stored)
            for a, b in zip(theirs.frames[kind], ours.frames[kind], strict=False)
        ]
        assert len(copied) > 2
        assert copied == [True] * (len(copied) - 1) + [False]


def test_a_body_made_of_a_later_one_is_encoded_anew(tmp_path: Path) -> None:
    """Of two questions under way together the later may have been stored first: the earlier then leans on it."""
    store = Store.open(tmp_path)
    tape = Tape(store)
    shared = "a long shared history " * 60
    first, second = chat(shared + "first marker-1"), chat(shared + "second marker-2")
    early, world = tape.ask(first, whole=False)
    tape.exchange(second, said("late"))
    early.end()
    world.answered(said("early"), last=True)
    tape.close()
    source, target = store.seal(ID), tmp_path / "fork.tape"
    copy_prefix(source, 2, target, FORK)
    assert Sealed(source).bodies(1).form(1).base == 2
    (only,) = read_recording(target).exchanges
    assert only.body == first
    assert b"marker-2" not in contents(target)
    assert b"marker-2" in contents(source)


def test_a_damaged_recording_is_not_forked(tmp_path: Path) -> None:
    """Nothing is written."""
    path = tmp_path / f"{ID}.tape"
    write_sealed(path, ID, session_of_exchanges(6).items())
    data = bytearray(path.read_bytes())
    data[FrameFile(path).frames[Kind.ANSWERED][0].offset + 5] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DamagedRecording):
        copy_prefix(path, 3, tmp_path / "fork.tape", FORK)
    assert list(tmp_path.iterdir()) == [path]


def test_compression_is_what_its_header_says(tmp_path: Path) -> None:
    """Stored bytes are one zstd frame with its size."""
    path = tmp_path / f"{ID}.tape"
    write_sealed(path, ID, session_of_exchanges(6).items(), level=7)
    for frames in FrameFile(path).frames.values():
        for frame in frames:
            assert (
                zstandard.frame_content_size(path.read_bytes()[frame.offset : frame.offset + frame.stored]) == frame.raw
            )
            assert frame.level == 7
    assert any(e.kind is EventKind.ANSWER for s in read_sealed(path).segments for e in s.events)
