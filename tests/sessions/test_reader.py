"""Recordings read back: how they ended, what they hold, and what hostile ones may do (nothing)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playhead.cli.render import pretty_json
from playhead.core.events import Ending, EventKind
from playhead.errors import DamagedRecording, PlayheadError
from playhead.journal.segment import SegmentWriter
from playhead.journal.store import Store
from playhead.sessions.index import catalogue
from playhead.sessions.reader import read_recording
from playhead.sessions.session import Session
from tests.sessions.tapes import ID, Tape, chat, damage, header, said

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def test_status_while_it_is_written_and_after_each_ending(tmp_path: Path) -> None:
    """open; ok; failed; killed by signal or with its recorder; incomplete when it says so or is damaged."""

    def status(name: str, finish: Any) -> str:
        tape = Tape(Store.open(tmp_path / name))
        tape.exchange(chat("hi"), said("ho"))
        tape.exchange(chat("hi again"), said("ho"))
        finish(tape)
        seen = read_recording(tape.folder).status
        tape.launcher.close()
        tape.engine.close()
        return seen

    def ended(*, code: int | None = 0, signal: int | None = None) -> Any:
        return lambda tape: (tape.exit(code, signal), tape.close())

    def incomplete(tape: Tape) -> None:
        tape.launcher.append(EventKind.INCOMPLETE, meta={"reason": "disk full"})
        ended()(tape)

    def damaged(tape: Tape) -> None:
        ended()(tape)
        damage(tape.folder, EventKind.ANSWER)

    assert status("open", lambda tape: None) == "open"
    assert status("ok", ended()) == "ok"
    assert status("failed", ended(code=3)) == "failed"
    assert status("signal", ended(code=None, signal=9)) == "killed"
    assert status("no exit", lambda tape: tape.close()) == "killed"
    assert status("incomplete", incomplete) == "incomplete"
    assert status("damaged", damaged) == "incomplete"


def test_a_recording_whose_engine_ended_early_is_incomplete_although_the_command_ended(store: Store) -> None:
    """A segment without its last record, in a run that went on to its exit, has a hole at its end."""
    tape = Tape(store)
    tape.exchange(chat("hi"), said("ho"))
    tape.exit()
    tape.close()
    engine = tape.folder / "engine.seg"
    engine.write_bytes(engine.read_bytes()[:-10])
    recording = read_recording(tape.folder)
    assert (recording.status, recording.incomplete) == ("incomplete", ["segment engine ends early"])


def test_a_kill_at_any_byte_is_a_shorter_run(store: Store) -> None:
    """Cut the engine's segment anywhere: it opens, exchanges are those begun, answers are prefixes, none is altered."""
    tape = Tape(store)
    full = [said(f"answer {n}") for n in range(3)]
    for n, answer in enumerate(full):
        tape.exchange(chat(f"question {n}"), answer[:50], answer[50:])
    tape.close()
    engine = tape.folder / "engine.seg"
    data = engine.read_bytes()
    whole = read_recording(tape.folder)
    for cut in range(0, len(data), 3):
        engine.write_bytes(data[:cut])
        recording = read_recording(tape.folder)
        assert recording.status == "killed"
        assert (recording.damage, recording.incomplete) == ([], [])
        for read, complete in zip(recording.exchanges, whole.exchanges, strict=False):
            assert complete.answer.startswith(read.answer)
            assert read.head in (complete.head, b"")
            assert read.body in (complete.body, b"")
            assert (read.ending is None) == (read.answer != complete.answer)


def test_sealed_and_open_say_the_same(store: Store) -> None:
    """Sealing changes no answer to any question but where it lies."""
    tape = Tape(store, name="n", tags={"a": "b"})
    tape.lane(1, "python")
    tape.exchange(chat("hi"), said("ho"))
    tape.output(1, b"ho\n")
    tape.exit()
    folder = tape.close()
    before = Session(read_recording(folder)).to_json()
    after = Session(read_recording(store.seal(ID)))
    assert after.to_json() == before
    assert after.recording.sealed
    assert after.recording.output(1) == b"ho\n"


def test_a_damaged_request_costs_its_step_and_those_that_lean_on_it_and_no_other(store: Store) -> None:
    """Bodies that refer to the lost one cannot be known: named, never guessed; the list still works."""
    tape = Tape(store)
    for n in range(3):
        tape.exchange(chat("a long shared history " * 30 + str(n)), said(f"answer {n}"))
    tape.exchange(b"\xff\xfe nothing in common", said("answer 3"))
    tape.exit()
    folder = tape.close()
    damage(folder, EventKind.REQUEST, 0)
    session = Session(read_recording(folder))
    assert session.status == "incomplete"
    assert [e.asked_order >= 0 for e in session.recording.exchanges] == [False, False, False, True]
    assert [e.body for e in session.recording.exchanges] == [b"", b"", b"", b"\xff\xfe nothing in common"]
    assert [s.answered.body[-3:] != b"" for s in session.steps if s.answered] == [True] * 4
    assert "the request of step 2 cannot be read" in " ".join(session.recording.incomplete)
    with catalogue(store) as index:
        assert [r.status for r in index.newest()] == ["incomplete"]


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "../../etc"},
        {"id": "\x1b[2J1234567890ab"},
        {"id": None},
        {"created_ns": "now"},
        {"created_ns": 10**30},
        {"created_ns": -1},
        {"created_ns": True},
        {"command": "python"},
        {"command": [1]},
        {"command": ["a\0b"]},
        {"cwd": 7},
        {"name": ["x"]},
        {"tags": ["x"]},
        {"tags": {"a": 1}},
        {"environment": {"a": None}},
        {"stdio": []},
        {"stdio": ["tty"] * 4},
        {"terminal": [1]},
        {"terminal": "80x24"},
        {"terminal": [-1, 10**9]},
        {"zone_s": 10**12},
        {"zone_s": 1.5},
        {"port": 70000},
        {"redaction": "1"},
        {"parent": 5},
        {"platform": {}},
    ],
    ids=str,
)
def test_a_header_of_other_types_is_damage(store: Store, changes: dict[str, Any]) -> None:
    """One error with its code, wherever such a session is met; lists leave it out."""
    folder = store.begin(ID)
    writer = SegmentWriter(folder / "launcher.seg", "launcher")
    writer.append(EventKind.SESSION, 0, json.dumps({**header(), **changes}).encode())
    writer.close()
    with pytest.raises(DamagedRecording) as caught:
        read_recording(folder)
    assert caught.value.code == "header-missing"
    with catalogue(store) as index:
        assert index.newest() == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 50_000, b'{"id": 1e999}'], ids=len)
