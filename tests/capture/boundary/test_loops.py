"""asyncio on the two tapes, in this process: what races in a recording, races alike in its replay."""

import asyncio
import contextlib
import sys

import pytest

from playhead.capture.boundary import active, locks, loops
from playhead.capture.boundary.patches import Patches
from playhead.core.boundary import Diverged
from tests.capture.boundary.tapes import Tapes


@pytest.fixture
def tapes(tmp_path):
    with Tapes(tmp_path) as tapes:
        patches = Patches()
        loops.install(patches, lambda name, patch: patch(sys.modules[name]) if name in sys.modules else None)
        yield tapes
        patches.undo()


async def tool(name, work):
    return await loops.acall("tool", name, b"{}", work)


def both(tapes, agent):
    """What the agent says, recorded and replayed."""
    return tapes.record(lambda: asyncio.run(agent())), tapes.replay(lambda: asyncio.run(agent()))


def test_a_recorded_answer_is_given_without_the_work(tapes):
    """Returned and raised ones."""
    ran = []

    async def work():
        ran.append(1)
        await asyncio.sleep(0)
        if len(ran) == 2:
            raise LookupError("gone")
        return len(ran)

    async def agent():
        first = await tool("a", work)
        with pytest.raises(LookupError, match="gone"):
            await tool("b", work)
        return first

    assert both(tapes, agent) == (1, 1)
    assert len(ran) == 2
    assert tapes.end["unplayed"] == []
    assert tapes.end["left"] == 0


def test_who_is_cancelled_gets_what_the_work_ends_with(tapes):
    """A tool that cleans up has done so before its caller goes on; one that does not mind gives its answer."""
    said = []

    async def slow():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.001)
            said.append("clean")
            raise

    async def stubborn():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "all the same"

    async def agent():
        found = []
        for work in (slow, stubborn):
            task = asyncio.create_task(tool(work.__name__, work))
            await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.wait([task])
            found.append("cancelled" if task.cancelled() else task.result())
            cleaned.append(list(said))
        return found

    cleaned = []
    assert both(tapes, agent) == (["cancelled", "all the same"],) * 2
    assert cleaned[0] == ["clean"]
    assert tapes.end["left"] == 0


def test_a_timer_that_lost_against_its_cancellation_is_not_waited_for(tapes):
    """It had fired, and was not delivered: nobody waits for it in a replay."""

    async def agent():
        loop = asyncio.get_running_loop()
        said = []
        late = loop.call_later(0, said.append, "late")
        loop.call_later(0, late.cancel)
        for _ in range(3):
            await asyncio.sleep(0.001)
        return said

    recorded, replayed = both(tapes, agent)
    assert recorded == replayed
    assert tapes.end["left"] == 0


def test_a_loop_without_rest_is_not_starved(tapes):
    """It polls as often in the replay as it did."""

    async def work():
        await asyncio.sleep(0.002)
        return 1

    async def agent():
        task = asyncio.create_task(tool("slow", work))
        count = 0
        while not task.done():
            count += 1
            await asyncio.sleep(0)
        return count

    recorded, replayed = both(tapes, agent)
    assert recorded == replayed > 50


def test_a_stream_left_early_is_closed_before_its_reader_goes_on(tapes):
    """Its own clean-up has run; in a replay nothing of it runs."""
    closed = []

    async def items():
        try:
            for n in range(5):
                yield n
        finally:
            await asyncio.sleep(0)
            closed.append(1)

    async def agent():
        stream = loops.astream("stream", "s", b"{}", items)
        found = [await anext(stream), await anext(stream)]
        await stream.aclose()
        return found, len(closed)

    assert tapes.record(lambda: asyncio.run(agent())) == ([0, 1], 1)
    assert tapes.replay(lambda: asyncio.run(agent()))[0] == [0, 1]
    assert len(closed) == 1


