"""The recorder: written before delivered, exact, redacted, and never in the agent's way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playhead.core.events import Ending, EventKind, Flag
from playhead.journal import recorder as recorders
from playhead.journal.disk import SystemDisk
from playhead.journal.gate import QuietGate
from playhead.journal.records import read_segment
from tests.journal.peers import ANSWER, HEAD, FakeCaller, FakeRest, Session, connection, exchange

if TYPE_CHECKING:
    from pathlib import Path

SECRET = b"sk-proj-" + b"a1B2c3D4e5F6g7H8" * 3


def ask(session: Session, caller: FakeCaller, body: bytes = b'{"q":1}', number: int = 1, **options: Any) -> Any:
    """A whole question; returns its turn and the world's ear."""
    turn = session.recorder.begin(exchange(number, **options), HEAD % len(body), caller)
    if body:
        turn.feed(body)
    turn.end()
    session.settle()
    return turn, session.world.asked[-1].answering


@pytest.mark.parametrize("durability", ["write", "fsync", "off"])
def test_every_byte_is_on_disk_before_the_agent_has_it(tmp_path: Path, durability: str) -> None:
    """At each delivery a second reader finds the question and these bytes; with durability off it does not."""
    session = Session(tmp_path, durability=durability)
    found: list[bool] = []

    def look(data: bytes) -> None:
        events = read_segment(session.on_disk(), "engine").events
        found.append(any(e.body == data for e in events) and any(e.kind is EventKind.REQUEST for e in events))

    caller = FakeCaller(look)
    _, world = ask(session, caller)
    world.answered(ANSWER % 6, last=False)
    session.settle()
    world.answered(b"abc", last=False)
    world.answered(b"def", last=True)
    session.settle()
    assert found == [durability != "off"] * 3
    assert caller.received == ANSWER % 6 + b"abcdef"


def test_the_end_is_on_disk_before_the_agent_sees_it(tmp_path: Path) -> None:
    """A reset that the agent has seen is a reset in the recording."""
    session = Session(tmp_path)
    seen: list[Ending | None] = []

    class Caller(FakeCaller):
        def finish(self, how: Ending, detail: str = "") -> None:
            seen.append(session.read().exchanges[0].ending)
            super().finish(how)

    caller = Caller()
    _, world = ask(session, caller)
    world.ended(Ending.RESET, "connection reset by peer")
    assert seen == [Ending.RESET]
    assert caller.endings == [Ending.RESET]


def test_the_intent_is_on_disk_before_the_question_leaves(tmp_path: Path) -> None:
    """OPEN stands there when the world is asked."""
    session = Session(tmp_path)
    there: list[bool] = []
    real = session.world.ask

    def watched(*args: Any) -> Any:
        there.append(any(e.kind is EventKind.OPEN for e in read_segment(session.on_disk(), "engine").events))
        return real(*args)

    session.world.ask = watched  # type: ignore[method-assign]
    ask(session, FakeCaller())
    assert there == [True]


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    reads=st.lists(st.binary(min_size=1, max_size=80) | st.just(b"text " + SECRET[:3]), min_size=1, max_size=8),
    body=st.binary(max_size=200),
    ending=st.sampled_from(Ending),
)
def test_reads_come_back_at_their_split_points(
    tmp_path_factory: pytest.TempPathFactory, reads: list[bytes], body: bytes, ending: Ending
) -> None:
    """Question, every read of the answer as one chunk, and the ending, exactly."""
    session = Session(tmp_path_factory.mktemp("s"))
    caller = FakeCaller()
    turn, world = ask(session, caller, body)
    pieces = [ANSWER % 10_000, *reads]
    for piece in pieces:
        world.answered(piece, last=False)
    if ending is Ending.COMPLETE:
        world.answered(b"!", last=True)
        pieces.append(b"!")
    elif ending is Ending.ABANDONED:
        turn.abandon()
    else:
        world.ended(ending, "why")
    session.close()
    (read,) = session.read().exchanges
    assert caller.deliveries == pieces
    assert [c.data for c in read.chunks] == pieces
    assert (read.head, read.body, read.ending) == (HEAD % len(body), body, ending)
    assert not read.lossy


