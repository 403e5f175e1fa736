"""Sealed recordings: read as far as asked, and as far as they are whole."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playhead.cli.render import pretty_json
from playhead.core.events import Ending
from playhead.core.redact import Redactor
from playhead.errors import DamagedRecording, PlayheadError, UsageError
from playhead.journal import frames
from playhead.journal.contents import read_contents
from playhead.journal.frames import FrameFile, Kind
from playhead.journal.store import Store
from playhead.player.judge import RecordingJudge, recorded_facts
from playhead.sessions.reader import read_exchange, read_recording
from playhead.sessions.session import Session
from tests.sessions.tapes import Tape, chat, said

if TYPE_CHECKING:
    from pathlib import Path

    from playhead.sessions.model import Recording


def recorded(folder: Path, steps: int = 12, *, size: int = 0) -> Path:
    """A sealed session of so many steps, each asking all before it again, answered in a few reads; two interleave."""
    dice = random.Random(steps)
    tape = Tape(Store.open(folder))
    history = "a long shared history " * 20
    for n in range(1, steps + 1):
        history += f"turn {n} {dice.randbytes(size // 2).hex()} "
        answer = said(f"answer {n} {dice.randbytes(size // 2).hex()}")
        if n % 5:
            tape.exchange(chat(history), answer[:40], answer[40:60], answer[60:])
        else:
            _, world = tape.ask(chat(history))
            world.answered(answer[:50], last=False)
            world.answered(answer[50:], last=False)
            world.ended(Ending.CLOSED)
        tape.output(1, b"line %d\n" % n)
    return tape.seal()


def told(recording: Recording) -> list[Any]:
    return [
        (e.number, e.head, e.body, e.chunks, e.ending, e.ended_order, e.asked_order, e.lossy, e.order_unobserved)
        for e in recording.exchanges
    ]


def flip(path: Path, kind: Kind, nth: int = 0) -> None:
    """One byte of the nth frame of a kind."""
    offset = FrameFile(path).frames[kind][nth].offset + 7
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(bytes(data))


def test_opening_decodes_no_request_and_no_answer(tmp_path: Path) -> None:
    """They are read when they are asked for, and only those."""
    path = recorded(tmp_path)
    recording = read_recording(path)
    keeper = recording.exchanges[0].read_chunks.func.__self__  # type: ignore[union-attr]
    file = keeper._sealed.file

    def decoded() -> set[Kind]:
        return {kind for kind, frames in file.frames.items() for f in frames if f.offset in file._decoded}

    assert Kind.ASKED not in decoded()
    assert Kind.ANSWERED not in decoded()
    assert not recording.exchanges[0].lossy
    assert recording.exchanges[3].ending is Ending.COMPLETE
    assert Kind.ANSWERED not in decoded()
    assert recording.exchanges[3].answer.endswith(b"}")
    assert Kind.ANSWERED in decoded()
    assert Kind.ASKED not in decoded()


def test_one_exchange_by_itself_is_the_same_as_among_all(tmp_path: Path) -> None:
    """Every step, read cold; and one that is not there is said not to be."""
    path = recorded(tmp_path, 45)
    whole = read_recording(path)
    for exchange in whole.exchanges:
        alone = read_exchange(path, exchange.number)
        assert (alone.head, alone.body, alone.chunks) == (exchange.head, exchange.body, exchange.chunks)
        assert (alone.ending, alone.ended_order, alone.lane) == (exchange.ending, exchange.ended_order, exchange.lane)
    with pytest.raises(UsageError) as caught:
        read_exchange(path, 46)
    assert caught.value.code == "no-such-step"


def test_an_open_session_has_its_exchanges_one_by_one_too(tmp_path: Path) -> None:
    """From its folder."""
    tape = Tape(Store.open(tmp_path))
    tape.exchange(chat("hi"), said("ho"))
    tape.close()
    assert read_exchange(tape.folder, 1).body == chat("hi")


def test_without_its_index_everything_is_there_and_the_loss_is_named(tmp_path: Path) -> None:
    """The directory is made again from the records."""
    path = recorded(tmp_path)
    before = told(read_recording(path))
    flip(path, Kind.INDEX)
    recording = read_recording(path)
    assert told(recording) == before
    assert recording.status == "incomplete"
    assert any("index" in reason for reason in recording.incomplete)
    assert read_exchange(path, 7).body == before[6][2]


def test_a_damaged_frame_costs_the_steps_that_lie_in_it_which_are_named_and_not_played(tmp_path: Path) -> None:
    """Of answers: their steps can be seen and not replayed. All others are whole."""
    path = recorded(tmp_path, 12, size=200_000)
    whole = told(read_recording(path))
    flip(path, Kind.ANSWERED, 1)
    recording = read_recording(path)
    lost = [e.number for e in recording.exchanges if e.lost]
    assert 1 <= len(lost) <= 8
    assert recording.status == "incomplete"
    assert any(f"affects steps {lost[0]}-{lost[-1]}" in reason for reason in recording.incomplete)
    for exchange, before in zip(recording.exchanges, whole, strict=True):
        assert exchange.body == before[2]
        assert b"".join(c.data for c in before[3]).startswith(exchange.answer)
        assert (exchange.chunks == before[3]) == (exchange.number not in lost)
    judge = RecordingJudge(recording, Redactor(), recorded_facts(recording.header))
    playable = [exchange.number for exchange, _ in judge.recorded(recording)]
    assert playable == [n for n in range(1, 13) if n not in lost]
    with pytest.raises(DamagedRecording):
        read_exchange(path, lost[0])
    assert read_exchange(path, playable[-1]).answer


def test_a_damaged_frame_of_requests_costs_those_that_hold_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that sends everything again needs all of it; an answer is there all the same."""
    monkeypatch.setattr(frames, "ASKED_BYTES", 1 << 20)
    path = recorded(tmp_path, 12, size=200_000)
    whole = {each[0]: each for each in told(read_recording(path))}
    flip(path, Kind.ASKED, 1)
    recording = read_recording(path)
    known = [e.number for e in recording.exchanges if e.asked_order >= 0]
    assert known == list(range(1, len(known) + 1))
    assert 1 <= len(known) < 12
    assert any(f"the request of step {len(known) + 1} cannot be read" in reason for reason in recording.incomplete)
    for exchange in recording.exchanges:
        _, _, body, chunks, *_ = whole[exchange.number]
        assert exchange.body == (body if exchange.number in known else b"")
        assert exchange.chunks == chunks


