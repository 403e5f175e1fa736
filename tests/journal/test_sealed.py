"""Sealed files: exact for any events, and readable in every part that is left of them."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playhead.core.events import Event, EventKind, Flag
from playhead.errors import DamagedRecording, IncompatibleRecording
from playhead.journal import frames, sealing
from playhead.journal.contents import read_contents
from playhead.journal.frames import HEADER, MAGIC, PREAMBLE, FrameFile, Kind
from playhead.journal.records import read_segment
from playhead.journal.sealed import Sealed, read_sealed
from playhead.journal.sealing import write_sealed
from playhead.journal.segment import SegmentWriter
from tests.journal.tapes import ID, segment_of, session_of_exchanges

if TYPE_CHECKING:
    from pathlib import Path

    from playhead.journal.blocks import Placed


@pytest.fixture
def segments() -> dict[str, bytes]:
    """Two segments: a launcher's, and an engine's with six exchanges of which two interleave."""
    return session_of_exchanges(6)


@pytest.fixture
def sealed(tmp_path: Path, segments: dict[str, bytes]) -> Path:
    path = tmp_path / f"{ID}.tape"
    write_sealed(path, ID, segments.items())
    return path


def true_events(segments: dict[str, bytes]) -> dict[str, list[Event]]:
    return {name: read_segment(data, name).events for name, data in segments.items()}


def in_order(part: list[Event], whole: list[Event]) -> bool:
    """Whether `part` is `whole` with some left out."""
    rest = iter(whole)
    return all(any(event == other for other in rest) for event in part)


def test_segments_come_back_whole_and_in_order(sealed: Path, segments: dict[str, bytes]) -> None:
    """Every event of every segment, no damage, mode 0600, nothing left beside it."""
    contents = read_sealed(sealed)
    assert {s.segment: s.events for s in contents.segments} == true_events(segments)
    assert all(s.closed for s in contents.segments)
    assert (contents.session, contents.damage) == (ID, [])
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600
    assert [p.name for p in sealed.parent.iterdir()] == [sealed.name]


def test_requests_and_answers_lie_apart_and_an_answer_is_joined(sealed: Path) -> None:
    """Two answers whose reads interleaved on the wire are each in one piece."""
    file = FrameFile(sealed)
    answered = file.read(Kind.ANSWERED, 0, file.length(Kind.ANSWERED))
    asked = file.read(Kind.ASKED, 0, file.length(Kind.ASKED))
    assert b"answer 1 part 0. answer 1 part 1. answer 1 part 2. " in answered
    assert b"answer 2 part 0. answer 2 part 1. answer 2 part 2. " in answered
    assert b"answer" not in asked
    assert b"question 1" in asked
    assert b"question" not in answered


def test_sealing_twice_gives_the_same_bytes(tmp_path: Path, segments: dict[str, bytes]) -> None:
    """Nothing of the moment gets in."""
    for name in "ab":
        write_sealed(tmp_path / name, ID, segments.items())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(EventKind),
        st.sampled_from([0, 1, 2, 3, 2**32 - 1]),
        st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5) | st.floats(), max_size=3)
        | st.builds(lambda n: {"head": n}, st.integers(-3, 40)),
        st.binary(max_size=60),
        st.integers(0, 255),
        st.integers(0, 2**64 - 1) | st.integers(10**15, 10**15 + 10**9),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=EVENTS,
    second=EVENTS,
    torn=st.integers(0, 60),
    flips=st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 255)), max_size=3),
)
def test_any_events_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, first: list[Any], second: list[Any], torn: int, flips: list[Any]
) -> None:
    """Whatever they say, and of segments that are damaged and torn: what a reader of the segments sees."""
    data = bytearray(segment_of("second", second, close=False))
    data = data[: len(data) - torn] if torn else data
    for offset, value in flips:
        if data:
            data[offset % len(data)] ^= value
    segments = {"first": segment_of("first", first), "second": bytes(data)}
    path = tmp_path_factory.getbasetemp() / "any.tape"
    write_sealed(path, ID, segments.items())
    contents = read_sealed(path)
    for read, (name, raw) in zip(contents.segments, segments.items(), strict=True):
        direct = read_segment(raw, name)
        assert repr(read.events) == repr(direct.events)  # not-a-number equals nothing
        assert (read.damage, read.torn, read.size, read.closed) == (
            direct.damage,
            direct.torn,
            direct.size,
            direct.closed,
        )
    assert contents.damage == [d for s in contents.segments for d in s.damage]


def test_large_bodies_are_cut_into_frames(tmp_path: Path) -> None:
    """Twelve standard-stream records of 300 KB, and an answer of 5 MB in one read."""
    events = [(EventKind.STDIO, 1, {}, bytes([n]) * 300_000, 0, n + 1) for n in range(12)]
    events += [(EventKind.ANSWER, 1, {}, b"0123456789" * 500_000, 0, 99)]
    data = segment_of("engine", events)
    write_sealed(tmp_path / "a.tape", ID, [("engine", data)])
    (read,) = read_sealed(tmp_path / "a.tape").segments
    assert read.events == read_segment(data, "engine").events
    frames = FrameFile(tmp_path / "a.tape").frames
    assert max(f.raw for f in frames[Kind.ANSWERED]) == 1 << 20
    assert len(frames[Kind.RECORDS]) > 2


def test_a_sealing_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """The file exists whole or not at all."""

    def failing() -> Any:
        yield "engine", segment_of("engine", [])
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_sealed(tmp_path / "a.tape", ID, failing())
    assert [p.name for p in tmp_path.iterdir()] == []


def test_a_sealing_that_does_not_read_back_is_refused(
    tmp_path: Path, segments: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that loses one event, or one bit of a time, is found out before the file takes its place."""
    for fault in (lambda p: p[:-1], lambda p: [p[0]._replace(event=_later(p[0].event)), *p[1:]]):
        true = sealing.blocks_of

        def broken(events: Any, fault: Any = fault, true: Any = true) -> Any:
            for kind, subject, placed in true(events):
                yield kind, subject, fault(placed) if subject == 3 else placed

        with monkeypatch.context() as patch:
            patch.setattr(sealing, "blocks_of", broken)
            with pytest.raises(DamagedRecording) as caught:
                write_sealed(tmp_path / "a.tape", ID, segments.items())
        assert caught.value.code == "seal-unverified"
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", ["seq", "t_ns", "flags", "body", "meta", "position"])
@pytest.mark.parametrize("kind", [EventKind.REQUEST, EventKind.ANSWER])
def test_a_block_that_does_not_read_back_is_refused(
    tmp_path: Path, segments: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, kind: EventKind, field: str
) -> None:
    """Whatever of one event is not as it was, be it one of those whose fields stand in columns."""
    true = sealing.write_block

    def changed(placed: Placed) -> Placed:
        event = placed.event
        if field == "position":
            return placed._replace(position=placed.position + 1000)
        if field == "meta":
            return placed._replace(meta=b'{"held":1,"head":0}')
        value = event.body + b"!" if field == "body" else getattr(event, field) ^ 4
        return placed._replace(event=event.replaced(**{field: value}))

    def broken(of: int, segment: int, subject: int, placed: list[Placed], *at: int) -> Any:
        first = next((n for n, p in enumerate(placed) if p.event.kind is kind and subject == 3), None)
        return true(of, segment, subject, [changed(p) if n == first else p for n, p in enumerate(placed)], *at)

    monkeypatch.setattr(sealing, "write_block", broken)
    with pytest.raises(DamagedRecording) as caught:
        write_sealed(tmp_path / "a.tape", ID, segments.items())
    assert caught.value.code == "seal-unverified"
    assert list(tmp_path.iterdir()) == []