def test_another_question_ends_the_run(tapes):
    """Also when nobody awaits the task that asked, and the agent catches what it can."""

    async def work():
        return 1

    async def agent(name="a"):
        async def background():
            try:
                await tool(name, work)
            except Exception:
                return

        task = asyncio.create_task(background())
        await asyncio.sleep(0.01)
        return task

    tapes.record(lambda: asyncio.run(agent()))
    with pytest.raises(Diverged):
        tapes.replay(lambda: asyncio.run(agent("b")))
    assert tapes.divergence["class"] in {"changed", "extra"}


def test_sets_of_tasks_iterate_in_the_order_of_their_making(tapes):
    """By a number, not by address."""

    async def agent():
        tasks = [asyncio.create_task(asyncio.sleep(0), name=str(n)) for n in range(50)]
        return [task.get_name() for task in set(tasks)]

    recorded, replayed = both(tapes, agent)
    assert recorded == replayed == sorted(recorded, key=int)


def test_the_work_of_calls_does_not_count_among_the_tasks(tapes):
    """Tasks made behind a call have the same hash in a replay, which does not run its work."""

    async def agent():
        hashes = []
        for number in range(3):
            await tool(f"t{number}", lambda: asyncio.sleep(0))
            task = asyncio.create_task(asyncio.sleep(0))
            hashes.append(hash(task))
            await task
        return hashes

    recorded, replayed = both(tapes, agent)
    assert replayed == recorded


def test_work_that_is_cancelled_before_it_begins_does_not_begin(tapes):
    """By its caller, who has asked in the turn before."""
    began = []

    async def work():
        began.append(1)

    async def agent():
        task = asyncio.create_task(tool("never", work))
        await asyncio.sleep(0)
        assert not task.done()
        task.cancel("now")
        with pytest.raises(asyncio.CancelledError) as told:
            await task
        return str(told.value), await tool("after", lambda: asyncio.sleep(0, 7))

    recorded, replayed = both(tapes, agent)
    assert recorded == replayed == ("now", 7)
    assert not began


def test_work_that_ends_the_program_ends_it(tapes):
    """The loop is left at once, and the agent told of it while it is cleaned up."""
    told = []

    async def work():
        raise SystemExit(3)

    async def agent():
        try:
            await tool("exit", work)
        except BaseException as error:
            told.append(type(error).__name__)
            raise

    with pytest.raises(SystemExit, match="3"):
        tapes.record(lambda: asyncio.run(agent()))
    assert told == ["CancelledError"]


def test_work_that_stops_an_iteration_is_told_as_python_does(tapes):
    """A coroutine cannot raise StopIteration."""

    class Odd:
        def __await__(self):
            return self

        def __iter__(self):
            return self

        def __next__(self):
            raise StopIteration(5)

    def refuses():
        raise StopIteration

    async def agent():
        with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
            await tool("refuses", refuses)
        return await tool("odd", Odd)

    assert both(tapes, agent) == (5, 5)


def test_a_factory_of_the_agent_keeps_its_say(tapes):
    """With its lane, and the arguments it knows."""
    made = []

    def factory(loop, coro):
        task = asyncio.Task(coro, loop=loop)
        made.append(active.current().path)
        return task

    async def path():
        return active.current().path

    async def agent():
        asyncio.get_running_loop().set_task_factory(factory)
        assert asyncio.get_running_loop().get_task_factory() is factory
        return await asyncio.gather(path(), path())

    assert both(tapes, agent) == (["0/t1/t1", "0/t1/t2"],) * 2
    assert made[:2] == ["0/t1/t1", "0/t1/t2"]


def test_uvloop_gives_way(tapes):
    """The standard loop runs in its place, and this is said."""
    uvloop = pytest.importorskip("uvloop")
    from playhead.capture.boundary import foreign

    said = []
    active.say_by(said.append)
    patches = Patches()
    foreign.give_way(patches, uvloop)
    try:

        async def agent():
            return type(asyncio.get_running_loop()).__module__

        assert tapes.record(lambda: uvloop.run(agent())) == "asyncio.unix_events"
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(agent()) == "asyncio.unix_events"
    finally:
        patches.undo()
        active.say_by(str)
    assert said == ["uvloop is imported: the standard event loop runs in its place"]


