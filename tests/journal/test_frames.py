"""Frames of which only the beginning is read."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from zlib import crc32

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from playhead.journal.frames import Frame, FrameFile, FrameWriter, Kind, header, mark_of, preamble

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 1 << 20
WORDS = random.Random(5).choices([b"one ", b"two ", b"three ", b"four "], k=SIZE)
RAW = b"".join(WORDS)[:SIZE]
MARK = mark_of("7f3a2b9c41d0e655")


def written(path: Path, raw: bytes) -> FrameFile:
    """A file with one stream of requests."""
    with path.open("wb") as file:
        frames = FrameWriter(file, MARK, lambda _: 3)
        frames.stream(Kind.ASKED, raw)
        frames.flush(Kind.ASKED)
    return FrameFile(path)


def of_frame(path: Path, stored: bytes) -> FrameFile:
    """A file whose only frame has these bytes and says that they are RAW."""
    frame = Frame(Kind.ASKED, 0, len(stored), len(RAW), 0, crc32(stored), 3)
    path.write_bytes(preamble(MARK) + header(MARK, frame) + stored)
    return FrameFile(path)


def test_only_the_beginning_of_a_frame_is_decoded_where_no_more_is_needed(tmp_path: Path) -> None:
    """Of a megabyte the first bytes take a part; what stands farther on, all of it; and it stays decoded."""
    file = written(tmp_path / "a.tape", RAW)
    frame = file.frames[Kind.ASKED][0]
    assert file.read(Kind.ASKED, 10, 1000) == RAW[10:1010]
    begun = file.decode(frame, 1010)
    assert begun is not None
    assert len(begun) < SIZE // 4
    assert RAW.startswith(begun)
    assert file.read_spans(Kind.ASKED, [(SIZE - 50, 50), (3, 4)]) == RAW[-50:] + RAW[3:7]
    assert file.decode(frame) == file.decode(frame, 10) == RAW
    assert not file.faults
    file.close()


def test_who_wants_all_decodes_a_frame_once(tmp_path: Path) -> None:
    """Its beginning alone would be decoded again with the rest."""
    file = written(tmp_path / "a.tape", RAW)
    file.all_wanted = True
    assert file.decode(file.frames[Kind.ASKED][0], 10) == RAW
    file.close()


@given(st.lists(st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, SIZE)), max_size=4), max_size=6))
def test_spans_in_any_order_are_the_bytes_that_stand_there(
    tmp_path_factory: pytest.TempPathFactory, asked: list[list[tuple[int, int]]]
) -> None:
    """However much of a frame was decoded before."""
    file = written(tmp_path_factory.mktemp("frames") / "a.tape", RAW)
    for spans in asked:
        spans = [(start, min(length, SIZE - start)) for start, length in spans]
        assert file.read_spans(Kind.ASKED, spans) == b"".join(RAW[start : start + n] for start, n in spans)
    file.close()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_frame_that_breaks_off_gives_what_it_has_and_is_named(tmp_path: Path, share: float) -> None:
    """What was cut away is lost, with a fault; nothing is made up for it."""
    stored = zstandard.ZstdCompressor(level=3).compress(RAW)
    for end in (200, SIZE // 2, SIZE):
        file = of_frame(tmp_path / f"{end}.tape", stored[: 18 + int(len(stored) * share)])
        try:
            found = file.read(Kind.ASKED, end - 100, 100)
        except ValueError:
            assert [fault.kind for fault in file.faults] == [Kind.ASKED]
        else:
            assert found == RAW[end - 100 : end]
            assert end < SIZE
        with pytest.raises(ValueError, match="lost"):
            file.read(Kind.ASKED, 0, SIZE)
        assert len(file.faults) == 1
        file.close()


def test_a_frame_that_says_another_size_is_refused_at_its_beginning_too(tmp_path: Path) -> None:
    """The size in zstd's own header rules what is allocated."""
    file = of_frame(tmp_path / "a.tape", zstandard.ZstdCompressor().compress(RAW + RAW))
    with pytest.raises(ValueError, match="lost"):
        file.read(Kind.ASKED, 0, 10)
    assert "another size" in file.faults[0].problem
    file.close()
