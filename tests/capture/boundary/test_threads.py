"""Threads, locks, queues and executors on a tape, in one process: recorded, and told again."""

import concurrent.futures
import copy
import importlib
import pickle
import queue
import random
import threading
import time
import weakref

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playhead.capture.boundary import calls, executors, locks, queues, sleep, threads
from playhead.capture.boundary.patches import Patches
from playhead.core.boundary import Diverged
from playhead.core.redact import Redactor
from playhead.player import agent as player_module
from playhead.player.agent import AgentPlayer
from tests.capture.boundary.tapes import Tapes


@pytest.fixture
def tapes(tmp_path):
    patches = Patches()
    for module in (threads, locks, queues, executors, sleep):
        module.install(patches, lambda name, patch: patch(importlib.import_module(name)))
    try:
        with Tapes(tmp_path) as tapes:
            yield tapes
    finally:
        patches.undo()


def tool(answer=None):
    """A call that takes a random while."""
    return calls.call("tool", "t", b"", lambda: time.sleep(random.random() / 500) or answer)


def side_by_side(*works):
    """Run each in a thread of its own, to the end."""
    running = [threading.Thread(target=work) for work in works]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def who_came():
    """Two threads that take one lock twice each."""
    lock = threading.Lock()
    came = []

    def work(name):
        for _ in range(2):
            tool()
            with lock:
                came.append(name)

    side_by_side(lambda: work("a"), lambda: work("b"))
    return came


def test_a_lock_is_taken_in_the_recorded_order(tapes):
    """Whatever the order was."""
    for _ in range(5):
        came = tapes.record(who_came)
        assert tapes.replay(who_came) == came
        assert tapes.end["left"] == 0


def test_it_is_the_tape_that_orders(tapes):
    """The control: an order in which all of one thread comes first gives just that, though nobody recorded it."""
    tapes.record(who_came)
    for first, second in ("12", "21"):
        script = tapes.script()
        script.order.sort(key=lambda key: key[0] != f"0/h{first}")
        player = AgentPlayer(script, Redactor, lambda _facts: None)
        names = {"1": "a", "2": "b"}
        assert tapes._on(player, who_came) == [names[first]] * 2 + [names[second]] * 2


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(shape=st.lists(st.lists(st.sampled_from("ltqcews"), min_size=1, max_size=5), min_size=1, max_size=4))
def test_whatever_threads_do_is_done_again(tapes, shape):
    """Programs of locks taken and tried, queues, conditions, events, waits and sleeps."""

    def agent():
        lock, deep = threading.Lock(), threading.RLock()
        items, ready, event = queue.Queue(), threading.Condition(deep), threading.Event()
        seen = []

        def say(*what):
            with deep:
                seen.append(what)

        def run(name, acts):
            for act in acts:
                tool()
                if act == "l":
                    with lock:
                        say(name, act)
                elif act == "t":
                    got = lock.acquire(timeout=0.0005)
                    say(name, act, got)
                    if got:
                        lock.release()
                elif act == "q":
                    items.put(name)
                    say(name, act, items.get())
                elif act == "c":
                    with ready, ready:
                        ready.notify()
                        say(name, act, ready.wait(0.0005))
                elif act == "e":
                    event.set()
                    say(name, act)
                elif act == "w":
                    say(name, act, event.wait(0.0005), event.is_set())
                else:
                    time.sleep(0)
                    say(name, act)

        side_by_side(*[lambda n=n, acts=acts: run(n, acts) for n, acts in enumerate(shape)])
        return seen

    seen = tapes.record(agent)
    assert tapes.replay(agent) == seen


def test_futures_are_awaited_as_they_were(tapes):
    """Sets of futures, cancelled items, items never taken, callbacks, time-outs and names of workers."""

    def agent():
        said = []
        pool = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="w")
        futures = [pool.submit(lambda n=n: tool((n, threading.current_thread().name))) for n in range(7)]
        for future in futures:
            future.add_done_callback(lambda future: said.append(futures.index(future)))
        said.append(futures[5].cancel())
        said.append([future.done() for future in futures])
        done, _ = concurrent.futures.wait(futures, 0.001)
        said.append([futures.index(future) for future in done])
        try:
            said += [future.result() for future in concurrent.futures.as_completed(futures[:3], 0.002)]
        except concurrent.futures.TimeoutError as error:
            said.append(str(error))
        pool.shutdown(cancel_futures=True)
        return [*said, [future.cancelled() for future in futures]]

    for _ in range(5):
        said = tapes.record(agent)
        assert tapes.replay(agent) == said
        assert tapes.end["left"] == 0


def test_an_initializer_runs_as_often(tapes):
    """Not as many workers as happened to be needed."""

    def agent():
        begun = []
        with concurrent.futures.ThreadPoolExecutor(3, initializer=lambda: begun.append(time.sleep(0))) as pool:
            for n in range(4):
                pool.submit(tool, n).result()
        return len(begun)

    assert tapes.record(agent) == tapes.replay(agent) == 3


