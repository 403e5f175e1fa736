"""Segments: what is written is read back, and nothing else is."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playhead.core.events import Event, EventKind, Flag
from playhead.journal.disk import SystemDisk
from playhead.journal.held import is_being_written
from playhead.journal.records import read_segment
from playhead.journal.segment import MAX_RECORD, SegmentWriter

if TYPE_CHECKING:
    from pathlib import Path

KINDS = [kind for kind in EventKind if kind is not EventKind.SEGMENT]
META = st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=12) | st.none(), max_size=3)
RECORDS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.binary(max_size=120), META, st.integers(0, 31)),
    max_size=6,
)


def write(path: Path, records: list[tuple[Any, ...]], **options: Any) -> list[Event]:
    """A closed segment of these records; what was written, as events."""
    path.unlink(missing_ok=True)
    writer = SegmentWriter(path, "engine", **options)
    for kind, subject, body, meta, flags in records:
        writer.append(kind, subject, body, meta=meta, flags=flags)
    writer.close()
    return read_segment(path.read_bytes(), "engine").events


def sample(path: Path) -> tuple[bytes, list[Event], list[int]]:
    """Bytes, events and record ends of a segment with long, short and empty bodies."""
    bodies = [b"", b"x" * 300, b'{"a": 1}', bytes(range(256)), b"", b"\0" * 64]
    events = write(path, [(EventKind.ANSWER, n + 1, body, {"held": n}, 0) for n, body in enumerate(bodies)])
    data = path.read_bytes()
    ends, position = [], 0
    while position < len(data):
        position += 8 + int.from_bytes(data[position : position + 4], "little")
        ends.append(position)
    return data, events, ends


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(records=RECORDS)
def test_every_field_of_every_record_comes_back(tmp_path: Path, records: list[tuple[Any, ...]]) -> None:
    """Kind, subject, body, meta and flags, with seqs from 0 without a gap, between SEGMENT and CLOSED."""
    events = write(tmp_path / "engine.seg", records)
    assert [(e.kind, e.subject, e.body, e.meta, e.flags) for e in events[1:-1]] == records
    assert [e.seq for e in events] == list(range(len(records) + 2))
    assert (events[0].kind, events[-1].kind) == (EventKind.SEGMENT, EventKind.CLOSED)


@pytest.mark.parametrize("durability", ["write", "fsync", "off"])
def test_every_durability_ends_in_the_same_file(tmp_path: Path, durability: str) -> None:
    """`off` holds records back, and writes all of them at the end."""
    records = [(EventKind.STDIO, 1, b"%d" % n, {}, 0) for n in range(600)]
    events = write(tmp_path / "s.seg", records, durability=durability)
    assert [e.body for e in events[1:-1]] == [r[2] for r in records]


def test_a_new_segment_never_replaces_a_file(tmp_path: Path) -> None:
    """An existing file is an error, and keeps its bytes."""
    (tmp_path / "s.seg").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        SegmentWriter(tmp_path / "s.seg", "s")
    assert (tmp_path / "s.seg").read_bytes() == b"mine"


def test_a_cut_at_any_byte_keeps_every_whole_record_and_invents_none(tmp_path: Path) -> None:
    """What is read of a prefix is a prefix of what was written: exactly the records that end within it."""
    data, events, ends = sample(tmp_path / "s.seg")
    for cut in range(len(data) + 1):
        contents = read_segment(data[:cut], "engine")
        whole = sum(end <= cut for end in ends)
        assert contents.events == events[:whole], cut
        assert contents.damage == []
        assert contents.torn == cut - (ends[whole - 1] if whole else 0)
        assert contents.closed == (cut == len(data))


def test_a_flip_of_any_bit_is_named_and_costs_one_record(tmp_path: Path) -> None:
    """Whatever single bit changes, in lengths too, every other record is read, and the loss is said."""
    data, events, ends = sample(tmp_path / "s.seg")
    for offset in range(len(data)):
        hit = sum(end <= offset for end in ends)
        for bit in (0, 3, 7):
            flipped = bytearray(data)
            flipped[offset] ^= 1 << bit
            contents = read_segment(bytes(flipped), "engine")
            assert contents.events == events[:hit] + events[hit + 1 :], (offset, bit)
            last = hit == len(events) - 1
            assert bool(contents.damage) != last
            assert bool(contents.torn) == last


@settings(max_examples=150, deadline=None)
@given(junk=st.binary(max_size=400), seed=st.integers(0, 3))
def test_hostile_bytes_are_never_an_error(junk: bytes, seed: int) -> None:
    """Anything at all can be read; what is no record is no event."""
    length = (len(junk) - 8).to_bytes(4, "little", signed=True) if seed else b""
    assert read_segment(length + junk, "x").events == []


def test_resuming_behind_damage_costs_no_more_than_reading(tmp_path: Path) -> None:
    """A file made of false starts, each claiming megabytes, is given up on in time."""
    import time

    start = (
        (2 << 20).to_bytes(4, "little") + b"\0\0\0\0" + bytes([EventKind.STDIO, 0, 0, 0]) + (1).to_bytes(4, "little")
    )
    data = b"\xff" * 40 + (start + b"\0" * 12) * 150_000
    began = time.process_time()
    assert read_segment(data, "x").events == []
    assert time.process_time() - began < 3


def test_a_record_no_reader_would_take_is_refused_and_the_writer_goes_on(tmp_path: Path) -> None:
    """EMSGSIZE for meta beyond 64 KiB and for bodies beyond the bound; the file keeps whole records only."""
    writer = SegmentWriter(tmp_path / "s.seg", "s")
    for body, meta in ((b"", {"argv": "x" * 70_000}), (b"\0" * MAX_RECORD, {})):
        with pytest.raises(OSError, match="too large") as caught:
            writer.append(EventKind.LANE, 1, body, meta=meta)
        assert caught.value.errno == errno.EMSGSIZE
    writer.append(EventKind.LANE, 2)
    writer.close()
    contents = read_segment((tmp_path / "s.seg").read_bytes(), "s")
    assert [(e.kind, e.subject) for e in contents.events[1:]] == [(EventKind.LANE, 2), (EventKind.CLOSED, 0)]
    assert not contents.damage


def test_short_writes_are_completed(tmp_path: Path) -> None:
    """A system that takes a few bytes at a time gets the rest."""

    class Short(SystemDisk):
        def write(self, fd: int, data: bytes, /) -> int:  # type: ignore[override]
            return os.write(fd, data[:11])

    events = write(tmp_path / "s.seg", [(EventKind.STDIO, 1, b"hello " * 20, {"a": 1}, 0)], disk=Short())
    assert events[1].body == b"hello " * 20


@pytest.fixture
def full_disk() -> Any:
    """`room(bytes)` limits how large this process may make a file; the limit is lifted at the end."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size or old[0], old[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("room", [1, 7, 8, 31, 32, 33, 100, 419])