def _later(event: Event) -> Event:
    return Event(event.kind, event.seq, event.t_ns ^ 1, event.subject, event.flags, event.meta, event.body)


def test_every_truncation_leaves_all_whole_frames_and_invents_nothing(sealed: Path, segments: dict[str, bytes]) -> None:
    """Cut at any byte: events whose bytes are all in whole frames are read, and that something is lost is said."""
    data, true = sealed.read_bytes(), true_events(segments)
    whole = FrameFile(sealed).frames
    before = -1
    for cut in range(len(data)):
        sealed.write_bytes(data[:cut])
        left = {kind: [f for f in frames if f.offset + f.stored <= cut] for kind, frames in whole.items()}
        if not any(left.values()):
            with pytest.raises(IncompatibleRecording if cut < len(MAGIC) else DamagedRecording) as caught:
                read_sealed(sealed)
            assert caught.value.code == ("not-a-recording" if cut < len(MAGIC) else "recording-truncated")
            continue
        contents = read_sealed(sealed)
        assert contents.damage, cut
        read = {s.segment: s.events for s in contents.segments}
        assert all(in_order(read[name], true[name]) for name in read)
        count = sum(map(len, read.values()))
        assert count >= before
        before = count
        if left[Kind.RECORDS]:
            assert read["launcher"] == true["launcher"]
        if len(left[Kind.RECORDS]) == len(whole[Kind.RECORDS]):
            gone = {k for k in (Kind.ASKED, Kind.ANSWERED) if len(left[k]) < len(whole[k])}
            assert [e for e in true["engine"] if e not in read["engine"]] == [
                e for e in true["engine"] if e.body and stream_of(e) in gone
            ]
    assert before == sum(map(len, true.values()))


