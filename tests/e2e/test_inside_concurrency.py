"""Callers that ask the same at once, after random pauses: each has its own recorded answer again."""

import re

import pytest

from tests.support.clients import KEYS
from tests.support.executable import plain_environment
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