def test_a_header_that_is_none_is_damage(store: Store, body: bytes) -> None:
    """The same."""
    folder = store.begin(ID)
    writer = SegmentWriter(folder / "launcher.seg", "launcher")
    writer.append(EventKind.SESSION, 0, body)
    writer.close()
    with pytest.raises(DamagedRecording):
        read_recording(folder)


def test_unknown_keys_of_a_header_are_left_out(store: Store) -> None:
    """A later version may say more."""
    Tape(store, tomorrow={"x": 1}).seal()
    assert read_recording(store.path(ID)).header.id == ID


VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["\x1b[31m", "complete", "reset", "https", "main/x", "\ud83d", "\u202e"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
KEYS = ["connection", "scheme", "host", "port", "route", "reused", "protocol", "head", "lane", "held", "how", "detail"]
KEYS += ["address", "key", "argv", "reason", "bytes", "code", "signal", "duration_s", "cut", "pid"]
SOUND = {"connection": 1, "scheme": "https", "host": "h", "port": 443, "route": "proxy", "reused": False}
SOUND |= {"protocol": "http/1.1", "head": 10, "lane": 0, "held": 3, "how": "complete", "key": "k", "argv": ["a"]}
SOUND |= {"address": "a", "reason": "r", "bytes": 1, "code": 0, "signal": None, "duration_s": 1.0}
EVENT = st.tuples(
    st.sampled_from([kind for kind in EventKind if kind not in (EventKind.SEGMENT, EventKind.SESSION)]),
    st.integers(0, 3),
    st.dictionaries(st.sampled_from(KEYS), VALUE, max_size=3),
    st.sampled_from(
        [
            b"",
            said("x"),
            chat("hi"),
            b"HTTP/1.1 200 OK\r\n\r\n\x1b[2J",
            b"POST /v1/messages HTTP/1.1\r\n\r\n",
            b"\0" * 12,
        ]
    )
    | st.binary(max_size=30),
    st.integers(0, 31),
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=st.lists(EVENT, max_size=8))
def test_whatever_records_say_a_recording_opens_and_every_face_can_show_it(
    tmp_path_factory: pytest.TempPathFactory, events: list[Any]
) -> None:
    """No value of any field is an error, and the whole of it is one JSON document without a control character."""
    folder = tmp_path_factory.mktemp("hostile")
    launcher = SegmentWriter(folder / "launcher.seg", "launcher")
    launcher.append(EventKind.SESSION, 0, json.dumps(header()).encode())
    launcher.close()
    engine = SegmentWriter(folder / "engine.seg", "engine")
    for kind, subject, meta, body, flags in events:
        engine.append(kind, subject, body, meta={**SOUND, **meta}, flags=flags)
    engine.close()
    session = Session(read_recording(folder))
    text = pretty_json(
        [session.to_json(), session.summary(), *(s.to_json(whole=True, raw=True) for s in session.steps)]
    )
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    text.encode()
    assert not any(c in text for c in "\x1b\x7f\x9b\u202e")
    assert session.counts()["exchanges"] == len(session.recording.exchanges)
    assert session.not_captured() is not None


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_as_a_segment_are_a_playhead_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """In an open folder."""
    folder = tmp_path_factory.mktemp("junk")
    (folder / "engine.seg").write_bytes(data)
    with pytest.raises(PlayheadError):
        read_recording(folder)


def test_held_bytes_go_back_to_their_reads_in_every_exchange_of_its_own(store: Store) -> None:
    """Two streams interleaved, each with a tail that could begin a secret: split points as the world gave them."""
    tape = Tape(store)
    reads = [b"HTTP/1.1 200 OK\r\n\r\nfirst sk-", b"proj is prose", b" and sk-pro", b"se too"]
    worlds = [tape.ask(b"%d" % n)[1] for n in (1, 2)]
    for read in reads:
        for world in worlds:
            world.answered(read, last=False)
    for world in worlds:
        world.ended(Ending.CLOSED)
    tape.close()
    for exchange in read_recording(tape.folder).exchanges:
        assert [c.data for c in exchange.chunks] == reads
        assert not exchange.lossy
