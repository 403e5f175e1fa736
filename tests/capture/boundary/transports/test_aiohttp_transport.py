"""aiohttp in this process, carried by its own wire."""

import asyncio
import io
import json

import aiohttp
import pytest

from tests.capture.boundary.transports.conftest import PATH, question
from tests.support.carried import Carried
from tests.support.model_server import Behaviour


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_tasks_read_the_same_without_a_connection(scheme, server, carried):
    """Equal questions at once, whole answers and streams: everyone's own, in the order in which they came."""
    url = (server.url if scheme == "http" else server.tls_url) + PATH

    async def main():
        trace = []

        async def ask(session, n):
            async with session.post(url, json=question("the same"), ssl=False) as answer:
                trace.append((n, answer.status, dict(answer.headers), await answer.text()))
            async with session.post(url, json=question("the same words", stream=True), ssl=False) as answer:
                async for piece in answer.content.iter_any():
                    trace.append((n, piece))  # noqa: PERF401  others append meanwhile

        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(ask(session, n) for n in range(5)))
        return trace

    recorded = carried.record(lambda: asyncio.run(main()))
    before = server.connections
    assert carried.replay(lambda: asyncio.run(main())) == recorded
    assert server.connections == before
    assert (carried.done["divergences"], carried.done["unplayed"], carried.halts) == ([], [], [])
    assert {e.route for e in carried.recording.exchanges} == {"hook"}


def test_a_connection_that_fails_fails_again(server, carried, refusing):
    """Nobody there, no trust, reset, cut, left early, too late: the same errors in the same words."""
    server.behave("reset it", Behaviour(reset=0))
    server.behave("cut it", Behaviour(cut=1))
    server.behave("slow", Behaviour(delay=5.0))

    async def main():
        found = []
        async with aiohttp.ClientSession() as session:
            for url, text in (
                (refusing, "nobody"),
                (server.tls_url, "no trust"),
                (server.url, "reset it"),
                (server.url, "cut it"),
                (server.url, "slow"),
            ):
                try:
                    wait = aiohttp.ClientTimeout(sock_read=0.3 if text == "slow" else None)
                    async with session.post(url + PATH, json=question(text), timeout=wait) as answer:
                        await answer.read()
                except Exception as error:
                    found.append((type(error), str(error)))
            async with session.post(server.url + PATH, json=question("after")) as answer:
                found.append(await answer.text())
        return found

    recorded = carried.record(lambda: asyncio.run(main()))
    assert [kind for kind, _ in recorded[:5]] == [
        aiohttp.ClientConnectorError,
        aiohttp.ClientConnectorCertificateError,
        aiohttp.ClientOSError,
        aiohttp.ClientPayloadError,
        aiohttp.SocketTimeoutError,
    ]
    before = server.connections
    assert carried.replay(lambda: asyncio.run(main())) == recorded
    assert server.connections == before
    assert carried.done["divergences"] == []


def test_a_stream_that_is_left_early_is_left_again(server, carried):
    """Broken off after the first piece; the connection is not kept."""
    server.behave("left in the middle", Behaviour(chunk_delay=30))

    async def main():
        async with aiohttp.ClientSession() as session:
            async with session.post(server.url + PATH, json=question("left in the middle", stream=True)) as answer:
                first = await answer.content.readany()
            async with session.post(server.url + PATH, json=question("after")) as answer:
                return first, await answer.text()

    recorded = carried.record(lambda: asyncio.run(main()))
    assert carried.replay(lambda: asyncio.run(main())) == recorded
    assert [e.ending for e in carried.recording.exchanges] == ["abandoned", "complete"]


def test_what_is_not_on_the_tape_is_refused(server, carried):
    """Another prompt: the refusal's own answer."""

    async def ask(text):
        async with (
            aiohttp.ClientSession() as session,
            session.post(server.url + PATH, json=question(text)) as answer,
        ):
            return answer.status, answer.headers.get("x-playhead-divergence", ""), await answer.json()

    carried.record(lambda: asyncio.run(ask("Which city is the capital of France?")))
    before = server.connections
    status, klass, said = carried.replay(lambda: asyncio.run(ask("Which city is the capital of Spain?")))
    assert (status, klass.split(";")[0], said["error"]["code"]) == (400, "changed", "playhead_divergence")
    assert server.connections == before


def test_under_fsync_nothing_is_lost_and_nobody_hangs(server, tmp_path):
    """Group commits between a question and its answer."""
    carried = Carried(tmp_path / "store", durability="fsync")

    async def main():
        async with aiohttp.ClientSession() as session:

            async def ask():
                async with session.post(server.url + PATH, json=question("x")) as answer:
                    return await answer.text()

            return await asyncio.gather(*(ask() for _ in range(4)))

    recorded = carried.record(lambda: asyncio.run(main()))
    assert carried.replay(lambda: asyncio.run(main())) == recorded


def test_a_large_body_goes_out_whole(server, carried):
    """More than a socket takes at once, in both directions of the wire."""
    text = "word " * 400_000

    async def main():
        async with (
            aiohttp.ClientSession() as session,
            session.post(server.url + PATH, data=io.BytesIO(json.dumps(question(text)).encode())) as answer,
        ):
            return await answer.read()

    recorded = carried.record(lambda: asyncio.run(main()))
    assert server.log[-1].json["messages"][0]["content"] == text
    assert carried.replay(lambda: asyncio.run(main())) == recorded
