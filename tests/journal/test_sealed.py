"""Sealed files: exact, and hostile input in every part."""

from __future__ import annotations

import json
import stat
from struct import pack
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from playhead.core.events import EventKind
from playhead.errors import DamagedRecording, IncompatibleRecording
from playhead.journal.sealed import END_MAGIC, MAGIC, read_sealed, write_sealed
from playhead.journal.segment import FORMAT_VERSION, SegmentWriter, read_segment
from playhead.journal.store import read_contents

if TYPE_CHECKING:
    from pathlib import Path

ID = "7f3a2b9c41d0e655"


def segment(folder: Path, name: str, bodies: list[bytes]) -> bytes:
    path = folder / f"{name}.seg"
    writer = SegmentWriter(path, name)
    for body in bodies:
        writer.append(EventKind.STDIO, 1, body)
    writer.close()
    return path.read_bytes()


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Path, dict[str, bytes]]:
    """A sealed file of two segments, and their bytes."""
    segments = {
        "launcher": segment(tmp_path, "launcher", [b"a" * 50, b"b"]),
        "engine": segment(tmp_path, "engine", [b"%d" % n * 40 for n in range(9)]),
    }
    path = tmp_path / f"{ID}.tape"
    write_sealed(path, ID, segments.items())
    return path, segments


def forged(index: Any, frames: bytes = b"", *, version: int = FORMAT_VERSION) -> bytes:
    """A sealed file with a right checksum over any index."""
    encoded = index if isinstance(index, bytes) else json.dumps(index).encode()
    start = MAGIC + pack("<I", version) + frames
    return start + encoded + pack("<QII8s", len(start), len(encoded), crc32(encoded), END_MAGIC)


def of_frames(frames: list[list[Any]]) -> dict[str, Any]:
    return {"format": 0, "session": ID, "segments": [{"name": "engine", "frames": frames}]}


def test_segments_come_back_whole_and_in_order(sealed: tuple[Path, dict[str, bytes]]) -> None:
    """Every event of every segment, no damage, mode 0600, nothing left beside it."""
    path, segments = sealed
    contents = read_sealed(path)
    assert [s.segment for s in contents.segments] == list(segments)
    for read in contents.segments:
        assert read.events == read_segment(segments[read.segment], read.segment).events
        assert read.closed
    assert (contents.session, contents.damage) == (ID, [])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []


def test_large_segments_are_cut_into_frames_and_a_torn_tail_is_left_behind(tmp_path: Path) -> None:
    """Records of 300 KB in frames of about a megabyte; half a record at the end does not travel along."""
    data = segment(tmp_path, "engine", [bytes([n]) * 300_000 for n in range(12)])
    path = tmp_path / "a.tape"
    write_sealed(path, ID, [("engine", data + data[:50])])
    (read,) = read_sealed(path).segments
    assert read.events == read_segment(data, "engine").events
    assert read.torn == 0


def test_a_sealing_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """The file exists whole or not at all."""

    def failing() -> Any:
        yield "engine", segment(tmp_path, "engine", [b"x"])
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_sealed(tmp_path / "a.tape", ID, failing())
    assert [p.name for p in tmp_path.iterdir()] == ["engine.seg"]


def test_every_truncation_is_said(sealed: tuple[Path, dict[str, bytes]]) -> None:
    """A file cut at any byte is damaged, or no recording at all when not even its mark is left; never shorter."""
    path, _ = sealed
    data = path.read_bytes()
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        with pytest.raises(IncompatibleRecording if cut < len(MAGIC) else DamagedRecording) as caught:
            read_sealed(path)
        assert caught.value.code == ("not-a-recording" if cut < len(MAGIC) else "recording-truncated")
        assert caught.value.todo
        assert str(path) in str(caught.value)


def test_every_flipped_byte_is_named_and_nothing_wrong_is_read(sealed: tuple[Path, dict[str, bytes]]) -> None:
    """An error, or damage and a subset of the true events."""
    path, segments = sealed
    data = path.read_bytes()
    true = {name: read_segment(raw, name).events for name, raw in segments.items()}
    for offset in range(len(data)):
        flipped = bytearray(data)
        flipped[offset] ^= 0x11
        path.write_bytes(bytes(flipped))
        try:
            contents = read_sealed(path)
        except (DamagedRecording, IncompatibleRecording):
            continue
        assert contents.damage, offset
        for read in contents.segments:
            assert all(event in true[read.segment] for event in read.events)