def test_a_time_out_is_not_waited_for_again(tapes, monkeypatch):
    """In a replay no lock of the agent is asked with a time-out but to look whether the tape was left."""

    def agent():
        held, event, items, gate = threading.Lock(), threading.Event(), queue.Queue(1), threading.Semaphore(0)
        items.put(1)
        with held:
            found = [held.acquire(timeout=0.01), event.wait(0.01), gate.acquire(timeout=0.01)]
        for act in (lambda: items.put(2, timeout=0.01), lambda: queue.SimpleQueue().get(timeout=0.01)):
            with pytest.raises((queue.Full, queue.Empty)):
                act()
        return found

    assert tapes.record(agent) == [False] * 3

    class Impatient:
        def __init__(self):
            self.real = locks._thread_lock()

        def acquire(self, blocking=True, timeout=-1):
            assert timeout == -1
            return self.real.acquire(blocking)

        def __getattr__(self, name):
            return getattr(self.real, name)

    monkeypatch.setattr(locks.Lock, "real", Impatient)
    assert tapes.replay(agent) == [False] * 3


def test_what_a_boundary_starts_is_part_of_it(tapes):
    """Threads, items and locks inside a call are not on the tape."""

    def work():
        lock = threading.Lock()
        found = []

        def add(n):
            with lock:
                found.append(n + calls.call("tool", "inner", b"", lambda: 1))

        side_by_side(lambda: add(0))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(add, 1).result()
        return found

    def agent():
        return calls.call("tool", "outer", b"", work)

    assert tapes.record(agent) == tapes.replay(agent) == [1, 2]
    assert [call.name for call in tapes.recorded()] == ["outer"]
    assert tapes.script().order == [("0", 1)]


def test_nobody_waits_for_what_cannot_come(tapes, monkeypatch):
    """Every thread waits for another: known at once, said once, and every thread is told."""
    monkeypatch.setattr(player_module, "REST_S", 1e6)
    ended, started = [], []

    def agent(is_set):
        event, lock = threading.Event(), threading.Lock()

        def wait():
            try:
                event.wait()
                with lock:
                    pass
            except Diverged as error:
                ended.append(error)

        started[:] = [threading.Thread(target=wait) for _ in range(3)]
        for thread in started:
            thread.start()
        if is_set:
            event.set()
        for thread in started:
            thread.join()

    tapes.record(lambda: agent(True))
    with pytest.raises(Diverged, match="nothing can bring it"):
        tapes.replay(lambda: agent(False))
    assert [facts["divergence"]["class"] for facts in tapes.said if "divergence" in facts] == ["missing"]
    assert tapes.divergence["due"]["lane"] == "0"
    for thread in started:
        thread.join()
    assert [type(error) for error in ended] == [Diverged] * 3


def test_locks_are_taken_for_the_real_ones(tapes):
    """By type, pickle, copy, weak reference and message."""

    def agent():
        lock, deep = threading.Lock(), threading.RLock()
        assert type(lock) is locks.Lock
        assert type(deep) is locks.RLock
        assert isinstance(lock, type(threading.Lock()))
        assert isinstance(lock, type(locks._thread_lock()))
        assert isinstance(locks._thread_lock(), threading.Lock)
        for each in (lock, deep):
            with pytest.raises(TypeError, match="cannot pickle '_thread"):
                pickle.dumps(each)
            with pytest.raises(TypeError, match="cannot pickle '_thread"):
                copy.copy(each)
            weakref.ref(each)
            with pytest.raises(RuntimeError):
                each.release()
            assert repr(each).startswith("<unlocked _thread.")
        assert isinstance(queue.SimpleQueue(), queue.SimpleQueue)
        with deep:
            assert deep._is_owned()
        with pytest.raises(RuntimeError, match="un-acquired"):
            threading.Condition(lock).notify()
        with pytest.raises(ValueError, match="timeout"):
            lock.acquire(timeout=-5)
        time.sleep(0.0)
        with pytest.raises(ValueError, match="non-negative"):
            time.sleep(-1)

    tapes.record(agent)
    tapes.replay(agent)
    assert type(threading.Lock()) is not locks.Lock


def test_locks_of_libraries_stay_real(tapes):
    """Those that the standard library makes for itself; what it makes for the agent is the agent's."""

    def agent():
        assert not locks.is_ours(threading.Thread()._started._cond)
        assert locks.is_ours(threading.Timer(1, print).finished._cond)
        assert locks.is_ours(queue.PriorityQueue().not_empty)
        assert locks.is_ours(threading.Barrier(2)._cond)

    tapes.record(agent)
    assert tapes.script().order == []


def test_a_lane_is_named_by_who_started_it(tapes):
    """Threads of threads, timers, and items of executors."""
    seen = {}

    def agent():
        def note(name):
            time.sleep(0)
            seen[name] = threads.active.current().path

        def nest():
            side_by_side(lambda: note("nested"))

        side_by_side(lambda: note("one"), nest)
        timer = threading.Timer(0, note, ("timer",))
        timer.start()
        timer.join()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(note, ["a", "b"]))

    tapes.record(agent)
    assert seen == {"one": "0/h1", "nested": "0/h2/h1", "timer": "0/h3", "a": "0/x1", "b": "0/x2"}


def test_a_wait_of_someone_else_is_not_taken_for_a_call(tapes):
    """A lock where the recording has a call is a difference, and says which call."""
    tapes.record(lambda: tool())
    with pytest.raises(Diverged):
        tapes.replay(lambda: threading.Lock().acquire())
    assert tapes.divergence["class"] == "changed"
    assert tapes.divergence["recorded"]["name"] == "t"
