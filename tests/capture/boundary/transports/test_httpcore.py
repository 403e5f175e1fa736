"""httpx and httpx2 in this process: their bytes are carried by its own wire, and in a replay by nothing else."""

import asyncio

import httpx
import httpx2
import pytest

from tests.capture.boundary.transports.conftest import PATH, question
from tests.support.carried import Carried
from tests.support.model_server import Behaviour

BOTH = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


@BOTH
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_client_reads_the_same_without_a_connection(library, scheme, server, carried):
    """Sync: whole answers and a stream, on one kept connection; the replay makes none."""
    url = (server.url if scheme == "http" else server.tls_url) + PATH

    def agent():
        with library.Client(verify=False) as client:
            first = client.post(url, json=question("one"))
            with client.stream("POST", url, json=question("many words please", stream=True)) as answer:
                pieces = list(answer.iter_raw())
            return first.text, dict(first.headers), pieces

    recorded = carried.record(agent)
    before = server.connections
    assert carried.replay(agent) == recorded
    assert server.connections == before
    assert carried.done["served"] == 2
    assert (carried.done["divergences"], carried.done["unplayed"], carried.halts) == ([], [], [])
    assert [e.route for e in carried.recording.exchanges] == ["hook", "hook"]
    assert len(recorded[2]) > 1


@BOTH
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_tasks_read_the_same_each_its_own(library, scheme, server, carried):
    """Async: equal questions at once, random answers, streams: everyone's own, in the order in which they came."""
    url = (server.url if scheme == "http" else server.tls_url) + PATH

    async def main():
        trace = []

        async def ask(client, n):
            answer = await client.post(url, json=question("the same"))
            trace.append((n, answer.json()["choices"][0]["message"]["content"]))
            async with client.stream("POST", url, json=question("the same words", stream=True)) as answer:
                async for piece in answer.aiter_raw():
                    trace.append((n, piece))  # noqa: PERF401  others append meanwhile

        async with library.AsyncClient(verify=False) as client:
            await asyncio.gather(*(ask(client, n) for n in range(5)))
        return trace

    def agent():
        return asyncio.run(main())

    recorded = carried.record(agent)
    before = server.connections
    assert carried.replay(agent) == recorded
    assert server.connections == before
    assert carried.done["divergences"] == []


@BOTH
def test_what_is_not_on_the_tape_is_refused_as_on_the_wire(library, server, carried):
    """Another prompt: the refusal's own status, header and words, and no connection."""
    url = server.url + PATH
    carried.record(lambda: library.post(url, json=question("Which city is the capital of France?")).status_code)
    before = server.connections
    answer = carried.replay(lambda: library.post(url, json=question("Which city is the capital of Spain?")))
    assert (answer.status_code, answer.headers["x-playhead-divergence"].split(";")[0]) == (400, "changed")
    assert answer.headers["x-should-retry"] == "false"
    assert server.connections == before
    assert [each["class"] for each in carried.done["divergences"]] == ["changed"]


@BOTH
def test_a_connection_that_fails_fails_again(library, server, carried, refusing):
    """Refused, reset and cut: the same error with the same words."""
    server.behave("reset it", Behaviour(reset=0))
    server.behave("cut it", Behaviour(cut=1))

    def agent():
        found = []
        for url, text in ((refusing, "nobody"), (server.url, "reset it"), (server.url, "cut it")):
            with pytest.raises(library.TransportError) as raised:
                library.post(url + PATH, json=question(text))
            found.append((type(raised.value), str(raised.value)))
        return found

    recorded = carried.record(agent)
    assert [kind for kind, _ in recorded] == [library.ConnectError, library.ReadError, library.RemoteProtocolError]
    before = server.connections
    assert carried.replay(agent)[0] == recorded[0]
    assert [kind for kind, _ in carried.replay(agent)] == [kind for kind, _ in recorded]
    assert server.connections == before
    assert carried.done["divergences"] == []


def test_a_secret_never_reaches_the_disk(server, carried):
    """A key in a header and one in a body: tokens in the file."""
    key, said = "sk-proj-" + "Ab3" * 16, "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"

    def agent():
        return httpx.post(
            server.url + PATH, json=question(f"use {said}"), headers={"authorization": f"Bearer {key}"}
        ).status_code

    assert carried.record(agent, seal=False) == 200
    (exchange,) = carried.recording.exchanges
    kept = exchange.head + exchange.body
    assert kept.count(b"<redacted:") == 2
    for each in (key, said):
        assert each.encode() not in carried.stored + kept + exchange.answer


def test_under_fsync_nothing_is_lost_and_nobody_hangs(server, tmp_path):
    """Group commits between a question and its answer, for a thread and for tasks."""
    carried = Carried(tmp_path / "store", durability="fsync")

    async def tasks():
        async with httpx.AsyncClient() as client:
            answers = await asyncio.gather(*(client.post(server.url + PATH, json=question("x")) for _ in range(4)))
        return [answer.text for answer in answers]

    def agent():
        return [httpx.post(server.url + PATH, json=question("x")).text, *asyncio.run(tasks())]

    recorded = carried.record(agent)
    assert carried.replay(agent) == recorded


def test_a_client_that_leaves_early_leaves_early_again(server, carried):
    """A stream that is broken off, and a read that took too long."""
    server.behave("slow", Behaviour(delay=5.0))
    server.behave("left in the middle", Behaviour(chunk_delay=30))

    def agent():
        with httpx.Client() as client:
            with client.stream("POST", server.url + PATH, json=question("left in the middle", stream=True)) as answer:
                first = next(answer.iter_raw())
            with pytest.raises(httpx.ReadTimeout) as raised:
                client.post(server.url + PATH, json=question("slow"), timeout=0.2)
            return first, str(raised.value), client.post(server.url + PATH, json=question("after")).text

    recorded = carried.record(agent)
    assert carried.replay(agent) == recorded
    assert (carried.done["divergences"], carried.done["unplayed"]) == ([], [])
    assert [e.ending for e in carried.recording.exchanges] == ["abandoned", "abandoned", "complete"]