@pytest.mark.parametrize("cut", [1, 4, 8, 20, len(SECRET) - 1])
def test_a_secret_split_over_reads_is_replaced_and_every_read_keeps_its_bytes(tmp_path: Path, cut: int) -> None:
    """What could begin a secret is withheld from the disk, not from the agent; the reader gives it back in place."""
    session = Session(tmp_path)
    caller = FakeCaller()
    _, world = ask(session, caller)
    reads = [ANSWER % 999, b"the key is " + SECRET[:cut], SECRET[cut:], b" keep it", b" well"]
    for read in reads:
        world.answered(read, last=False)
        assert caller.deliveries[-1] == read
        assert SECRET not in session.on_disk()
    world.ended(Ending.CLOSED)
    session.close()
    (exchange_read,) = session.read().exchanges
    assert SECRET not in session.on_disk()
    assert SECRET[-20:] not in session.on_disk()
    assert [len(c.data) for c in exchange_read.chunks] == [len(r) for r in reads]
    assert exchange_read.answer.startswith(ANSWER % 999 + b"the key is <redacted:openai-key:1")
    assert exchange_read.answer.endswith(b"> keep it well")
    assert exchange_read.lossy


@pytest.mark.parametrize("tail", [b"sk-", b"sk-proj-a1B2", b"-----BEGIN"])
def test_a_tail_that_only_looked_like_a_secret_goes_back_to_its_read(tmp_path: Path, tail: bytes) -> None:
    """Also when the answer ends with it, by `last`, by an ending, or by a kill in between."""
    for how in ("last", "ended", "more"):
        session = Session(tmp_path / how)
        caller = FakeCaller()
        _, world = ask(session, caller)
        reads = [ANSWER % 99, b"hello " + tail]
        world.answered(reads[0], last=False)
        world.answered(reads[1], last=how == "last")
        if how == "more":
            world.answered(b" is prose", last=False)
            reads.append(b" is prose")
        if how != "last":
            world.ended(Ending.CUT)
        (read,) = session.read().exchanges
        assert [c.data for c in read.chunks] == reads == caller.deliveries
        assert not read.lossy


def test_credentials_of_the_wire_go_to_the_world_and_not_to_the_disk(tmp_path: Path) -> None:
    """The head that is sent is the client's own; what is stored names the header and not its value."""
    session = Session(tmp_path, secrets=(b"hunter2hunter2",))
    head = (
        b"POST /v1/x?api_key=hunter2hunter2 HTTP/1.1\r\nAuthorization: Bearer %s\r\nContent-Length: 14\r\n\r\n" % SECRET
    )
    turn = session.recorder.begin(exchange(), head, FakeCaller())
    turn.feed(b"hunter2hunter2")
    turn.end()
    assert session.world.asked[0].head == head
    assert session.world.asked[0].body == b"hunter2hunter2"
    session.close()
    assert SECRET not in session.on_disk()
    assert b"hunter2" not in session.on_disk()
    (read,) = session.read().exchanges
    assert b"Authorization: <redacted:header>" in read.head
    assert read.request_redacted