def stream_of(event: Event) -> Kind | None:
    if event.kind is EventKind.ANSWER:
        return Kind.ANSWERED
    return Kind.ASKED if event.kind in (EventKind.REQUEST, EventKind.REQUEST_PART, EventKind.SENT) else None


def test_every_flipped_byte_costs_at_most_its_frame_and_is_named(sealed: Path, segments: dict[str, bytes]) -> None:
    """Damage is said, nothing wrong is read, and what lies in other frames is there."""
    data, true = sealed.read_bytes(), true_events(segments)
    frames = [f for kind in FrameFile(sealed).frames.values() for f in kind]
    for offset in range(len(data)):
        flipped = bytearray(data)
        flipped[offset] ^= 0x11
        sealed.write_bytes(bytes(flipped))
        contents = read_sealed(sealed)
        assert contents.damage, offset
        read = {s.segment: s.events for s in contents.segments}
        hit = [f.kind for f in frames if f.offset - HEADER <= offset < f.offset + f.stored]
        lost = [e for name in true for e in true[name] if e not in read.get(name, [])]
        if not hit or hit == [Kind.INDEX]:
            assert read == true
        elif hit != [Kind.RECORDS]:
            assert lost
            assert all(stream_of(e) is hit[0] for e in lost)
        assert all(in_order(read[name], true[name]) for name in read)


