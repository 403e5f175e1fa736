"""The recorder under `fsync`: what leaves and what is delivered waits for the disk, in order, and nothing else does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from playhead.core.events import Ending, EventKind
from playhead.journal import intent
from playhead.journal import recorder as recorders
from playhead.journal.commit import RestBehindCommit
from playhead.journal.gate import QuietGate
from playhead.journal.records import read_segment
from tests.journal.peers import ANSWER, HEAD, FakeCaller, FakeRest, Session, exchange
from tests.support.disk import Disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Slow:
    """A session on a disk whose syncs end when the test says so."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.disk = Disk()
        self._may = threading.Semaphore(0)
        self.disk.before_sync = lambda: self._may.acquire(timeout=60)  # type: ignore[assignment, return-value]
        self.session = Session(root, durability="fsync", disk=self.disk, **options)
        self.recorder, self.world = self.session.recorder, self.session.world

    def sync(self) -> None:
        """Let one sync end, and what waited for it happen."""
        file = self.disk.files[str(self.session.folder / "engine.seg")]
        due = len(file.data)
        while not self.session.loop.idle:
            self.session.loop.step()
        self._may.release()
        self.session.loop.step()
        assert file.durable >= due or not self.session.writer.settled

    def durable(self) -> list[EventKind]:
        file = self.disk.files[str(self.session.folder / "engine.seg")]
        return [e.kind for e in read_segment(bytes(file.data[: file.durable]), "engine").events]

    def ask(self, caller: FakeCaller, number: int = 1, **options: Any) -> Any:
        turn = self.recorder.begin(exchange(number, **options), HEAD % 2, caller)
        turn.feed(b"{")
        turn.feed(b"}")
        turn.end()
        return turn

    def end(self) -> None:
        self._may.release(100)
        self.session.close()


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Slow]:
    slow = Slow(tmp_path)
    yield slow
    slow.end()


def test_a_question_leaves_once_its_intent_is_on_the_device(slow: Slow) -> None:
    """Head, body and end follow then, in order, and what comes later passes at once."""
    turn = slow.recorder.begin(exchange(), HEAD % 6, FakeCaller())
    turn.feed(b"abc")
    turn.hold(holding=True)
    assert slow.world.asked == []
    slow.sync()
    assert EventKind.OPEN in slow.durable()
    (asked,) = slow.world.asked
    assert (asked.head, asked.body, asked.whole, asked.holds) == (HEAD % 6, b"abc", False, [True])
    turn.feed(b"def")
    turn.hold(holding=False)
    turn.end()
    assert (asked.body, asked.whole, asked.holds) == (b"abcdef", True, [True, False])


def test_a_question_that_is_abandoned_before_never_leaves(slow: Slow) -> None:
    """The recording says abandoned, and the world has heard nothing."""
    caller = FakeCaller()
    turn = slow.recorder.begin(exchange(), HEAD % 6, caller)
    turn.feed(b"abc")
    turn.abandon()
    slow.sync()
    assert slow.world.asked == []
    assert caller.endings == []


def test_a_large_question_waits_at_its_client(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the client is told to wait, once, and to go on when the question leaves."""
    monkeypatch.setattr(intent, "WAITING_BYTES", 10)
    caller = FakeCaller()
    turn = slow.recorder.begin(exchange(), HEAD % 99, caller)
    for _ in range(4):
        turn.feed(b"12345678")
    assert caller.holds == [True]
    slow.sync()
    assert caller.holds == [True, False]
    assert slow.world.asked[0].body == b"12345678" * 4


def test_answers_wait_for_the_disk_in_order_and_the_end_with_them(slow: Slow) -> None:
    """Two reads and a reset: nothing before the sync, all of it after."""
    caller = FakeCaller()
    slow.ask(caller)
    slow.sync()
    world = slow.world.asked[0].answering
    world.answered(ANSWER % 9, last=False)
    world.answered(b"abc", last=False)
    world.ended(Ending.RESET, "so it was")
    assert (caller.deliveries, caller.endings) == ([], [])
    slow.sync()
    assert (caller.deliveries, caller.endings) == ([ANSWER % 9, b"abc"], [Ending.RESET])
    assert slow.durable()[-1] is EventKind.END


def test_a_caller_that_goes_while_its_answer_waits_is_given_nothing(slow: Slow) -> None:
    """Nor its end; and the gate counts the exchange as over, once."""
    caller = FakeCaller()
    turn = slow.ask(caller)
    slow.sync()
    slow.world.asked[0].answering.answered(ANSWER % 0, last=True)
    turn.abandon()
    slow.sync()
    assert (caller.deliveries, caller.endings) == ([], [])
    assert slow.recorder.gate._under_way == 0  # type: ignore[attr-defined]


def test_a_disk_slower_than_the_world_slows_the_world(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that wait are bounded, and the client's own wish to wait is kept."""
    monkeypatch.setattr(recorders, "UNDELIVERED_BYTES", 10)
    caller = FakeCaller()
    turn = slow.ask(caller)
    slow.sync()
    asked = slow.world.asked[0]
    for _ in range(3):
        asked.answering.answered(b"12345678", last=False)
    assert asked.holds == [True]
    turn.hold(holding=True)
    slow.sync()
    assert asked.holds == [True]
    turn.hold(holding=False)
    assert asked.holds == [True, False]
    for _ in range(2):
        asked.answering.answered(b"12345678", last=False)
    slow.sync()
    assert asked.holds == [True, False, True, False]
    assert caller.received == b"12345678" * 5


def test_after_an_upgrade_each_piece_waits_for_its_record(slow: Slow) -> None:
    """A raw line carries many questions: none of them leaves before it is on the device."""
    caller = FakeCaller()
    turn = slow.ask(caller)
    slow.sync()
    asked = slow.world.asked[0]
    asked.answering.answered(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", last=False)
    asked.answering.upgraded("websocket")
    turn.feed(b"\x81\x02hi")
    assert asked.body == b"{}"
    slow.sync()
    assert asked.body == b"{}\x81\x02hi"
    assert EventKind.SENT in slow.durable()


def test_the_gate_holds_the_second_answer_until_the_first_was_given(tmp_path: Path) -> None:
    """A client at rest that still waits for our disk has not read anything: rest is asked for after delivery."""
    rest = FakeRest(at_rest=True)
    slow = Slow(tmp_path)
    slow.recorder.gate = QuietGate(RestBehindCommit(rest, slow.session.writer))
    callers = [FakeCaller(), FakeCaller()]
    for number in (1, 2):
        slow.ask(callers[number - 1], number)
    slow.sync()
    for asked in slow.world.asked:
        asked.answering.answered(ANSWER % 0, last=True)
    assert rest.waits == []
    assert EventKind.ANSWER not in slow.durable()
    slow.sync()
    assert [c.endings for c in callers] == [[Ending.COMPLETE], []]
    rest.say(rested=True)
    slow.sync()
    assert [c.endings for c in callers] == [[Ending.COMPLETE]] * 2
    slow.end()
    assert [e.order_unobserved for e in _read(slow).exchanges] == [False, False]


def _read(slow: Slow) -> Any:
    (slow.session.folder / "engine.seg").write_bytes(slow.disk.files[str(slow.session.folder / "engine.seg")].data)
    return slow.session.read()