def test_foreign_newer_and_damaged_are_three_messages(tmp_path: Path) -> None:
    """Each with its own code and its own advice."""
    seen = {}
    for name, data in {
        "empty": b"",
        "foreign": b"PK\x03\x04 a zip file",
        "newer": forged(of_frames([]), version=99),
        "cut": forged(of_frames([]))[:-3],
        "index": forged(b"[1, 2"),
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises((DamagedRecording, IncompatibleRecording)) as caught:
            read_contents(path)
        seen[name] = (type(caught.value).__name__, caught.value.code)
        assert caught.value.exit_code == 3
        assert caught.value.todo
    assert seen == {
        "empty": ("IncompatibleRecording", "not-a-recording"),
        "foreign": ("IncompatibleRecording", "not-a-recording"),
        "newer": ("IncompatibleRecording", "format-version"),
        "cut": ("DamagedRecording", "recording-truncated"),
        "index": ("DamagedRecording", "index-damaged"),
    }


def test_an_open_folder_of_a_newer_format_is_refused_too(tmp_path: Path) -> None:
    """The first record of a segment names its format."""
    folder = tmp_path / f"{ID}.tape.d"
    folder.mkdir()
    data = segment(folder, "engine", [])
    meta = json.dumps({"segment": "engine", "format": 7}).encode()
    fixed = pack("<BBHIIQ", EventKind.SEGMENT, 0, len(meta), 0, 0, 1) + meta
    (folder / "engine.seg").write_bytes(pack("<II", len(fixed), crc32(fixed)) + fixed + data)
    with pytest.raises(IncompatibleRecording) as caught:
        read_contents(folder)
    assert (caught.value.code, caught.value.seen) == ("format-version", "format 7")
    assert "pip install -U playhead" in caught.value.todo


@pytest.mark.parametrize(
    "index",
    [
        [],
        {},
        {"segments": None},
        {"segments": [1]},
        {"segments": [{"name": "x"}]},
        {"segments": [{"name": "x", "frames": [[1, 2]]}]},
        {"segments": [{"name": "x", "frames": ["abcd"]}]},
        b'{"segments": [{"name": "x", "frames": [[1e999, 1, 1, 1]]}]}',
        b'{"segments": [{"name": "x", "frames": [[NaN, 1, 1, 1]]}]}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
    ids=str,
)
def test_an_index_of_nonsense_is_damage(tmp_path: Path, index: Any) -> None:
    """Whatever JSON says, or does not say."""
    path = tmp_path / "x.tape"
    path.write_bytes(forged(index))
    with pytest.raises(DamagedRecording) as caught:
        read_sealed(path)
    assert caught.value.code == "index-damaged"


def test_a_frame_that_unpacks_to_more_than_the_index_says_is_refused(tmp_path: Path) -> None:
    """Its own header would rule what is allocated; 256 MB in 8 KB are not unpacked to find that out."""
    import tracemalloc

    bomb = zstandard.ZstdCompressor().compress(b"\0" * (256 << 20))
    path = tmp_path / "x.tape"
    path.write_bytes(forged(of_frames([[12, len(bomb), 100, crc32(bomb)]]), bomb))
    tracemalloc.start()
    contents = read_sealed(path)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()
    assert [d.problem for d in contents.damage] == ["frame is of another size than the index says"]
    assert contents.segments[0].events == []


@pytest.mark.parametrize("times", [2, 5000])
def test_one_frame_read_many_times_is_refused(tmp_path: Path, times: int) -> None:
    """Frames lie one behind the other."""
    frame = zstandard.ZstdCompressor().compress(b"\0" * 1000)
    path = tmp_path / "x.tape"
    path.write_bytes(forged(of_frames([[12, len(frame), 1000, crc32(frame)]] * times), frame))
    with pytest.raises(DamagedRecording, match="unpack"):
        read_sealed(path)


def test_frames_that_unpack_beyond_all_measure_are_refused(tmp_path: Path) -> None:
    """A few hundred KB do not become gigabytes."""
    frame = zstandard.ZstdCompressor().compress(b"\0" * (64 << 20))
    frames = [[12 + n * len(frame), len(frame), 64 << 20, crc32(frame)] for n in range(20)]
    path = tmp_path / "x.tape"
    path.write_bytes(forged(of_frames(frames), frame * 20))
    with pytest.raises(DamagedRecording, match="unpack"):
        read_sealed(path)


@settings(max_examples=100, deadline=None)
@given(
    frames=st.lists(
        st.lists(st.integers(-(2**70), 2**70) | st.floats(), min_size=4, max_size=4), min_size=1, max_size=3
    ),
    data=st.binary(max_size=100),
)
def test_any_numbers_in_an_index_end_in_damage(
    tmp_path_factory: pytest.TempPathFactory, frames: list[Any], data: bytes
) -> None:
    """Never another kind of error, never an event."""
    path = tmp_path_factory.getbasetemp() / "any.tape"
    path.write_bytes(forged(of_frames(frames), data))
    try:
        contents = read_sealed(path)
    except DamagedRecording:
        return
    assert contents.damage
    assert not any(s.events for s in contents.segments)
