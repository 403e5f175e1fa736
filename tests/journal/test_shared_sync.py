"""The group commit inside the agent: what waits for the device, what does not, and that a failing one lets all go."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

import pytest

from playhead.core.boundary import Call, Outcome
from playhead.core.events import EventKind
from playhead.core.redact import Redactor
from playhead.journal.agent import AgentRecorder
from playhead.journal.records import read_segment
from playhead.journal.segment import SegmentWriter
from tests.support.disk import Disk

if TYPE_CHECKING:
    from pathlib import Path

DONE = Outcome(raised=False, body=b'"done"')


class Slow:
    """A recorder on a disk whose syncs end when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.disk = Disk()
        self.began, self.may_end = threading.Semaphore(0), threading.Semaphore(0)
        self.disk.before_sync = self._sync
        self.failures: list[OSError] = []
        self._name = str(folder / "agent-0.seg")
        writer = SegmentWriter(self._name, "agent-0", durability="fsync", by_hand=True, disk=self.disk)
        self.tape = AgentRecorder(writer, Redactor, self.failures.append)
        self.lane = self.tape.lane("0")
        self.done: list[str] = []

    def _sync(self) -> None:
        self.began.release()
        assert self.may_end.acquire(timeout=60)

    def call(self, effect: str = "", kind: str = "tool") -> Call:
        return Call(self.lane, kind, "charge", b"{}", effect=effect)

    def does(self, name: str, act) -> threading.Thread:
        """In another thread."""

        def run() -> None:
            act()
            self.done.append(name)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def durable(self) -> list[EventKind]:
        file = self.disk.files[self._name]
        return [e.kind for e in read_segment(bytes(file.data[: file.durable]), "agent-0").events]

    def close(self) -> None:
        self.may_end.release(1000)
        self.tape.close()


@pytest.fixture
def slow(tmp_path: Path):
    slow = Slow(tmp_path)
    yield slow
    slow.close()


def test_a_question_that_may_change_something_leaves_once_it_is_durable(slow: Slow) -> None:
    """With all that was read before it."""
    slow.tape.value(slow.lane, "clock", lambda: 17)
    asks = slow.does("asked", lambda: slow.tape.ask(slow.call("write")))
    assert slow.began.acquire(timeout=60)
    assert slow.done == []
    slow.may_end.release()
    asks.join(60)
    assert slow.done == ["asked"]
    assert slow.durable()[-2:] == [EventKind.VALUES, EventKind.ASK]


@pytest.mark.parametrize(("effect", "kind"), [("pure", "tool"), ("read", "tool"), ("", "sleep"), ("", "file")])
def test_a_question_that_changes_nothing_does_not_wait(slow: Slow, effect: str, kind: str) -> None:
    """Its answer does, and the question is durable then as well."""
    call = slow.call(effect, kind)
    assert slow.tape.ask(call)
    settles = slow.does("settled", lambda: slow.tape.settle(call, DONE))
    assert slow.began.acquire(timeout=60)
    assert slow.done == []
    slow.may_end.release()
    settles.join(60)
    assert slow.durable()[-2:] == [EventKind.ASK, EventKind.TOLD]


def test_whoever_comes_during_a_sync_shares_the_next_one(slow: Slow) -> None:
    """One sync for the first of them, one for all the others."""
    first = slow.does("first", lambda: slow.tape.ask(slow.call()))
    assert slow.began.acquire(timeout=60)
    written = slow.disk.calls["write"]
    others = [slow.does(str(n), lambda: slow.tape.ask(slow.call())) for n in range(8)]
    while slow.disk.calls["write"] < written + 8:
        threading.Event().wait(0.001)
    slow.may_end.release()
    first.join(60)
    assert slow.began.acquire(timeout=60)
    assert slow.done == ["first"]
    slow.may_end.release()
    for each in others:
        each.join(60)
    assert len(slow.done) == 9
    assert slow.disk.calls["sync"] == 2


def test_an_event_loop_is_told_instead_of_waiting(slow: Slow) -> None:
    """In the order of its questions; a question that changes nothing may leave at once."""
    told: list[int] = []
    over = threading.Event()
    assert slow.tape.ask(slow.call("read"), over.set)
    assert not slow.tape.ask(slow.call(), lambda: told.append(1))
    assert slow.began.acquire(timeout=60)
    assert not slow.tape.ask(slow.call(), lambda: (told.append(2), over.set()))  # type: ignore[func-returns-value, arg-type, return-value]
    assert told == []
    slow.may_end.release(2)
    assert over.wait(60)
    assert told == [1, 2]


def test_a_sync_that_fails_lets_everyone_go_and_is_told_once(slow: Slow) -> None:
    """Recording fails open: nobody waits any more, and nothing more is written."""
    slow.disk.fails("sync", 1, errno.EIO)
    slow.may_end.release(1000)
    call = slow.call()
    slow.tape.ask(call)
    assert slow.tape.settle(call, DONE) is DONE
    assert [each.errno for each in slow.failures] == [errno.EIO]
    written = slow.disk.calls["write"]
    slow.tape.ask(slow.call())
    assert slow.disk.calls["write"] == written


def test_a_signal_handler_may_ask_while_the_recorder_is_held(slow: Slow) -> None:
    """It runs in the thread that holds it, while a loop waits for deliveries, too."""
    slow.may_end.release(1000)
    came = threading.Event()
    assert not slow.tape.ask(slow.call(), came.set)

    def handler() -> None:
        with slow.tape._mutex:
            slow.tape.ask(slow.call())

    asks = slow.does("asked", handler)
    asks.join(60)
    assert slow.done == ["asked"]
    assert came.wait(60)
    assert slow.durable().count(EventKind.ASK) == 2