def test_answers_in_a_cookie_are_not_lossy(tmp_path: Path) -> None:
    """A replaced Set-Cookie changes no byte of the body: a replay still serves what the agent read."""
    session = Session(tmp_path)
    _, world = ask(session, FakeCaller())
    world.answered(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=abcdef\r\nContent-Length: 2\r\n\r\nhi", last=True)
    (read,) = session.read().exchanges
    assert b"abcdef" not in read.answer
    assert read.answer.endswith(b"\r\n\r\nhi")
    assert not read.lossy


def test_an_answer_before_the_whole_question(tmp_path: Path) -> None:
    """What was asked so far is kept, the agent hears the answer, and what it still sends harms nothing."""
    session = Session(tmp_path)
    caller = FakeCaller()
    turn = session.recorder.begin(exchange(), HEAD % 100, caller)
    turn.feed(b"the first half")
    world = session.world.asked[0].answering
    world.answered(ANSWER % 0, last=True)
    turn.feed(b"the second half")
    turn.end()
    session.close()
    (read,) = session.read().exchanges
    assert (read.body, read.ending, caller.received) == (b"the first half", Ending.COMPLETE, ANSWER % 0)
    assert read.cut == len(b"the first half")
    assert session.read().incomplete == []


def test_an_abandoned_call_is_dropped_at_the_world_and_nothing_follows(tmp_path: Path) -> None:
    """Before the question is whole, or in the middle of the answer; whatever the world says then is not delivered."""
    for whole in (False, True):
        session = Session(tmp_path / str(whole))
        caller = FakeCaller()
        turn = session.recorder.begin(exchange(), HEAD % 4, caller)
        turn.feed(b"body" if whole else b"bo")
        if whole:
            turn.end()
            session.world.asked[0].answering.answered(ANSWER % 9, last=False)
        turn.abandon()
        session.world.asked[0].answering.answered(b"late", last=True)
        session.world.asked[0].answering.ended(Ending.RESET)
        turn.abandon()
        assert session.world.asked[0].aborted
        session.close()
        (read,) = session.read().exchanges
        assert read.ending is Ending.ABANDONED
        assert read.cut == (None if whole else 2)
        assert caller.endings == []
        assert caller.received == read.answer == (ANSWER % 9 if whole else b"")


@pytest.mark.parametrize("how", [Ending.REFUSED, Ending.TIMEOUT, Ending.REJECTED, Ending.RESET, Ending.CUT])
def test_a_world_that_fails_is_recorded_as_it_failed(tmp_path: Path, how: Ending) -> None:
    """The kind of failure reaches the agent and the recording, with the reason."""
    session = Session(tmp_path)
    caller = FakeCaller()
    _, world = ask(session, caller)
    world.ended(how, "no route" * 200)
    session.close()
    (read,) = session.read().exchanges
    assert caller.endings == [read.ending] == [how]
    assert read.detail.startswith("no route")
    assert len(read.detail) == 500


def test_how_the_world_was_reached_is_kept_once(tmp_path: Path) -> None:
    """The address of a fresh connection; a pooled one says nothing new."""
    session = Session(tmp_path)
    _, world = ask(session, FakeCaller())
    world.reached("192.0.2.1:443", reused=False)
    world.reached("192.0.2.2:443", reused=True)
    assert session.read().exchanges[0].upstream == "192.0.2.1:443"


def test_back_pressure_passes_both_ways(tmp_path: Path) -> None:
    """A slow agent slows the answer; a slow world is the engine's own business until it asks."""
    session = Session(tmp_path)
    turn, _ = ask(session, FakeCaller())
    turn.hold(holding=True)
    turn.hold(holding=False)
    assert session.world.asked[0].holds == [True, False]


def test_after_an_upgrade_bytes_of_both_sides_are_kept(tmp_path: Path) -> None:
    """The exchange is named by what was upgraded; of a websocket it is written how much the client has said."""
    session = Session(tmp_path)
    caller = FakeCaller()
    turn = session.recorder.begin(exchange(), b"GET /s HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", caller)
    turn.end()
    session.settle()
    world = session.world.asked[-1].answering
    world.answered(b"HTTP/1.1 101 Switching", last=False)
    world.upgraded("websocket")  # as where the gate held the first read
    world.answered(b" Protocols\r\n\r\n\x81\x00", last=False)
    for piece in (b"\x81\x02h", b"i\x81\x01!\x89\x00"):
        turn.feed(piece)
    world.answered(b"\x81\x02ho", last=False)
    world.ended(Ending.CLOSED)
    session.close()
    sent = [e for e in read_segment(session.on_disk(), "engine").events if e.kind is EventKind.SENT]
    assert b"".join(e.body for e in sent) == b"\x81\x02hi\x81\x01!\x89\x00"
    assert [e.meta["said"] for e in sent] == [0, 2]
    answers = [e for e in read_segment(session.on_disk(), "engine").events if e.kind is EventKind.ANSWER]
    assert [e.meta["said"] for e in answers if "said" in e.meta] == [1, 2]
    (read,) = session.read().exchanges
    assert (read.protocol, read.is_playable) == ("websocket", True)
    assert [(sent.said, sent.read()) for sent in read.sent] == [(e.meta["said"], e.body) for e in sent]
    assert session.world.asked[0].body == b"\x81\x02hi\x81\x01!\x89\x00"
    assert caller.received.endswith(b"\x81\x02ho")


def test_a_connection_that_begins_raw_is_kept_as_such(tmp_path: Path) -> None:
    """HTTP/2: the question is written at once, everything after it as it passes."""
    session = Session(tmp_path)
    turn = session.recorder.begin(exchange(protocol="h2"), b"", FakeCaller())
    turn.feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    session.world.asked[0].answering.answered(b"\0\0\0\4", last=False)
    turn.abandon()
    session.close()
    (read,) = session.read().exchanges
    assert (read.protocol, read.answer, read.ending) == ("h2", b"\0\0\0\4", Ending.ABANDONED)


def test_a_body_too_large_for_memory_is_kept_exactly_and_without_the_secret_at_its_seam(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written in parts while it arrives; a secret that lies across two parts is found all the same."""
    monkeypatch.setattr(recorders, "SPILL_BYTES", 1000)
    session = Session(tmp_path)
    turn = session.recorder.begin(exchange(), HEAD % 9999, FakeCaller())
    clean = [b"%04d " % n * 200 for n in range(5)]
    for piece in clean:
        turn.feed(piece)
    assert sum(e.kind is EventKind.REQUEST_PART for e in read_segment(session.on_disk(), "engine").events) == 2
    for piece in (b" key " + b"x" * 990 + b" " + SECRET[:9], b"", SECRET[9:] + b" end"):
        turn.feed(piece)
    turn.end()
    session.close()
    assert SECRET not in session.on_disk()
    assert SECRET[-20:] not in session.on_disk()
    (read,) = session.read().exchanges
    assert read.body == b"".join(clean) + b" key " + b"x" * 990 + b" " + b"<redacted:openai-key:1> end"
    assert session.world.asked[0].body == b"".join(clean) + b" key " + b"x" * 990 + b" " + SECRET + b" end"


def test_a_full_disk_ends_the_recording_and_no_call(tmp_path: Path) -> None:
    """Calls under way and later ones get their answers; the trouble is told once; what was written stays readable."""

    class Full(SystemDisk):
        room = True

        def write(self, fd: int, data: bytes, /) -> int:  # type: ignore[override]
            if self.room:
                return os.write(fd, data)
            raise OSError(28, "No space left on device")

    disk = Full()
    session = Session(tmp_path, disk=disk)
    first, second = FakeCaller(), FakeCaller()
    _, world = ask(session, first)
    world.answered(ANSWER % 6, last=False)
    disk.room = False
    world.answered(b"abc", last=False)
    world.answered(b"def", last=True)
    _, world = ask(session, second, number=2)
    world.answered(ANSWER % 0, last=True)
    assert first.received == ANSWER % 6 + b"abcdef"
    assert second.received == ANSWER % 0
    assert session.troubles == ["the recording could not be written: No space left on device"]
    assert not session.recorder.whole
    (read,) = session.read().exchanges
    assert (read.answer, read.ending) == (ANSWER % 6, None)


@pytest.mark.parametrize("part", ["request", "answer"])
def test_a_fault_of_the_recorder_itself_ends_no_call(tmp_path: Path, part: str) -> None:
    """A redaction that fails stops the recording, says so without a value, and the agent hears its answer."""
    session = Session(tmp_path)
    real = session.recorder.redactor.message

    class Broken:
        def __init__(self) -> None:
            self._scope = real()

        def __getattr__(self, name: str) -> Any:
            if name == part:
                raise RuntimeError("with a secret in it")
            return getattr(self._scope, name)

        def answer(self, **_: object) -> Any:
            stream = self._scope.answer()
            if part != "answer":
                return stream

            class Stream:
                def feed(self, *_: object, **__: object) -> Any:
                    raise RuntimeError("with a secret in it")

                close = feed

            return Stream()

    class Redactor:
        message = staticmethod(Broken)

    session.recorder.redactor = Redactor()  # type: ignore[assignment]
    caller = FakeCaller()
    _, world = ask(session, caller)
    world.answered(ANSWER % 2 + b"ok", last=True)
    assert caller.received == ANSWER % 2 + b"ok"
    assert caller.endings == [Ending.COMPLETE]
    assert session.troubles == ["the recorder failed: RuntimeError"]


def test_without_a_writer_calls_are_relayed_and_nothing_is_kept(tmp_path: Path) -> None:
    """What stands in for an engine that died."""
    session = Session(tmp_path)
    session.recorder.writer = None
    session.recorder.whole = False
    size = len(session.on_disk())
    caller = FakeCaller()
    _, world = ask(session, caller)
    world.answered(ANSWER % 2 + b"ok", last=True)
    assert (caller.received, len(session.on_disk()), session.troubles) == (ANSWER % 2 + b"ok", size, [])


def test_a_held_completion_keeps_the_order_of_its_own_reads(tmp_path: Path) -> None:
    """Reads that arrive while the first is held at the gate follow it, in order, once it is let go."""
    rest = FakeRest()
    session = Session(tmp_path, gate=QuietGate(rest))
    callers = [FakeCaller(), FakeCaller()]
    worlds = [ask(session, callers[n], number=n + 1)[1] for n in (0, 1)]
    worlds[0].answered(ANSWER % 2 + b"ok", last=True)
    worlds[1].answered(ANSWER % 4, last=False)
    worlds[1].answered(b"ab", last=False)
    worlds[1].answered(b"cd", last=True)
    assert callers[1].received == b""
    assert session.read().exchanges[1].chunks == []
    rest.say(rested=True)
    assert callers[1].deliveries == [ANSWER % 4, b"ab", b"cd"]
    read = session.read().exchanges[1]
    assert [c.data for c in read.chunks] == callers[1].deliveries
    assert not read.order_unobserved


def test_a_piece_of_another_stream_waits_until_the_client_sleeps(tmp_path: Path) -> None:
    """Pieces of one stream follow each other at once. One behind another stream's waits for the client to sleep; that it has read
    is waited for behind a first piece only, since nobody need read on in the middle of an answer."""
    rest = FakeRest()
    session = Session(tmp_path, gate=QuietGate(rest))
    callers = [FakeCaller(), FakeCaller()]
    worlds = [ask(session, callers[n], number=n + 1)[1] for n in (0, 1)]
    worlds[0].answered(ANSWER % 4, last=False)
    worlds[0].answered(b"ab", last=False)
    assert callers[0].deliveries == [ANSWER % 4, b"ab"]
    worlds[1].answered(ANSWER % 4, last=False)
    assert callers[1].received == b""
    assert len(rest.waits[0][0]) == 1  # the port of the first, whose beginning it need have read
    rest.say(rested=True)
    worlds[0].answered(b"c", last=False)
    worlds[0].answered(b"d", last=True)
    assert callers[0].received == ANSWER % 4 + b"ab"
    rest.say(rested=True)
    assert callers[0].received == ANSWER % 4 + b"abcd"
    session = Session(tmp_path / "more", gate=QuietGate(rest))
    worlds = [ask(session, FakeCaller(), number=n)[1] for n in (1, 2)]
    rest.at_rest = True
    for number, data in ((0, ANSWER % 9), (1, ANSWER % 9), (0, b"a"), (1, b"b"), (0, b"c")):
        rest.looks.clear()
        worlds[number].answered(data, last=False)
    assert rest.looks == [()]
    rest.at_rest = False
    worlds[1].answered(b"d", last=False)
    assert rest.waits[0][0] == ()
    rest.say(rested=False)
    assert [e.order_unobserved for e in session.read().exchanges] == [False, True]


def test_what_was_released_unobserved_says_so(tmp_path: Path) -> None:
    """Both with bytes and with a bare ending."""
    rest = FakeRest()
    session = Session(tmp_path, gate=QuietGate(rest))
    worlds = [ask(session, FakeCaller(), number=n)[1] for n in (1, 2, 3)]
    worlds[0].answered(ANSWER % 0, last=True)
    worlds[1].answered(ANSWER % 0, last=True)
    worlds[2].ended(Ending.CLOSED)
    rest.say(rested=False)
    assert [e.order_unobserved for e in session.read().exchanges] == [False, True, True]
    assert session.read().exchanges[1].chunks[0].flags & Flag.ORDER_UNOBSERVED


def test_an_answer_that_is_abandoned_while_it_is_held_is_not_in_the_recording(tmp_path: Path) -> None:
    """The agent never had it."""
    rest = FakeRest()
    session = Session(tmp_path, gate=QuietGate(rest))
    callers = [FakeCaller(), FakeCaller()]
    turns = [ask(session, callers[n], number=n + 1) for n in (0, 1)]
    turns[0][1].answered(ANSWER % 0, last=True)
    turns[1][1].answered(ANSWER % 2 + b"no", last=True)
    turns[1][0].abandon()
    rest.say(rested=True)
    read = session.read().exchanges[1]
    assert (read.answer, read.ending, callers[1].received) == (b"", Ending.ABANDONED, b"")


def test_interleaved_exchanges_keep_apart_and_their_lane_is_written(tmp_path: Path) -> None:
    """Two questions whose bodies complete in the other order than they began; both are exact."""
    session = Session(tmp_path, lane=3)
    on = connection(7)
    turns = [session.recorder.begin(exchange(n, on), HEAD % 500, FakeCaller()) for n in (1, 2)]
    bodies = [b"history " * 60 + b"one", b"history " * 60 + b"two"]
    for n in (1, 0):
        turns[n].feed(bodies[n])
        turns[n].end()
    for n in (0, 1):
        session.world.asked[n].answering.answered(ANSWER % 1 + b"%d" % n, last=True)
    session.close()
    read = session.read().exchanges
    assert [e.body for e in read] == bodies
    assert [e.answer for e in read] == [ANSWER % 1 + b"0", ANSWER % 1 + b"1"]
    assert [(e.lane, e.connection, e.reused) for e in read] == [(3, 7, False), (3, 7, True)]
