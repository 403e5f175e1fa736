"""Group commit: nothing is called before the sync that covers it has ended, nothing waits for more than that."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.core.events import EventKind
from playhead.core.tape import Bound
from playhead.journal.commit import BackgroundSync, GroupCommit, RestBehindCommit
from playhead.journal.records import read_segment
from playhead.journal.segment import SegmentWriter
from tests.journal.peers import FakeRest
from tests.support.disk import Disk, File
from tests.support.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Held:
    """A group commit whose syncs end one by one, when the test says so."""

    def __init__(self) -> None:
        self.loop, self.done, self.failed = Loop(), [], []
        self.began, self.may_end = threading.Semaphore(0), threading.Semaphore(0)
        self.errors: list[OSError | None] = []
        self.commit = GroupCommit(self._sync, self.loop.resume, self.failed.append)

    def _sync(self) -> None:
        self.began.release()
        assert self.may_end.acquire(timeout=60)
        if error := self.errors.pop(0) if self.errors else None:
            raise error

    def wait(self, written: int, name: str) -> None:
        self.commit.when_durable(written, lambda: self.done.append(name))
        self.run()

    def run(self) -> None:
        """What is due on the loop now."""
        while not self.loop.idle:
            self.loop.step()

    def sync_ends(self) -> None:
        assert self.began.acquire(timeout=60)
        self.may_end.release()
        self.loop.step()


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.may_end.release(10)
    held.commit.close()


def test_what_comes_during_a_sync_shares_the_next_one(held: Held) -> None:
    """Also what was written a moment after it began: that sync promises nothing of it."""
    held.wait(10, "first")
    assert held.began.acquire(timeout=60)
    held.wait(20, "second")
    held.wait(30, "third")
    assert held.done == []
    held.may_end.release()
    held.loop.step()
    assert held.done == ["first"]
    held.sync_ends()
    assert held.done == ["first", "second", "third"]
    assert not held.began.acquire(blocking=False), "a third sync, for nobody"
    assert held.commit.settled


def test_what_is_durable_already_waits_for_nothing_but_those_before_it(held: Held) -> None:
    """At once when the queue is empty; behind the others, in order, when it is not."""
    held.wait(10, "a")
    held.sync_ends()
    held.wait(10, "b")
    assert held.done == ["a", "b"]
    held.wait(20, "c")
    held.wait(10, "d")
    assert held.done == ["a", "b"]
    held.sync_ends()
    assert held.done == ["a", "b", "c", "d"]


def test_a_failed_sync_is_told_first_and_lets_everything_go_in_order(held: Held) -> None:
    """Recording fails open: nothing waits for a disk that does not keep what it took."""
    held.errors = [OSError(errno.EIO, "broken")]
    held.wait(10, "a")
    held.wait(20, "b")
    held.commit.when_durable(20, lambda: held.wait(30, "d"))
    held.wait(20, "c")
    held.sync_ends()
    assert [e.errno for e in held.failed] == [errno.EIO]
    assert held.done == ["a", "b", "c", "d"]
    held.wait(99, "e")
    assert held.done[-1] == "e"


def test_what_comes_in_one_turn_of_the_loop_shares_a_sync() -> None:
    """A sync begins behind the callbacks that are due: a crowd that asks together waits for one."""
    held = Held()
    for number in range(1, 6):
        held.commit.when_durable(10 * number, lambda n=number: held.done.append(str(n)))  # type: ignore[misc]
    held.run()
    held.sync_ends()
    assert held.done == list("12345")
    held.commit.close()


def test_an_end_before_the_first_sync_needs_no_thread() -> None:
    """What was about to begin does not, and all that waits is called by `release`."""
    held = Held()
    held.commit.when_durable(10, lambda: held.done.append("a"))
    held.commit.close()
    held.run()
    assert held.done == []
    held.commit.release()
    assert held.done == ["a"]


def test_the_end_releases_what_waits_and_a_late_sync_says_nothing(held: Held) -> None:
    """`close` waits for the sync in progress; `release` calls the rest."""
    held.wait(10, "a")
    assert held.began.acquire(timeout=60)
    held.may_end.release()
    held.commit.close()
    assert held.done == []
    held.commit.release()
    held.loop.step()
    assert held.done == ["a"]


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=30), st.integers(0, 3))
def test_all_are_called_once_in_order_and_none_too_early(writes: list[tuple[int, bool]], fails_at: int) -> None:
    """Whatever is appended and whenever the loop runs: durable at the call, unless a sync has failed."""
    disk, loop, called = Disk(), Loop(), []
    if fails_at:
        disk.fails("sync", fails_at, errno.EIO)
    failed: list[OSError] = []
    file = disk.files["f"] = disk.open[1] = File()
    commit = GroupCommit(lambda: disk.sync(1), loop.resume, failed.append)

    def due(number: int, size: int) -> None:
        assert failed or file.durable >= size
        called.append(number)

    for number, (size, runs) in enumerate(writes):
        file.data += bytes(size)
        written = len(file.data)
        commit.when_durable(written, lambda n=number, w=written: due(n, w))  # type: ignore[misc]
        if runs and not loop.idle:
            loop.step()
    loop.run_until(lambda: commit.settled)
    commit.close()
    assert called == list(range(len(writes)))


def test_a_writer_in_a_group_never_waits_itself(tmp_path: Path) -> None:
    """Appends return while a sync is stuck; what waits for them is called when it has ended, and the file is whole."""
    disk, loop, done = Disk(), Loop(), []
    began, may_end = threading.Event(), threading.Event()
    writer = SegmentWriter(tmp_path / "s.seg", "s", durability="fsync", resume=loop.resume, disk=disk)
    disk.before_sync = lambda: (began.set(), may_end.wait(60))  # type: ignore[assignment, func-returns-value]
    writer.append(EventKind.STDIO, 1, b"one")
    writer.when_durable(lambda: done.append(1))
    loop.step()
    assert began.wait(60)
    writer.append(EventKind.STDIO, 1, b"two")
    writer.when_durable(lambda: done.append(2))
    assert (done, writer.settled) == ([], False)
    may_end.set()
    loop.run_until(lambda: writer.settled)
    assert done == [1, 2]
    file = disk.files[str(tmp_path / "s.seg")]
    assert file.named
    assert file.durable == len(file.data)
    writer.close()
    assert read_segment(bytes(file.data), "s").closed


@pytest.mark.parametrize("durability", ["write", "off"])
def test_other_durabilities_call_at_once(tmp_path: Path, durability: str) -> None:
    """Nobody waits, and nothing is synced before the end."""
    disk = Disk()
    writer = SegmentWriter(tmp_path / "s.seg", "s", durability=durability, resume=Loop().resume, disk=disk)
    writer.append(EventKind.STDIO, 1, b"x")
    done: list[int] = []
    writer.when_durable(lambda: done.append(1))
    assert (done, writer.settled, writer.waits, disk.calls.get("sync", 0)) == ([1], True, False, 0)
    writer.close()
    assert disk.calls["sync"] == 1


def test_without_a_loop_fsync_syncs_each_record(tmp_path: Path) -> None:
    """What runs on no loop has the record on the device when `append` returns."""
    disk = Disk()
    writer = SegmentWriter(tmp_path / "s.seg", "s", durability="fsync", disk=disk)
    for n in range(3):
        writer.append(EventKind.STDIO, 1, b"x")
        file = disk.files[str(tmp_path / "s.seg")]
        assert (disk.calls["sync"], file.durable) == (n + 2, len(file.data))


def test_growing_files_are_synced_in_the_background_and_resting_ones_left_alone(tmp_path: Path) -> None:
    """Each growth is followed by one sync of that file; a failure is told on the loop, once."""
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes(b"x")
    synced: Syncs = Syncs()
    loop, failed = Loop(), []
    background = BackgroundSync(paths, loop.resume, failed.append, sync=synced, every_s=0.002)
    synced.wait_for(2)
    paths[1].write_bytes(b"xyz")
    synced.wait_for(3)
    synced.error = OSError(errno.EIO, "broken")
    paths[0].write_bytes(b"xyz")
    loop.step()
    background.close()
    assert synced.count == 3
    assert [e.errno for e in failed] == [errno.EIO]


class Syncs:
    """A sync that counts."""

    def __init__(self) -> None:
        self.count, self.error, self._more = 0, None, threading.Condition()

    def __call__(self, fd: int) -> None:
        if self.error is not None:
            raise self.error
        with self._more:
            self.count += 1
            self._more.notify_all()

    def wait_for(self, count: int) -> None:
        with self._more:
            assert self._more.wait_for(lambda: self.count >= count, 60)


def test_a_client_is_not_believed_to_rest_while_its_answer_waits() -> None:
    """Its rest is asked for behind what waits; a cancelled question is not asked at all."""
    rest, waiting = FakeRest(at_rest=True), []

    class Writer:
        settled = True

        def when_durable(self, then: Any) -> None:
            waiting.append(then)

    writer = Writer()
    behind = RestBehindCommit(rest, writer)
    assert behind.resting((1,))
    writer.settled = False
    assert not behind.resting((1,))
    heard: list[bool] = []
    bound = Bound(1, 1)
    behind.when_resting((1,), heard.append, bound)
    behind.when_resting((2,), heard.append, bound)()
    assert rest.waits == []
    for then in waiting:
        then()
    assert [ports for ports, _, _ in rest.waits] == [(1,)]
    rest.say(rested=True)
    assert heard == [True]
