"""Websockets in a replay, without processes: what leaves when, what is compared, and what is refused."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playhead.core.events import Ending
from playhead.core.redact import Redactor
from playhead.core.tape import Connection, Exchange, Route, Target
from playhead.core.websocket import BINARY, CLOSE, PING, PONG, TEXT, Message, Reader, frame
from playhead.journal.store import Store
from playhead.matching.masks import RunFacts
from playhead.player import player as players
from playhead.player.judge import RecordingJudge
from playhead.player.player import Player
from playhead.player.script import write_script
from playhead.sessions.reader import read_recording
from playhead.sessions.searchable import searchable
from playhead.sessions.session import Session
from tests.core.secrets import shaped
from tests.journal.peers import FakeCaller
from tests.player.stage import WillingRest, settle, until
from tests.sessions.tapes import CREATED_NS, Tape

if TYPE_CHECKING:
    from pathlib import Path

KEY = b"\x01\x02\x03\x04"
HEAD = (
    b"GET /talk HTTP/1.1\r\nHost: ws.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
GRANTED = b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: of another key\r\n\r\n"
ACCEPTED = GRANTED.replace(b"of another key", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
SECRET = shaped()[0].secret
DAY_NS = 86_400 * 10**9


def says(text: str | bytes, opcode: int = TEXT) -> bytes:
    """A frame of the client."""
    return frame(0x80 | opcode, text.encode() if isinstance(text, str) else text, KEY)


def told(text: str | bytes, opcode: int = TEXT) -> bytes:
    """A frame of the server."""
    return frame(0x80 | opcode, text.encode() if isinstance(text, str) else text)


def exchange() -> Exchange:
    connection = Connection(1, ("127.0.0.1", 40_001), Route.PROXY)
    return Exchange(1, connection, Target("https", "ws.example", 443), 0, reused=False)


class Bench:
    """A recorded conversation, (whose, bytes) in turn, and a player of it. `in_process`: clients order their answers."""

    def __init__(
        self, root: Path, *said: tuple[str, bytes], ending: Ending = Ending.CLOSED, in_process: bool = False
    ) -> None:
        tape = Tape(Store.open(root))
        turn = tape._recorder.begin(exchange(), HEAD, FakeCaller())
        turn.end()
        world = tape._world.asked[-1].answering
        world.upgraded("websocket")
        world.answered(GRANTED, last=False)
        for whose, data in said:
            turn.feed(data) if whose == "client" else world.answered(data, last=False)
        turn.abandon() if ending is Ending.ABANDONED else world.ended(ending)
        tape.exit()
        recording = self.recording = read_recording(tape.close())
        judge = RecordingJudge(recording, Redactor(), RunFacts(CREATED_NS + DAY_NS))
        self.halts: list[str] = []
        self.player = Player(
            write_script(recording, judge.recorded(recording), in_process=in_process),
            judge,
            WillingRest(),
            strict=True,
            lane_of=lambda _: "main",
            halt=self.halts.append,
        )
        self.caller = FakeCaller()
        self.turn: Any = self.player.begin(exchange(), HEAD, self.caller)
        self.turn.end()

    async def say(self, *frames: bytes) -> bytes:
        """All that the client has got once it has said these."""
        for each in frames:
            self.turn.feed(each)
        await settle()
        return self.caller.received

    @property
    def found(self) -> list[tuple[Any, ...]]:
        return [(each.kind.value, each.path, each.expected, each.observed) for each in self.player.divergences]


ASKED = ("client", says('{"q": 1}'))
ANSWERED = ("server", told("one"))
AGAIN = ("client", says('{"q": 2}'))
TOO = ("server", told("two"))
ENOUGH = ("client", says(b"\x03\xe8", CLOSE))
GOODBYE = ("server", told(b"\x03\xe8", CLOSE))
WHOLE = (ASKED, ANSWERED, AGAIN, TOO, ENOUGH, GOODBYE)
BOTH = pytest.mark.parametrize("in_process", [False, True])


@BOTH
def test_an_answer_leaves_once_its_question_was_said(in_process: bool, tmp_path: Path) -> None:
    """The head at once, for the live key; the rest piece by piece."""

    async def main() -> None:
        bench = Bench(tmp_path, *WHOLE, in_process=in_process)
        assert await bench.say() == ACCEPTED
        assert await bench.say(says('{"q": 1}')) == ACCEPTED + told("one")
        assert await bench.say(says('{ "q":2 }')[:3]) == ACCEPTED + told("one")
        assert await bench.say(says('{ "q":2 }')[3:]) == ACCEPTED + told("one") + told("two")
        assert bench.caller.endings == []
        assert (await bench.say(says(b"\x03\xe8", CLOSE))).endswith(told(b"\x03\xe8", CLOSE))
        assert bench.caller.endings == [Ending.CLOSED]
        assert (bench.found, bench.player.finish(), bench.halts) == ([], [], [])

    asyncio.run(main())


@BOTH
def test_pings_are_answered_and_not_compared(in_process: bool, tmp_path: Path) -> None:
    """Live ones get a pong each; recorded pongs stay away; recorded pings come."""

    async def main() -> None:
        said = (("client", says("a", PING)), ("server", told("a", PONG)), ASKED, ("server", told("b", PING)), ANSWERED)
        bench = Bench(tmp_path, *said, ending=Ending.ABANDONED, in_process=in_process)
        expected = ACCEPTED + told("x", PONG)
        assert await bench.say(says("x", PING)) == expected
        assert await bench.say(says('{"q": 1}'), says("b", PONG)) == expected + told("b", PING) + told("one")
        bench.turn.abandon()
        assert (bench.found, bench.player.finish()) == ([], [])

    asyncio.run(main())


@BOTH
@pytest.mark.parametrize(
    ("live", "found"),
    [
        (says('{"q": 2}'), ("changed", "$.sent[0].q", "1", "2")),
        (says('{"q": 1}', BINARY), ("changed", "$.sent[0].method", '"TEXT"', '"BINARY"')),
        (says("", CLOSE), ("changed", "$.sent[0]", '{"q": 1}', "close")),
    ],
)
def test_what_is_not_the_recorded_message_is_refused(
    live: bytes,
    found: tuple[str, ...],
    in_process: bool,
    tmp_path: Path,
) -> None:
    """With a close of 1008, and nothing of the tape."""

    async def main() -> None:
        bench = Bench(tmp_path, *WHOLE, in_process=in_process)
        got = (await bench.say(live, says('{"q": 1}'))).removeprefix(ACCEPTED)
        assert got[4:] == f"playhead replay: changed at {found[1]}".encode()
        assert got[:4] == bytes((0x88, len(got) - 2)) + (1008).to_bytes(2, "big")
        assert bench.caller.endings == [Ending.CLOSED]
        assert (bench.found, bench.halts) == ([found], ["the replay diverged"])

    asyncio.run(main())


def test_what_is_too_much_or_too_little_is_named(tmp_path: Path) -> None:
    """A message behind the last one; a client that goes before it has said all."""

    async def main() -> None:
        bench = Bench(tmp_path / "more", ASKED, ANSWERED, ending=Ending.ABANDONED)
        await bench.say(says('{"q": 1}'), says("more"))
        assert bench.found == [("extra", "$.sent[1]", "nothing more", "more")]
        bench = Bench(tmp_path / "less", *WHOLE)
        await bench.say(says('{"q": 1}'))
        bench.turn.abandon()
        assert bench.found == [("missing", "$.sent[1]", '{"q": 2}', "nothing more")]

    asyncio.run(main())


def test_a_client_that_never_says_the_next_message_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At rest for so long: the replay stops, and names the message."""
    monkeypatch.setattr(players, "MISSING_AFTER_S", 0.0)
    monkeypatch.setattr(players, "LOOK_S", 0.001)

    async def main() -> None:
        bench = Bench(tmp_path, *WHOLE)
        await bench.say(says('{"q": 1}'))
        await until(lambda: bench.halts)
        assert bench.halts == ["step 1 waits for what was not said"]
        assert bench.found == [("missing", "$.sent[1]", '{"q": 2}', "nothing more")]

    asyncio.run(main())


