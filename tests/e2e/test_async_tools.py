"""Tools of an agent on an event loop: answers in their order, items of streams, what is cancelled."""

import pytest

from tests.support.executable import plain_environment
from tests.support.inside import Agent

MANY = """
    import asyncio, inspect, pathlib, random, sys
    import playhead

    RAN = pathlib.Path(sys.argv[1])

    def ran(what):
        with RAN.open("a") as file:
            file.write(what + " ")

    @playhead.tool(effect="read")
    async def price(item):
        ran(item)
        await asyncio.sleep(random.SystemRandom().random() / 50)
        if item == "c":
            raise LookupError(item)
        return len(RAN.read_text())

    @playhead.tool
    async def words(text):
        try:
            for word in text.split():
                await asyncio.sleep(random.SystemRandom().random() / 100)
                again = yield word + str(len(RAN.read_text()))
                if again:
                    yield again.upper()
        finally:
            ran("closed")

    @playhead.tool
    async def slow():
        ran("slow")
        await asyncio.sleep(60)

    @playhead.step("ask")
    async def ask(name):
        try:
            print(name, await price(name))
        except LookupError as error:
            print(name, "unknown", error)

    async def stream(text, most):
        async for word in words(text):
            print("word", word)
            most -= 1
            if not most:
                break

    @playhead.step("watch")
    async def watch(text):
        async for word in words(text):
            try:
                again = yield word
            except KeyError as error:
                again = yield repr(error)
            print("again", again)

    async def main():
        await asyncio.gather(*(ask(name) for name in "abcde"), stream("one two three", 9))
        talk = words("x y")
        print(await talk.asend(None), await talk.asend("again"), await anext(talk))
        await talk.aclose()
        await stream("early end", 1)
        seen = watch("p q r")
        print(await anext(seen), await seen.asend("more"), await seen.athrow(KeyError("k")), [each async for each in seen])
        task = asyncio.create_task(slow())
        try:
            await asyncio.wait_for(task, 0.05)
        except TimeoutError:
            print("too slow", task.cancelled())
        print(await playhead.boundary("by hand", price.__wrapped__, "h"))
        assert inspect.iscoroutinefunction(price) and inspect.isasyncgenfunction(words)

    asyncio.run(main())
    """


@pytest.fixture
def agent(home, tmp_path):
    return Agent(plain_environment(home), tmp_path, MANY, str(tmp_path / "ran"))


def test_races_of_tools_come_again_and_nothing_runs(agent, tmp_path):
    """Concurrent calls in the order of their answers, streams item by item, early ends, a cancelled call."""
    ran = tmp_path / "ran"
    first = agent.record()
    assert "c unknown c" in first.stdout
    assert "too slow True" in first.stdout
    before = ran.read_text()
    assert before.count("closed") == 4
    for _ in range(3):
        replayed = agent.replay()
        assert replayed.stdout == first.stdout
        assert replayed.summary["verdict"] == "identical", replayed.stderr
    assert ran.read_text() == before


def test_a_changed_call_in_a_task_is_named_with_its_lane(agent):
    """The others do not hide it."""
    agent.record()
    agent.write(MANY.replace("print(name, await price(name))", 'print(name, await price(name.replace("d", "D")))'))
    replayed = agent.replay()
    assert replayed.returncode == 1
    divergence = replayed.summary["divergences"][0]
    assert (divergence["class"], divergence["path"], divergence["expected"]) == ("changed", "$.item", '"d"')
    assert divergence["lane"].startswith("t")


def test_threads_of_the_loop_that_only_a_tool_used_are_not_waited_for(home, tmp_path):
    """`asyncio.run` ends by waiting for them; a replay has none, and ends at the same place of the order."""
    code = """
        import asyncio, time
        import playhead

        @playhead.tool
        async def ask():
            return await asyncio.to_thread(time.time)

        async def main():
            print(await ask(), await asyncio.wait_for(ask(), 5))

        asyncio.run(main())
        print("over")
        """
    agent = Agent(plain_environment(home), tmp_path, code)
    recorded = agent.record()
    replayed = agent.replay()
    assert (replayed.stdout, replayed.summary["verdict"]) == (recorded.stdout, "identical"), replayed.stderr
