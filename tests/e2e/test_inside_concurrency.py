"""Callers that ask the same at once, after random pauses: each has its own recorded answer again."""

import json
import re

import pytest

from tests.support.clients import KEYS
from tests.support.executable import plain_environment, playhead
from tests.support.inside import Agent
from tests.support.model_server import ModelServer

SHARE, ALL = 2, 100
ASKED = 5 * 2
TASKS = """
    import asyncio, os, random

    URL = os.environ["MODEL"] + "/v1"
    QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Pick a number."}]}
    HEAD

    async def caller(client, n):
        for turn in range(2):
            await asyncio.sleep(random.random() / 50)
            print(n, turn, await ask(client), flush=True)

    async def main():
        async with CLIENT as client:
            await asyncio.gather(*[caller(client, n) for n in range(5)])

    asyncio.run(main())
    """
THREADS = """
    import os, random, threading, time
    import httpx

    URL = os.environ["MODEL"] + "/v1/chat/completions"
    QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Pick a number."}]}
    lock = threading.Lock()

    def caller(n):
        for turn in range(2):
            time.sleep(random.random() / 50)
            answer = httpx.post(URL, json=QUESTION).json()["choices"][0]["message"]["content"]
            with lock:
                print(n, turn, answer, flush=True)

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(5)]
    [each.start() for each in threads], [each.join() for each in threads]
    """
OPENAI = """import openai

    async def ask(client):
        return (await client.chat.completions.create(**QUESTION)).choices[0].message.content
    """
AIOHTTP = """import aiohttp

    async def ask(client):
        async with client.post(URL + "/chat/completions", json=QUESTION) as answer:
            return (await answer.json())["choices"][0]["message"]["content"]
    """
AGENTS = {
    "openai": TASKS.replace("HEAD", OPENAI).replace("CLIENT", "openai.AsyncOpenAI(base_url=URL)"),
    "aiohttp": TASKS.replace("HEAD", AIOHTTP).replace("CLIENT", "aiohttp.ClientSession()"),
    "threads": THREADS,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One model server whose answers to equal prompts differ."""
    with ModelServer(tmp_path_factory.mktemp("model-server"), seed=7) as server:
        yield server


@pytest.mark.parametrize("replays", [SHARE, pytest.param(ALL, marks=pytest.mark.soak)])
@pytest.mark.parametrize("client", sorted(AGENTS))
@pytest.mark.timeout(1800)
def test_every_caller_has_its_own_recorded_answer(server, home, tmp_path, client, replays):
    """Ten questions in the same words, ten answers: who got which, and in which order, in every replay; none is a guess."""
    agent = Agent(plain_environment(home) | KEYS | {"MODEL": server.url}, tmp_path, AGENTS[client])
    recorded = agent.record()
    answers = re.findall(r"^\d \d .*$", recorded.stdout, re.MULTILINE)
    assert len({line[4:] for line in answers}) == ASKED
    hits = server.hits
    for _ in range(replays):
        replayed = agent.replay()
        assert replayed.stdout == recorded.stdout
        assert (replayed.returncode, replayed.summary["verdict"]) == (0, "identical"), replayed.stderr
        assert replayed.summary["ambiguous"] == []
    assert server.hits == hits


WORDS = """
    import os, sys, threading
    import httpx

    URL = os.environ["MODEL"] + "/v1/chat/completions"
    lock = threading.Lock()

    def caller(n):
        for turn in range(2):
            question = {"model": "m", "messages": [{"role": "user", "content": f"Pick a number, {n}.{turn}."}]}
            httpx.post(URL, json=question)
            with lock:
                print(n, turn, flush=True)

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(3)]
    [each.start() for each in threads], [each.join() for each in threads]
    """


def test_a_thread_more_or_less_is_told_by_its_own_name(server, home, tmp_path):
    """What one more asks is extra in its lane, and no changed step of another; without one, that one's first step is missing."""
    agent = Agent(plain_environment(home) | KEYS | {"MODEL": server.url}, tmp_path, WORDS)
    agent.record()
    agent.write(WORDS.replace("range(3)", "range(4)"))
    more = agent.replay()
    first = more.summary["divergences"][0]
    assert (first["class"], first["lane"], first["step"]) == ("extra", "h4", None), more.stderr
    agent.write(WORDS.replace("range(3)", "range(2)"))
    less = agent.replay()
    first = less.summary["divergences"][0]
    steps = json.loads(playhead("inspect", "it", "--json", env=agent.env).stdout)["steps"]
    due = next(step["step"] for step in steps if step["lane"] == "h3")
    assert (first["class"], first["lane"], first["step"]) == ("missing", "h3", due), less.stderr


SHARED = """
    import asyncio, os, threading
    from concurrent.futures import ThreadPoolExecutor
    import openai, playhead

    URL = os.environ["MODEL"] + "/v1"
    client, lock = openai.OpenAI(base_url=URL), threading.Lock()

    def say(words):
        asked = client.chat.completions.create(model="m", messages=[{"role": "user", "content": words}])
        return asked.choices[0].message.content

    def work(n):
        answer = say(f"Pick a number, {n}.")
        with lock:
            print(n, answer, flush=True)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    [each.start() for each in threads], [each.join() for each in threads]

    others = openai.AsyncOpenAI(base_url=URL)

    async def ask(words):
        asked = await others.chat.completions.create(model="m", messages=[{"role": "user", "content": words}])
        return asked.choices[0].message.content

    @playhead.tool
    def crowd():
        found = []
        threads = [threading.Thread(target=lambda n=n: found.append(say(f"In a thread, {n}."))) for n in range(2)]
        [each.start() for each in threads], [each.join() for each in threads]
        with ThreadPoolExecutor(2) as pool:
            return sorted(found), list(pool.map(say, ["In a pool, 1.", "In a pool, 2."]))

    print(crowd())

    @playhead.tool
    async def sub_agent(words):
        return await ask(words)

    async def main():
        print(await sub_agent("Pick one."), await ask("Pick another."))

    asyncio.run(main())
    """


def test_what_an_sdk_keeps_from_its_first_use_may_be_kept_by_anyone(server, home, tmp_path):
    """An SDK asks the machine once, in whichever thread comes first, or in a tool, which does not run in a replay. What threads
    of a tool ask of a model is asked by the tool."""
    agent = Agent(plain_environment(home) | KEYS | {"MODEL": server.url}, tmp_path, SHARED)
    recorded = agent.record()
    for _ in range(4):
        replayed = agent.replay()
        assert (replayed.summary["verdict"], replayed.stdout) == ("identical", recorded.stdout), replayed.stderr