def test_a_close_that_nobody_answered_is_answered(tmp_path: Path) -> None:
    """The recorded client did not wait for it; a live one may."""

    async def main() -> None:
        bench = Bench(tmp_path, ASKED, ANSWERED, ENOUGH, ending=Ending.ABANDONED)
        got = await bench.say(says('{"q": 1}'), says(b"\x03\xe8", CLOSE))
        assert got == ACCEPTED + told("one") + told(b"\x03\xe8", CLOSE)
        assert bench.caller.endings == [Ending.CLOSED]
        assert bench.found == []

    asyncio.run(main())


def deltas(secret: bytes) -> list[str]:
    """A secret over several messages."""
    pieces = [secret[at : at + 9].decode() for at in range(0, len(secret), 9)]
    return [json.dumps({"type": "delta", "delta": piece}) for piece in [*pieces, " end"]]


def test_a_secret_that_differs_is_no_difference_and_one_that_is_none_is_found(tmp_path: Path) -> None:
    """Another secret in the place of a recorded one is equal; other words there are not, and no secret is told."""
    other = shaped()[0].secret[:-8] + b"AbCdEfGh"
    said = [("client", says(text)) for text in deltas(SECRET)]

    async def main() -> None:
        bench = Bench(tmp_path / "same", *said, ANSWERED, ENOUGH)
        got = await bench.say(*map(says, deltas(other)), says(b"\x03\xe8", CLOSE))
        assert bench.found == []
        assert got.startswith(ACCEPTED + told("one"))
        bench = Bench(tmp_path / "else", *said, ANSWERED, ENOUGH)
        await bench.say(*(says(json.dumps({"type": "delta", "delta": "words"})) for _ in deltas(SECRET)))
        bench.turn.abandon()
        assert [each[:2] for each in bench.found] == [("changed", "$.sent[0].delta")]
        bench = Bench(tmp_path / "plain", ASKED, ANSWERED)
        await bench.say(says(json.dumps({"q": f"Use {SECRET.decode()} now"})))
        [found] = bench.found
        assert SECRET.decode()[:20] not in str(found)

    asyncio.run(main())


