"""The SDKs in this process with no proxy: sync, async and streaming, the server gone in the replay; everyone's own answer."""

import asyncio
import random
import threading

import anthropic
import openai
import pytest

from tests.support.carried import Carried
from tests.support.model_server import Behaviour, ModelServer

TRIALS = 10  # of ten callers each: one hundred callers, sync and async


@pytest.fixture
def server(tmp_path):
    """A model server of its own, which a replay finds gone."""
    with ModelServer(tmp_path / "model-server", seed=3) as server:
        yield server


@pytest.fixture
def carried(tmp_path):
    """A session to be recorded, and replayed."""
    return Carried(tmp_path / "store")


def said(text):
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


def by_openai(url):
    """Whole and streamed, sync."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="sk-test", max_retries=0) as client:
        whole = client.chat.completions.create(model="m", messages=said("hello"))
        stream = client.chat.completions.create(model="m", messages=said("many words please"), stream=True)
        return whole.model_dump(), [piece.model_dump() for piece in stream]


def by_openai_async(url):
    """Whole and streamed, at once."""

    async def main():
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-test", max_retries=0) as client:

            async def whole():
                return (await client.chat.completions.create(model="m", messages=said("hello"))).model_dump()

            async def streamed():
                stream = await client.chat.completions.create(model="m", messages=said("words"), stream=True)
                return [piece.model_dump() async for piece in stream]

            return await asyncio.gather(whole(), streamed(), whole())

    return asyncio.run(main())


def by_anthropic(url):
    """Whole and streamed, sync."""
    with anthropic.Anthropic(base_url=url, api_key="sk-ant-test", max_retries=0) as client:
        whole = client.messages.create(model="m", max_tokens=50, messages=said("hello"))
        with client.messages.stream(model="m", max_tokens=50, messages=said("many words please")) as stream:
            return whole.model_dump(), list(stream.text_stream)


def by_anthropic_async(url):
    """Whole and streamed, at once."""

    async def main():
        async with anthropic.AsyncAnthropic(base_url=url, api_key="sk-ant-test", max_retries=0) as client:

            async def whole():
                return (await client.messages.create(model="m", max_tokens=50, messages=said("hello"))).model_dump()

            async def streamed():
                async with client.messages.stream(model="m", max_tokens=50, messages=said("words")) as stream:
                    return [text async for text in stream.text_stream]

            return await asyncio.gather(whole(), streamed(), whole())

    return asyncio.run(main())


SDKS = pytest.mark.parametrize("sdk", [by_openai, by_openai_async, by_anthropic, by_anthropic_async])


@SDKS
def test_an_sdk_reads_the_same_with_the_server_gone(sdk, server, carried):
    """Steps of the provider's kind in the recording, and no server in the replay."""
    url = server.url
    recorded = carried.record(lambda: sdk(url))
    server.stop()
    assert carried.replay(lambda: sdk(url)) == recorded
    assert carried.done["served"] == len(carried.recording.exchanges)
    assert (carried.done["divergences"], carried.done["unplayed"]) == ([], [])
    assert {e.route for e in carried.recording.exchanges} == {"hook"}


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_retries_are_made_again(kind, server, carried):
    """Twice 429, then an answer: three exchanges, and the same three in the replay."""
    server.behave("flaky", *[Behaviour(status=429, retry_after=0)] * 2, Behaviour())

    def agent():
        if kind == "openai":
            with openai.OpenAI(base_url=f"{server.url}/v1", api_key="sk-test", max_retries=3) as client:
                return client.chat.completions.create(model="m", messages=said("flaky")).model_dump()
        with anthropic.Anthropic(base_url=server.url, api_key="sk-test", max_retries=3) as client:
            return client.messages.create(model="m", max_tokens=9, messages=said("flaky")).model_dump()

    recorded = carried.record(agent)
    assert len(carried.recording.exchanges) == 3
    assert carried.replay(agent) == recorded


def test_a_refusal_is_an_error_of_the_sdk_and_not_retried(server, carried):
    """Another prompt in the replay: BadRequestError at once, as from the wire."""

    def agent(text):
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="sk-test") as client:
            return client.chat.completions.create(model="m", messages=said(text)).model_dump()

    carried.record(lambda: agent("Which city is the capital of France?"))
    with pytest.raises(openai.BadRequestError):
        carried.replay(lambda: agent("Which city is the capital of Spain?"))
    assert [each["class"] for each in carried.done["divergences"]] == ["changed"]
    assert carried.done["served"] == 0


@pytest.mark.parametrize("kind", ["tasks", "threads"])
def test_a_hundred_callers_with_one_prompt_get_their_own_answers(kind, server, tmp_path):
    """Identical prompts at once, random pauses that differ in the replay: 100 of 100, in the recorded order."""
    url = f"{server.url}/v1"

    def tasks():
        trace = []

        async def main():
            async with openai.AsyncOpenAI(base_url=url, api_key="sk-test") as client:

                async def ask(n):
                    await asyncio.sleep(random.random() / 100)
                    answer = await client.chat.completions.create(model="m", messages=said("the same"))
                    trace.append((n, answer.choices[0].message.content))

                await asyncio.gather(*(ask(n) for n in range(10)))

        asyncio.run(main())
        return trace

    def threads():
        trace = {}

        def ask(n):
            with openai.OpenAI(base_url=url, api_key="sk-test") as client:
                trace[n] = (
                    client.chat.completions.create(model="m", messages=said("the same")).choices[0].message.content
                )

        running = [threading.Thread(target=ask, args=(n,)) for n in range(10)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return sorted(trace.items())

    agent = tasks if kind == "tasks" else threads
    own = 0
    for trial in range(TRIALS):
        carried = Carried(tmp_path / f"store-{trial}")
        recorded = carried.record(agent)
        assert len({text for _, text in recorded}) == 10
        replayed = carried.replay(agent)
        own += sum(one == other for one, other in zip(recorded, replayed, strict=True))
        assert carried.done["ambiguous"] == []
    assert own == 10 * TRIALS