def test_damage_names_the_steps_it_affects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of answers in several frames only those in the damaged one; of requests and of records likewise."""
    monkeypatch.setattr(frames, "ASKED_BYTES", 1 << 20)
    exchanges = []
    for n in range(1, 9):
        exchanges += [
            (EventKind.OPEN, n, {}, b"", 0, n),
            (EventKind.REQUEST, n, {"head": 0}, b"\0" * 12 + bytes([n]) * 400_000, 0, n),
            (EventKind.ANSWER, n, {}, bytes([n]) * 400_000, Flag.LAST, n),
        ]
    path = tmp_path / "a.tape"
    write_sealed(path, ID, [("engine", segment_of("engine", exchanges))])
    data = path.read_bytes()
    file = FrameFile(path)
    said = {}
    for kind, number in ((Kind.ANSWERED, 1), (Kind.ASKED, 0), (Kind.RECORDS, 1), (Kind.INDEX, 0)):
        flipped = bytearray(data)
        flipped[file.frames[kind][number].offset + 9] ^= 1
        path.write_bytes(bytes(flipped))
        said[kind] = [d.problem for d in Sealed(path).damage()]
    assert said == {
        Kind.ANSWERED: ["a frame of answers: checksum mismatch; affects steps 3-6"],
        Kind.ASKED: ["a frame of requests: checksum mismatch; affects steps 1-3"],
        Kind.RECORDS: ["a frame of records: checksum mismatch; affects steps 1-8"],
        Kind.INDEX: ["a frame of the index: checksum mismatch", "the index at its end is lost"],
    }


def test_an_exchange_is_read_without_the_rest(tmp_path: Path) -> None:
    """One step of many: of each stream no more than the frames it lies in are decoded."""
    path = tmp_path / "a.tape"
    segments = session_of_exchanges(40, size=120_000)
    write_sealed(path, ID, segments.items())
    file = Sealed(path)
    (block,) = file.exchange(20)
    rows = [*file.rows(block, stamps=False), *file.rows(block, stamps=True)]
    events = sorted((file.whole(p) for p in rows), key=lambda e: e.seq)
    assert events == [e for e in true_events(segments)["engine"] if e.subject == 20]
    decoded = {kind: sum(f.offset in file.file._decoded for f in frames) for kind, frames in file.file.frames.items()}
    assert len(file.file.frames[Kind.ANSWERED]) > 4
    assert decoded[Kind.ANSWERED] <= 2
    assert decoded[Kind.ASKED] <= 2
    assert Sealed(path).exchange(99) == []


def test_a_lost_header_of_a_frame_is_passed_over_and_a_nested_recording_is_not_taken_for_it(tmp_path: Path) -> None:
    """A body that is itself a sealed recording lies in the file as it is, headers and all: none of it is read as ours."""
    import random

    inner = tmp_path / "inner.tape"
    noise = random.Random(5).randbytes(30_000)
    foreign = [(EventKind.STDIO, 1, {}, b"foreign" + noise, 0, 5), (EventKind.ANSWER, 7, {}, noise[::-1], 0, 6)]
    write_sealed(inner, "0123456789abcdef", [("foreign", segment_of("foreign", foreign))])
    body = inner.read_bytes()
    events = [(EventKind.OPEN, 1, {}, b"", 0, 1), (EventKind.ANSWER, 1, {}, body, Flag.LAST, 2)]
    path = tmp_path / "outer.tape"
    segments = {"launcher": segment_of("launcher", []), "engine": segment_of("engine", events)}
    write_sealed(path, ID, segments.items())
    data = bytearray(path.read_bytes())
    frame = FrameFile(path).frames[Kind.ANSWERED][0]
    assert body[PREAMBLE : PREAMBLE + HEADER] in data  # the compressor found nothing to gain
    data[frame.offset - 10] ^= 1
    path.write_bytes(bytes(data))
    contents = read_sealed(path)
    assert {s.segment for s in contents.segments} == {"launcher", "engine"}
    assert [e.kind for e in contents.segments[1].events] == [EventKind.SEGMENT, EventKind.OPEN, EventKind.CLOSED]
    assert "affects step 1" in contents.damage[-1].problem or "affects step 1" in contents.damage[0].problem


def test_an_open_folder_of_a_newer_format_is_refused_too(tmp_path: Path) -> None:
    """The first record of a segment names its format."""
    from struct import pack
    from zlib import crc32

    folder = tmp_path / f"{ID}.tape.d"
    folder.mkdir()
    meta = json.dumps({"segment": "engine", "format": 7}).encode()
    fixed = pack("<BBHIIQ", EventKind.SEGMENT, 0, len(meta), 0, 0, 1) + meta
    (folder / "engine.seg").write_bytes(pack("<II", len(fixed), crc32(fixed)) + fixed)
    with pytest.raises(IncompatibleRecording) as caught:
        read_contents(folder)
    assert (caught.value.code, caught.value.seen) == ("format-version", "format 7")
    assert "pip install -U playhead" in caught.value.todo


def test_writers_of_segments_and_of_this_module_agree(tmp_path: Path) -> None:
    """A segment written by the product, sealed and read."""
    writer = SegmentWriter(tmp_path / "engine.seg", "engine")
    for body in (b"one", b"", b"three"):
        writer.append(EventKind.STDIO, 1, body)
    writer.close()
    data = (tmp_path / "engine.seg").read_bytes()
    write_sealed(tmp_path / "a.tape", ID, [("engine", data)])
    (read,) = read_sealed(tmp_path / "a.tape").segments
    assert read.events == read_segment(data, "engine").events
    assert [e.body for e in read.events if e.kind is EventKind.STDIO] == [b"one", b"", b"three"]