def test_a_recording_cut_anywhere_is_a_part_of_itself_and_incomplete(tmp_path: Path) -> None:
    """At many offsets: what is there is what was there; questions and answers that are not whole are marked."""
    path = recorded(tmp_path, 8, size=2000)
    data = path.read_bytes()
    whole = {each[0]: each for each in told(read_recording(path))}
    first = FrameFile(path).frames[Kind.RECORDS][0]
    for cut in range(0, len(data), 211):
        path.write_bytes(data[:cut])
        if cut < first.offset + first.stored:
            with pytest.raises(PlayheadError):
                read_recording(path)
            continue
        recording = read_recording(path)
        assert recording.status == "incomplete"
        assert recording.header.command == ["python", "agent.py"]
        for exchange in recording.exchanges:
            _, _, body, chunks, *_ = whole[exchange.number]
            assert b"".join(c.data for c in chunks).startswith(exchange.answer)
            assert exchange.lost or exchange.chunks == chunks
            assert exchange.asked_order < 0 or exchange.body == body


def test_an_answer_that_is_lost_after_opening_is_an_error_and_not_a_shorter_one(tmp_path: Path) -> None:
    """Somebody overwrites the file while it is read."""
    path = recorded(tmp_path, 3)
    recording = read_recording(path)
    os.truncate(path, 200)
    with pytest.raises(DamagedRecording):
        _ = recording.exchanges[1].answer
    with pytest.raises(DamagedRecording):
        _ = recording.exchanges[1].body


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    cut=st.none() | st.integers(0, 10**6),
    again=st.none() | st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
    mend=st.booleans(),
)
def test_whatever_becomes_of_a_sealed_file_only_our_errors_come_out(
    tmp_path_factory: pytest.TempPathFactory, changes: list[Any], cut: int | None, again: Any, mend: bool
) -> None:
    """Bytes changed, cut off and repeated, inside the frames too, with checksums that are right (`mend`)."""
    folder = tmp_path_factory.getbasetemp() / "mutated"
    if not folder.exists():
        recorded(folder, 6)
    source = next((folder / "sessions").glob("*.tape"))
    data = bytearray(source.read_bytes())
    path = tmp_path_factory.getbasetemp() / "mutated.tape"
    if mend:
        data = bytearray(mended(source, changes))
    else:
        for at, value in changes:
            data[at % len(data)] = value
    if again is not None:
        start, end = sorted(at % len(data) for at in again)
        data[start:start] = data[start:end]
    path.write_bytes(bytes(data if cut is None else data[: cut % len(data)]))
    try:
        read_contents(path)
        session = Session(read_recording(path))
        pretty_json([session.to_json(), *(s.to_json(whole=True, raw=True) for s in session.steps)])
    except PlayheadError:
        return


def mended(source: Path, changes: list[tuple[int, int]]) -> bytes:
    """The file with bytes changed inside its frames before they are compressed, and every checksum right."""
    import io

    from playhead.journal.frames import FrameWriter

    file, out = FrameFile(source), io.BytesIO()
    frames = sorted((f for each in file.frames.values() for f in each), key=lambda f: f.offset)
    writer = FrameWriter(out, file.mark, lambda _: 1)
    for number, frame in enumerate(frames):
        raw = bytearray(file.decode(frame) or b"")
        for at, value in changes:
            if at % len(frames) == number:
                raw[at // len(frames) % len(raw)] = value
        writer.piece(frame.kind, bytes(raw))
        writer.flush(frame.kind)
    return out.getvalue()


def test_a_recording_names_its_open_file_and_no_closed_one(tmp_path: Path) -> None:
    """A forked engine keeps that descriptor; a number that was closed may be its own way out, which must not stay open."""
    tape = Tape(store := Store.open(tmp_path))
    tape.close()
    recording = read_recording(store.seal(tape.id) if store.path(tape.id).is_dir() else store.path(tape.id))
    assert recording.file is not None
    assert os.fstat(recording.descriptor).st_ino == store.path(tape.id).stat().st_ino
    recording.file.close()
    assert recording.descriptor is None
