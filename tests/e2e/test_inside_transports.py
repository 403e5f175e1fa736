"""Concurrent HTTP of a Python agent: who is answered first comes again, with its own answer, piece by piece."""

import pytest

from tests.support.inside import Agent

TASKS = """
    import asyncio, os, random
    import aiohttp, httpx, httpx2

    URL, trace = os.environ["MODEL"] + "/v1/chat/completions", []

    def question(text, **more):
        return {"model": "m", "messages": [{"role": "user", "content": text}], **more}

    async def by_aiohttp(session, n):
        async with session.post(URL, json=question("the same")) as answer:
            trace.append((n, (await answer.json())["choices"][0]["message"]["content"]))
        async with session.post(URL, json=question("a stream of words please", stream=True)) as answer:
            async for piece in answer.content.iter_any():
                trace.append((n, piece))

    async def by_httpx(client, n):
        await asyncio.sleep(random.random() / 50)
        answer = await client.post(URL, json=question("the same"))
        trace.append((n, answer.json()["choices"][0]["message"]["content"]))
        async with client.stream("POST", URL, json=question("a stream of words please", stream=True)) as answer:
            async for piece in answer.aiter_raw():
                trace.append((n, piece))

    async def main():
        async with aiohttp.ClientSession() as session, httpx.AsyncClient() as one, httpx2.AsyncClient() as other:
            async with asyncio.TaskGroup() as group:
                for n in range(3):
                    group.create_task(by_aiohttp(session, f"aiohttp {n}"))
                    group.create_task(by_httpx(one, f"httpx {n}"))
                    group.create_task(by_httpx(other, f"httpx2 {n}"))

    asyncio.run(main())
    for each in trace:
        print(*each)
    """
THREADS = """
    import os, random, threading, time
    import httpx, requests

    URL, trace, lock = os.environ["MODEL"] + "/v1/chat/completions", [], threading.Lock()

    def ask(n):
        for turn in range(3):
            time.sleep(random.random() / 50)
            client = requests if turn % 2 else httpx
            answer = client.post(URL, json={"model": "m", "messages": [{"role": "user", "content": "the same"}]})
            with lock:
                trace.append((n, answer.json()["choices"][0]["message"]["content"]))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    for each in trace:
        print(*each)
    """


@pytest.mark.parametrize("code", [TASKS, THREADS], ids=["tasks", "threads"])
def test_races_between_answers_come_again(env_with_model, tmp_path, code):
    """Equal questions asked at once, random pauses, streams in between: the same trace, and nothing is a guess."""
    agent = Agent(env_with_model, tmp_path, code)
    traces = set()
    for _ in range(2):
        recorded = agent.record()
        traces.add(recorded.stdout)
        replayed = agent.replay()
        assert replayed.stdout == recorded.stdout
        assert (replayed.returncode, replayed.summary["verdict"]) == (0, "identical"), replayed.stderr
        assert replayed.summary["ambiguous"] == []
        assert replayed.summary["order_unobserved"] == 0
    while len(traces) < 2:  # by chance; until then this shows nothing
        traces.add(agent.record().stdout)


def test_the_pace_of_the_recording_can_be_kept(env_with_model, tmp_path):
    """`--speed 1` serves at the recorded pace, and the trace is the same."""
    agent = Agent(env_with_model, tmp_path, TASKS)
    recorded = agent.record()
    replayed = agent.replay("--speed", "1")
    assert (replayed.stdout, replayed.returncode) == (recorded.stdout, 0), replayed.stderr


@pytest.mark.parametrize("code", [TASKS, THREADS], ids=["tasks", "threads"])
def test_a_changed_request_is_told_by_the_wire(env_with_model, tmp_path, code):
    """One word changed: the report is that of the wire, with its JSON path. That the refusal is read in other pieces than
    the recorded answer, and what follows from it, is not told beside it."""
    agent = Agent(env_with_model, tmp_path, code)
    agent.record()
    agent.write(code.replace("the same", "the others"))
    replayed = agent.replay()
    assert (replayed.returncode, replayed.summary["verdict"]) == (1, "diverged"), replayed.stderr
    for each in replayed.summary["divergences"]:
        assert (each["class"], each["path"]) == ("changed", "$.messages[0].content"), replayed.stderr
    assert replayed.stderr.count("diverged at") == len(replayed.summary["divergences"]) > 0
