"""The group commit inside the agent: what waits for the device, what does not, and that a failing one lets all go."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING, Any

import pytest

from playhead.core.boundary import Call, Outcome
from playhead.core.events import EventKind
from playhead.core.redact import Redactor
from playhead.journal import shared_sync
from playhead.journal.agent import AgentRecorder
from playhead.journal.records import read_segment
from playhead.journal.segment import SegmentWriter
from tests.support.disk import Disk

if TYPE_CHECKING:
    from collections.abc import Callable
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
        assert self.tape._shared is not None
        self.shared = self.tape._shared
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

    def kinds(self) -> list[EventKind]:
        """Of what is written, on the device or not."""
        return [e.kind for e in read_segment(bytes(self.disk.files[self._name].data), "agent-0").events]

    def syncs(self) -> bool:
        """Whether somebody is about to sync, or does."""
        is_free = self.shared._syncing.acquire(blocking=False)
        if is_free:
            self.shared._syncing.release()
        return not is_free

    def close(self) -> None:
        self.may_end.release(1000)
        self.tape.close()


class Nowhere:
    """A loop that nobody runs."""

    def wake(self) -> None:
        pass

    def hand_over(self, deliver: Callable[[], None]) -> None:
        deliver()


@pytest.fixture
def slow(tmp_path: Path):
    slow = Slow(tmp_path)
    yield slow
    slow.close()


@pytest.fixture
def station() -> Any:
    return Nowhere()


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
    others = [slow.does(str(n), lambda: slow.tape.ask(slow.call())) for n in range(8)]
    while len(slow.shared._asked) < 8:
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


def test_an_event_loop_is_told_instead_of_waiting(slow: Slow, station: Any) -> None:
    """In the order of its questions, once it is at rest; a question that changes nothing may leave at once."""
    told: list[int] = []
    over = threading.Event()
    assert slow.tape.ask(slow.call("read"), over.set)
    for number in (1, 2):
        assert not slow.tape.ask(slow.call(), lambda number=number: told.append(number))
    assert slow.tape.next(station) is None
    assert slow.began.acquire(timeout=60)
    assert not slow.tape.ask(slow.call(), lambda: told.append(3) or over.set)
    assert slow.tape.next(station) is None
    assert told == []
    slow.may_end.release()
    assert slow.began.acquire(timeout=60)
    assert told == [1, 2]
    slow.may_end.release()
    assert over.wait(60)
    assert told == [1, 2, 3]
    assert slow.disk.calls["sync"] == 2


def test_a_loop_is_woken_once_all_have_been_told(slow: Slow, station: Any) -> None:
    """Woken by the first, it would take the interpreter before the others are told, and each would need a sync."""
    slow.may_end.release(1000)
    told: list[str] = []
    over = threading.Event()

    def wake() -> None:
        told.append("woken")
        over.set()

    for number in range(3):
        assert not slow.tape.ask(slow.call(), lambda number=number: told.append(str(number)) or wake)
    assert slow.tape.next(station) is None
    assert over.wait(60)
    assert told == ["0", "1", "2", "woken"]


@pytest.mark.parametrize("comes_to_rest", [True, False])
def test_a_loop_that_was_woken_comes_to_rest_before_the_next_sync(
    slow: Slow, station: Any, monkeypatch, comes_to_rest: bool
) -> None:
    """What it then asks for shares that sync with what waited already; one that does not is not waited for."""
    if comes_to_rest:
        monkeypatch.setattr(shared_sync, "PATIENCE_S", 3600)
    told: list[int] = []
    woken, over = threading.Event(), threading.Event()
    assert not slow.tape.ask(slow.call(), lambda: told.append(1) or woken.set)
    assert slow.tape.next(station) is None
    assert slow.began.acquire(timeout=60)
    assert not slow.tape.ask(slow.call(), lambda: told.append(2) or over.set)
    assert slow.tape.next(station) is None
    slow.may_end.release()
    assert woken.wait(60)
    if comes_to_rest:
        assert not slow.tape.ask(slow.call(), lambda: told.append(3) or over.set)
        assert slow.tape.next(station) is None
    slow.may_end.release()
    assert over.wait(60)
    assert told == [1, 2, 3][: 2 + comes_to_rest]
    assert slow.disk.calls["sync"] == 2


def test_a_loop_that_does_not_come_to_rest_is_told_all_the_same(slow: Slow, station: Any, monkeypatch) -> None:
    """When its patience is over: by the clock, at one of its deliveries."""
    slow.may_end.release(1000)
    now = [1000.0]
    monkeypatch.setattr(shared_sync, "monotonic", lambda: now[0])
    over = threading.Event()
    slow.tape.flush()
    for _ in range(3):  # these have come, and nothing is to be durable for them
        slow.tape.completed(None, slow.lane.next_key(), None, lambda _outcome: None, station)
    assert slow.tape.next(station) is not None
    assert not slow.tape.ask(slow.call(), over.set)
    assert slow.tape.next(station) is not None
    assert slow.shared._bell is None
    now[0] += shared_sync.PATIENCE_S * 2
    assert slow.tape.next(station) is not None
    assert over.wait(60)


def test_a_question_that_changes_nothing_is_written_before_it_leaves(slow: Slow) -> None:
    """In the page cache, where a kill leaves it, with what came before; one that waits is held until its sync begins."""
    slow.tape.value(slow.lane, "clock", lambda: 17)
    waits = slow.does("asked", lambda: slow.tape.ask(slow.call("write")))
    assert slow.began.acquire(timeout=60)
    others = [slow.does(str(n), lambda: slow.tape.ask(slow.call("write"))) for n in range(3)]
    while len(slow.shared._asked) < 3:
        threading.Event().wait(0.001)
    assert slow.kinds()[-2:] == [EventKind.VALUES, EventKind.ASK]
    written = slow.disk.calls["write"]
    slow.tape.ask(slow.call("read"))
    assert slow.kinds()[-6:] == [EventKind.VALUES, *[EventKind.ASK] * 5]
    assert slow.disk.calls["write"] == written + 1
    slow.may_end.release(1000)
    for each in (waits, *others):
        each.join(60)


def test_a_signal_handler_does_not_wait_for_whoever_waits_for_its_thread(slow: Slow) -> None:
    """Another thread is about to write what waits, for which it needs the recorder, which the handler's thread holds."""
    slow.may_end.release(1000)
    with slow.tape._mutex:
        slow.shared._asked.append(lambda: None)
        slow.shared.rest()
        while not slow.syncs():
            threading.Event().wait(0.001)
        slow.tape.ask(slow.call())
        assert slow.durable()[-1] is EventKind.ASK


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
    slow.shared.rest()

    def handler() -> None:
        with slow.tape._mutex:
            slow.tape.ask(slow.call())

    asks = slow.does("asked", handler)
    asks.join(60)
    assert slow.done == ["asked"]
    assert came.wait(60)
    assert slow.durable().count(EventKind.ASK) == 2