def test_a_full_disk_leaves_whole_records(tmp_path: Path, full_disk: Any, room: int) -> None:
    """The part that was taken is cut off again; more is refused until `append_again`, which is read after it."""
    writer = SegmentWriter(tmp_path / "s.seg", "s")
    writer.append(EventKind.STDIO, 1, b"kept")
    size = (tmp_path / "s.seg").stat().st_size
    full_disk(size + room)
    with pytest.raises(OSError, match="too large"):
        writer.append(EventKind.STDIO, 1, b"x" * 400)
    assert (tmp_path / "s.seg").stat().st_size == size
    full_disk(0)
    with pytest.raises(OSError, match="too large"):
        writer.append(EventKind.STDIO, 1, b"y")
    writer.append_again(EventKind.INCOMPLETE, meta={"reason": "full"})
    writer.close()
    contents = read_segment((tmp_path / "s.seg").read_bytes(), "s")
    assert [e.kind for e in contents.events[1:]] == [EventKind.STDIO, EventKind.INCOMPLETE, EventKind.CLOSED]
    assert (contents.damage, contents.torn) == ([], 0)


@pytest.mark.parametrize("room", [0, 1, 7, 8, 31, 70, 71, 99, 100, 333])
def test_a_full_disk_keeps_the_whole_ones_of_records_that_were_held(tmp_path: Path, full_disk: Any, room: int) -> None:
    """They are written at once, and the disk may take any part of them."""
    writer = SegmentWriter(tmp_path / "s.seg", "s", durability="fsync", by_hand=True)
    size = (tmp_path / "s.seg").stat().st_size
    for each in range(5):
        writer.append(EventKind.STDIO, 1, b"%072d" % each)
    assert (tmp_path / "s.seg").stat().st_size == size
    full_disk(size + room)
    with pytest.raises(OSError, match="too large"):
        writer.settle()
    full_disk(0)
    with pytest.raises(OSError, match="too large"):
        writer.append(EventKind.STDIO, 1, b"y")
    writer.close()
    contents = read_segment((tmp_path / "s.seg").read_bytes(), "s")
    assert [e.body for e in contents.events[1:]] == [b"%072d" % each for each in range(room // 100)]
    assert (contents.damage, contents.torn) == ([], 0)


_WRITER = """
import sys
from pathlib import Path
from playhead.core.events import EventKind
from playhead.journal.segment import SegmentWriter
writer = SegmentWriter(Path(sys.argv[1]), "engine")
writer.append(EventKind.STDIO, 1, b"last words")
print("up", flush=True)
sys.stdin.read()
"""


def test_a_living_writer_is_seen_and_a_killed_one_leaves_what_it_wrote(tmp_path: Path) -> None:
    """The lock falls with the process, by kill -9 too; `write` needs no other act to survive it."""
    path = tmp_path / "engine.seg"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert is_being_written(path)
        assert is_being_written(path), "asking must not take the lock away"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not is_being_written(path)
    contents = read_segment(path.read_bytes(), "engine")
    assert contents.events[-1].body == b"last words"
    assert not contents.closed


def test_a_forked_child_that_forgets_leaves_the_writer_alone(tmp_path: Path) -> None:
    """`forget` closes without a word, and the lock stays with the writer."""
    writer = SegmentWriter(tmp_path / "s.seg", "s")
    pid = os.fork()
    if pid == 0:
        writer.forget()
        os._exit(0)
    os.waitpid(pid, 0)
    assert is_being_written(tmp_path / "s.seg")
    writer.append(EventKind.STDIO, 2, b"on", flags=Flag.REDACTED)
    writer.close()
    assert not is_being_written(tmp_path / "s.seg")
    assert [e.kind for e in read_segment((tmp_path / "s.seg").read_bytes(), "s").events] == [
        EventKind.SEGMENT,
        EventKind.STDIO,
        EventKind.CLOSED,
    ]


def test_a_file_that_is_not_there_is_not_being_written(tmp_path: Path) -> None:
    """No file, no writer."""
    assert not is_being_written(tmp_path / "none.seg")
