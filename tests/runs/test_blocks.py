"""Blocks of this very process: what they leave behind, and what they refuse."""

import asyncio
import datetime as dt
import os
import random
import sys
import tempfile
import threading
import time

import pytest

import playhead
from playhead.capture.boundary import active
from playhead.capture.boundary.patches import known
from playhead.errors import SetupError, UsageError


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """A store of its own."""
    monkeypatch.setenv("PLAYHEAD_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("PLAYHEAD_TAPE", raising=False)
    known.clear()
    yield tmp_path / "store"
    known.clear()
    assert active.whole is None


@playhead.tool
def look(what):
    """What it was given, with a number of the system's."""
    return what, os.urandom(2)


def _attributes():
    import concurrent.futures.thread
    import queue
    import subprocess

    owners = [time, os, random, threading, threading.Thread, dt.datetime, asyncio.BaseEventLoop, asyncio, sys]
    owners += [queue, concurrent.futures.thread, subprocess.Popen, tempfile, sys.modules[__name__], random.Random]
    return [dict(vars(owner)) for owner in owners]


def test_nothing_of_ours_is_left_in_the_process():
    """Patches, the import hook, `random`'s state: all as before, and again after another block."""
    random.seed(3)
    expected = random.Random(3).random()
    with playhead.record("first"):
        pass
    before, path = _attributes(), list(sys.meta_path)
    random.seed(3)
    for name in ("second", "third"):
        with playhead.record(name):
            random.random()
            look(1)
            assert time.time is not before[0]["time"]
    assert _attributes() == before
    assert sys.meta_path == path
    assert random.random() == expected


def test_a_seed_of_the_blocks_own_stays():
    """What the block seeded is as the block left it, as without Playhead."""
    with playhead.record("it"):
        random.seed(5)
        random.random()
    expected = random.Random(5)
    expected.random()
    assert random.random() == expected.random()


def test_an_error_of_the_block_is_raised_and_kept():
    """The session has failed; replayed, the same error is no divergence and none at all is one."""
    with pytest.raises(KeyError), playhead.record("it") as session:
        look(1)
        raise KeyError("x")
    assert playhead.open(str(session.path)).status == "failed"
    with pytest.raises(KeyError), playhead.replay("it") as replay:
        look(1)
        raise KeyError("x")
    assert replay.verdict == "identical"
    with (
        pytest.raises(playhead.errors.Diverged, match="the block returned where the recorded one raised"),
        playhead.replay("it"),
    ):
        look(1)


def test_a_block_within_a_block_is_a_step_of_it(store):
    """One session."""
    with playhead.record("outer") as outer, playhead.record("inner") as inner:
        look(1)
        inner.note("here")
        assert inner.path is None
    assert [path.name for path in (store / "sessions").iterdir()] == [outer.path.name]


def test_threads_that_were_there_are_not_of_the_block(store):
    """They read the clock unrecorded, also while the block is replayed; and may not begin a block of their own."""
    asked, told, errors = threading.Event(), threading.Event(), []

    def other():
        for _ in range(2):
            asked.wait(60)
            asked.clear()
            errors.append(look("other")[0])
            try:
                playhead.record("second").__enter__()
            except UsageError as error:
                errors.append(error.code)
            told.set()

    thread = threading.Thread(target=other)
    thread.start()
    for begin in (playhead.record, playhead.replay):
        with begin("it") as session:
            look(1)
            with playhead.unrecorded():
                asked.set()
                told.wait(60)
                told.clear()
    thread.join(60)
    assert errors == ["other", "block-open"] * 2
    assert session.verdict == "identical"
    assert [step.call.arguments for step in playhead.open("it").steps] == [b'{"what":1}']


def test_what_outlives_its_block_goes_on_unrecorded():
    """A thread, and a task that waits for a timer and for a tool of the block."""
    go = threading.Event()
    found = []

    @playhead.tool
    async def slowly():
        await asyncio.sleep(0.01)
        return 7

    async def main():
        async def late():
            found.append(await slowly())
            await asyncio.sleep(0.001)
            found.append(await slowly())

        async with playhead.record("it"):
            task = asyncio.create_task(late())
            thread = threading.Thread(target=lambda: (go.wait(60), found.append(look(2)[0])))
            thread.start()
            await asyncio.sleep(0)
        go.set()
        await asyncio.wait_for(task, 60)
        await asyncio.to_thread(thread.join, 60)

    asyncio.run(main())
    assert sorted(found) == [2, 7, 7]


def test_a_block_of_a_replay_that_ends_lets_its_loop_end():
    """A task that waits for an answer when the block is over can be cancelled."""

    @playhead.tool
    async def forever():
        await asyncio.Event().wait()

    async def main(begin):
        async with begin as session:
            task = asyncio.create_task(forever())
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises((asyncio.CancelledError, playhead.errors.Diverged)):
            await task
        return session

    asyncio.run(main(playhead.record("it")))
    asyncio.run(main(playhead.replay("it", mode="observe")))


def test_modes_of_a_function():
    """`missing` records once and replays then; `live` does neither; each is said when it is none."""
    calls = []

    @playhead.tool
    def ask(question):
        calls.append(question)
        return len(calls)

    for mode, count in (("live", 1), ("missing", 2), ("missing", 2), ("replay", 2), ("record", 3)):
        wrapped = playhead.session(name="support", mode=mode)(ask)
        assert wrapped("why") == count
    assert calls == ["why"] * 3
    with pytest.raises(UsageError, match="is no mode"):
        playhead.session(mode="recrod")
    with pytest.raises(UsageError, match="generator"):
        playhead.session()(lambda: (yield))


def test_names_and_tags_are_the_sessions():
    """And a name that is none begins nothing."""
    with playhead.record("bug-hunt", tags={"team": "billing"}) as session:
        look(1)
    assert session.path.suffix == ".tape"
    assert playhead.open(session.id).header.tags == {"team": "billing"}
    with pytest.raises(UsageError, match="cannot name a session"):
        playhead.record("a:b").__enter__()


def test_a_loop_that_cannot_be_ordered_is_refused(monkeypatch):
    """And nothing is left behind."""
    monkeypatch.setattr(asyncio, "get_running_loop", object)
    with pytest.raises(SetupError, match="event loop"):
        playhead.record("it").__enter__()
    monkeypatch.undo()


def test_a_recording_of_a_whole_program_is_not_for_a_block(monkeypatch):
    """It began before the block's first line."""
    with playhead.record("it"):
        look(1)
    found = playhead.open("it")
    object.__setattr__(found.header, "embedded", False)
    monkeypatch.setattr("playhead.cassette.opening.open_session", lambda *_args, **_named: found)
    with pytest.raises(UsageError, match="of a whole program"):
        playhead.replay("it").__enter__()