def test_without_a_tape_nothing_is_different(tapes):
    """Patched, but not on a tape."""

    async def agent():
        loop = asyncio.get_running_loop()
        done, _ = await asyncio.wait([loop.create_task(asyncio.sleep(0, n)) for n in range(3)])
        handle = loop.call_later(0, int)
        await asyncio.sleep(0.001)
        assert await loops.acall("tool", "t", b"", lambda: asyncio.sleep(0, 5)) == 5
        return sorted(task.result() for task in done), type(handle).__name__

    assert asyncio.run(agent()) == ([0, 1, 2], "TimerHandle")


def test_a_killed_run_comes_again_up_to_its_kill(tapes):
    """Whatever record was its last: what it said, in its order, and then that the recording ends. Answers that had come
    and were withdrawn, or were over when their callers were cancelled, are withdrawn again."""

    async def agent(said):
        def say(*words):
            if active.tape.diverged is None:  # how it is wound up then is nothing that was recorded
                said.append(words)

        async def quick():
            return "done"

        async def ask(n):
            try:
                say(n, await tool(f"{n}", quick))
            except asyncio.CancelledError:
                say(n, "cancelled")
            except Diverged:
                pass  # the loop raises it, too

        tasks = [asyncio.create_task(ask(n)) for n in range(4)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks)
        for turns in range(1, 7):  # somewhere in between the work is over, and the loop has not told its caller
            one = asyncio.create_task(ask(f"after {turns}"))
            for _ in range(turns):
                await asyncio.sleep(0)
            one.cancel()
            await one
        say(await tool("last", quick), await tool("very last", quick))

    whole = []
    tapes.record(lambda: asyncio.run(agent(whole)))
    events = tapes.events()
    assert [words[1] for words in whole].count("cancelled") > 3
    lengths = set()
    for count in range(1, len(events)):
        said = []
        tapes.events = lambda count=count: events[:count]
        with contextlib.suppress(Diverged):
            tapes.replay(lambda said=said: asyncio.run(agent(said)))
        assert said == whole[: len(said)]
        assert {facts["divergence"]["class"] for facts in tapes.said if "divergence" in facts} <= {"exhausted"}
        lengths.add(len(said))
    assert lengths >= {0, 4, len(whole)}


def test_a_call_found_further_on_is_answered_there(tapes):
    """A task that asks one call less goes on behind it, and what is missing is the one that it does not ask."""

    async def work():
        return "done"

    async def agent(names):
        return [await tool(name, work) for name in names]

    tapes.record(lambda: asyncio.run(agent("abcd")))
    assert tapes.replay(lambda: asyncio.run(agent("acd"))) == ["done"] * 3
    assert tapes.divergence["class"] == "missing"
    assert tapes.divergence["recorded"]["name"] == "b"


def test_it_matters_to_nobody_when_the_generator_of_a_library_is_collected(tapes):
    """While the loop runs, while it does not, or never: tasks, locks and timers keep their places."""
    library = {}
    code = "async def items():\n    try:\n        yield 1\n    finally:\n        await sleep(0)\n"
    exec(compile(code, "/usr/lib/python3/site-packages/lib.py", "exec"), library)
    library["sleep"] = asyncio.sleep
    lock = locks.Lock.made()

    def agent(collected):
        kept = []

        async def main():
            generator = library["items"]()
            await anext(generator)
            if collected != "inside":
                kept.append(generator)
            del generator
            await asyncio.sleep(0)
            return await asyncio.create_task(asyncio.sleep(0.001, "slept"))

        loop = asyncio.new_event_loop()
        found = loop.run_until_complete(main())
        if collected == "outside":
            kept.clear()
        with lock:
            found += loop.run_until_complete(asyncio.sleep(0.001, " twice"))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        return found

    ways = ["inside", "outside", "never"]
    for first in ways:
        assert tapes.record(lambda first=first: agent(first)) == "slept twice"
        for second in ways:
            assert tapes.replay(lambda second=second: agent(second)) == "slept twice"
            assert [facts for facts in tapes.said if "divergence" in facts] == [], (first, second)