def test_inspect_has_both_sides_in_their_order(tmp_path: Path) -> None:
    """Messages, bytes and closes; not pings; a secret that was stored later than said stands where it was said."""

    async def main() -> None:
        secret = [("client", says(text)) for text in deltas(SECRET)]
        said = (
            ASKED,
            ANSWERED,
            ("client", says("p", PING)),
            *secret,
            ("server", told(b"abc", BINARY)),
            ENOUGH,
            GOODBYE,
        )
        step = Session(Bench(tmp_path, *said).recording).step(1)
        shown = step.to_json(whole=True)
        assert shown["response"] == {"status": 101, "text": ""}
        found = [(each.pop("from"), each.pop("t_s") >= 0, each) for each in shown["messages"]]
        assert found[:2] == [("client", True, {"text": '{"q": 1}'}), ("server", True, {"text": "one"})]
        assert found[-3:] == [
            ("server", True, {"bytes": 3}),
            ("client", True, {"close": "1000"}),
            ("server", True, {"close": "1000"}),
        ]
        assert len(found) == 5 + len(secret)
        assert '{"q": 1}' in searchable(step, set())

    asyncio.run(main())


STEP = st.tuples(st.sampled_from(["client", "server"]), st.text('ab{}:1"', max_size=300))


@given(said=st.lists(STEP, max_size=12), recorded=st.integers(1, 50), live=st.integers(1, 50))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_no_answer_comes_before_what_was_said_before_it(
    said: list[tuple[str, str]], recorded: int, live: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However the reads were cut, of either run: each message of the server is there exactly when it may be."""

    async def main() -> None:
        steps = []
        for whose, text in said:
            data = says(text) if whose == "client" else told(text)
            steps += [(whose, data[at : at + recorded]) for at in range(0, len(data), recorded)]
        bench = Bench(tmp_path_factory.mktemp("store"), *steps, ending=Ending.ABANDONED)
        await settle()
        due: list[str] = []
        for place, (whose, text) in enumerate(said):
            if whose == "client":
                data = says(text)
                for at in range(0, len(data), live):
                    await bench.say(data[at : at + live])
                await settle()
            due = [other for who, other in said[: place + 1] if who == "server"]
            following = list(said[place + 1 :])
            while following and following[0][0] == "server":
                due.append(following.pop(0)[1])
            found = Reader(None, client=False).feed(bench.caller.received.removeprefix(ACCEPTED))
            assert [each.text.decode() for each in found if isinstance(each, Message)] == due
        assert bench.found == []

    asyncio.run(main())
