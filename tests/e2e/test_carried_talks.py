"""Conversations over websockets in this process: who speaks first, gives up, closes, is refused; and the SDK above them."""

import asyncio
import contextlib
import http
import json
import ssl
import threading

import aiohttp
import openai
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as sync_connect

from tests.core.secrets import shaped
from tests.support.authority import TestAuthority
from tests.support.carried import Carried
from tests.support.talker import Talker

KEY = shaped()[0].secret.decode()


@pytest.fixture
def carried(tmp_path):
    """A session to be recorded, and replayed."""
    return Carried(tmp_path / "store")


@pytest.fixture
def talker():
    """Makes servers of a handler, which a replay finds gone."""
    with contextlib.ExitStack() as servers:
        yield lambda handler, **options: servers.enter_context(Talker(handler, **options))


def both(carried, server, agent):
    """What the agent gives recorded; it must give the same with the server gone."""
    recorded = carried.record(agent)
    server.stop()
    assert carried.replay(agent) == recorded
    assert (carried.done["divergences"], carried.done["unplayed"], carried.halts) == ([], [], [])
    return recorded


def closing(ws):
    """Says goodbye in its own words."""
    ws.recv()
    ws.close(4001, "enough")


@pytest.mark.parametrize("way", ["asyncio", "threads", "aiohttp"])
def test_the_servers_close_has_its_code_and_reason(way, talker, carried):
    """As each library tells them."""
    server = talker(closing)

    async def tasks():
        async with connect(server.url) as ws:
            await ws.send("hello")
            with pytest.raises(ConnectionClosed) as raised:
                await ws.recv()
            return raised.value.rcvd.code, raised.value.rcvd.reason

    def threads():
        with sync_connect(server.url) as ws:
            ws.send("hello")
            with pytest.raises(ConnectionClosed) as raised:
                ws.recv()
            return raised.value.rcvd.code, raised.value.rcvd.reason

    async def by_aiohttp():
        async with aiohttp.ClientSession() as session, session.ws_connect(server.url) as ws:
            await ws.send_str("hello")
            said = await ws.receive()
            return ws.close_code, said.extra

    agent = {"asyncio": lambda: asyncio.run(tasks()), "threads": threads, "aiohttp": lambda: asyncio.run(by_aiohttp())}
    assert both(carried, server, agent[way]) == (4001, "enough")


@pytest.mark.parametrize("way", ["asyncio", "threads", "aiohttp"])
def test_a_handshake_that_is_refused_is_refused_again(way, talker, carried):
    """401, with its body."""
    server = talker(closing, process_request=lambda ws, _request: ws.respond(http.HTTPStatus.UNAUTHORIZED, "no key"))

    async def tasks():
        with pytest.raises(InvalidStatus) as raised:
            async with connect(server.url):
                pass
        return raised.value.response.status_code, raised.value.response.body

    def threads():
        with pytest.raises(InvalidStatus) as raised, sync_connect(server.url):
            pass
        return raised.value.response.status_code, raised.value.response.body

    async def by_aiohttp():
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
                await session.ws_connect(server.url)
            return raised.value.status, b"no key"

    agent = {"asyncio": lambda: asyncio.run(tasks()), "threads": threads, "aiohttp": lambda: asyncio.run(by_aiohttp())}
    assert both(carried, server, agent[way]) == (401, b"no key")


@pytest.mark.parametrize("way", ["asyncio", "threads"])
def test_a_place_where_nobody_listens_refuses_again(way, talker, carried):
    """The system's own error, with its number."""
    server = talker(closing)
    server.stop()

    async def tasks():
        async with connect(server.url):
            pass

    def agent():
        with pytest.raises(ConnectionRefusedError) as raised:
            if way == "asyncio":
                asyncio.run(tasks())
            else:
                with sync_connect(server.url):
                    pass
        return raised.value.errno, str(raised.value)

    recorded = carried.record(agent)
    assert carried.replay(agent)[0] == recorded[0]


def numbers(ws):
    """Counts without being asked, pings in between, and waits for an answer to the last."""
    for number in range(5):
        ws.send(str(number))
        ws.ping(f"there? {number}").wait()
    ws.send(f"you said {ws.recv()}")


@pytest.mark.parametrize("compression", ["deflate", None])
@pytest.mark.parametrize("way", ["asyncio", "threads"])
def test_a_server_may_speak_first_and_ping(way, compression, talker, carried):
    """What it says unasked comes at once; its pings are answered and compared with nothing."""
    server = talker(numbers, compression=compression)

    async def tasks():
        async with connect(server.url, compression=compression) as ws:
            heard = [await ws.recv() for _ in range(5)]
            await ws.send("".join(heard))
            return [*heard, await ws.recv()]

    def threads():
        with sync_connect(server.url, compression=compression) as ws:
            heard = [ws.recv() for _ in range(5)]
            ws.send("".join(heard))
            return [*heard, ws.recv()]

    agent = threads if way == "threads" else lambda: asyncio.run(tasks())
    assert both(carried, server, agent) == ["0", "1", "2", "3", "4", "you said 01234"]


def when_asked_twice(ws):
    """Answers nothing before it was asked twice."""
    for one in ws:
        ws.send(f"{one} and {ws.recv()}")


@pytest.mark.parametrize("way", ["asyncio", "cancelled", "threads", "aiohttp"])
def test_a_receive_that_was_given_up_takes_nothing(way, talker, carried):
    """Too late, or cancelled: in the replay, too, where all answers are there, and the next one gets the message."""
    server = talker(when_asked_twice)

    async def tasks():
        trace = []
        async with connect(server.url) as ws:
            for _ in range(3):
                await ws.send("one")
                if way == "asyncio":
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(ws.recv(), 0.02)
                else:
                    waiting = asyncio.create_task(ws.recv())
                    await asyncio.sleep(0.02)
                    waiting.cancel()
                    trace.append(await asyncio.gather(waiting, return_exceptions=True) != [])
                await ws.send("two")
                trace.append(await ws.recv())
        return trace

    def threads():
        trace = []
        with sync_connect(server.url) as ws:
            for _ in range(3):
                ws.send("one")
                with pytest.raises(TimeoutError) as raised:
                    ws.recv(timeout=0.02)
                trace.append(str(raised.value))
                ws.send("two")
                trace.append(ws.recv())
        return trace

    async def by_aiohttp():
        trace = []
        async with aiohttp.ClientSession() as session, session.ws_connect(server.url) as ws:
            for _ in range(3):
                await ws.send_str("one")
                with pytest.raises(TimeoutError):
                    await ws.receive(timeout=0.02)
                trace.append(ws.close_code)
                await ws.send_str("two")
                trace.append(await ws.receive_str())
        return trace

    agent = {"threads": threads, "aiohttp": lambda: asyncio.run(by_aiohttp())}.get(way, lambda: asyncio.run(tasks()))
    recorded = both(carried, server, agent)
    assert [each for each in recorded if isinstance(each, str) and " and " in each] == ["one and two"] * 3


@pytest.mark.parametrize("trusts", [True, False])
@pytest.mark.parametrize("way", ["asyncio", "threads", "aiohttp"])
def test_tls_is_the_librarys_own_and_none_in_a_replay(way, trusts, talker, carried, tmp_path):
    """With the program's context; where it trusts nobody, the same error is there again, and no server is asked."""
    authority = TestAuthority(tmp_path)
    server = talker(echo, ssl=authority.server_context())
    url = f"wss://localhost:{server.port}/talk"
    context = ssl.create_default_context(cafile=authority.pem if trusts else None)

    async def tasks():
        async with connect(url, ssl=context) as ws:
            await ws.send("hello")
            return await ws.recv()

    def threads():
        with sync_connect(url, ssl=context) as ws:
            ws.send("hello")
            return ws.recv()

    async def by_aiohttp():
        async with aiohttp.ClientSession() as session, session.ws_connect(url, ssl=context) as ws:
            await ws.send_str("hello")
            return await ws.receive_str()

    talk = {"asyncio": lambda: asyncio.run(tasks()), "threads": threads, "aiohttp": lambda: asyncio.run(by_aiohttp())}

    def agent():
        try:
            return talk[way]()
        except (OSError, aiohttp.ClientError) as error:
            return type(error).__name__

    found = both(carried, server, agent)
    assert found == "hello" if trusts else "Cert" in found


def echo(ws):
    """Says everything again."""
    for message in ws:
        ws.send(message)


@pytest.mark.parametrize("way", ["tasks", "threads"])
def test_one_who_listens_and_others_who_speak(way, talker, carried):
    """What was heard between which messages is the same, and so is who got it."""
    server = talker(echo)

    async def tasks():
        trace = []
        async with connect(server.url) as ws:

            async def listen():
                async for message in ws:
                    trace.append(("heard", message))
                    if message == "done":
                        return

            async def speak(who):
                for number in range(5):
                    await ws.send(f"{who} {number}")
                    trace.append(("said", who, number))
                    await asyncio.sleep(0.001)

            listening = asyncio.create_task(listen())
            await asyncio.gather(*(speak(who) for who in "abc"))
            await ws.send("done")
            await listening
        return trace

    def threads():
        heard = []
        with sync_connect(server.url) as ws:

            def listen():
                heard.extend(iter(ws.recv, "done"))

            listening = threading.Thread(target=listen)
            listening.start()
            for number in range(5):
                ws.send(str(number))
            ws.send("done")
            listening.join()
        return heard

    agent = threads if way == "threads" else lambda: asyncio.run(tasks())
    assert len(both(carried, server, agent)) == (5 if way == "threads" else 31)


def test_one_who_pings_and_one_who_talks(talker, carried):
    """A pong that is waited for comes in its order, with its latency."""
    server = talker(echo)

    async def main():
        trace = []
        async with connect(server.url) as ws:

            async def ping():
                for _ in range(3):
                    latency = await (await ws.ping())
                    trace.append(("pong", latency))

            async def talk():
                for number in range(4):
                    await ws.send(str(number))
                    trace.append(("heard", await ws.recv()))

            await asyncio.gather(ping(), talk())
        return trace

    assert len(both(carried, server, lambda: asyncio.run(main()))) == 7


def test_a_large_message_in_frames_comes_again(talker, carried):
    """In pieces both ways, with a size of four bytes and more."""
    server = talker(echo, max_size=None)

    async def main():
        async with connect(server.url, max_size=None) as ws:
            await ws.send(["x" * 70_000, "y" * 200_000, "z"])
            await ws.send(b"\x00\xff" * 150_000)
            return len(await ws.recv()), len(await ws.recv())

    assert both(carried, server, lambda: asyncio.run(main())) == (270_001, 300_000)


def test_a_secret_over_several_messages_is_not_stored_and_the_replay_is_the_same(talker, carried):
    """Whole, in fragments and in deltas: the conversation is compared without it."""
    server = talker(echo)

    async def main():
        whole = json.dumps({"type": "input", "text": f"Use {KEY} now"})
        async with connect(server.url) as ws:
            await ws.send(whole)
            await ws.send([whole[:25], whole[25:]])
            for at in range(0, len(KEY), 7):
                await ws.send(json.dumps({"type": "delta", "delta": KEY[at : at + 7]}))
            await ws.send("done")
            while await ws.recv() != "done":
                pass
        return "over"

    both(carried, server, lambda: asyncio.run(main()))
    assert KEY.encode() not in carried.stored


@pytest.mark.parametrize("way", ["asyncio", "threads"])
def test_nothing_is_said_before_it_is_on_disk(way, talker, tmp_path):
    """With fsync, each message waits for it, and the conversation is the same."""
    server = talker(echo)
    carried = Carried(tmp_path / "durable", durability="fsync")

    async def tasks():
        async with connect(server.url) as ws:
            await ws.send("one")
            first = await ws.recv()
            await ws.send("two")
            return first, await ws.recv()

    def threads():
        with sync_connect(server.url) as ws:
            ws.send("one")
            first = ws.recv()
            ws.send("two")
            return first, ws.recv()

    agent = threads if way == "threads" else lambda: asyncio.run(tasks())
    assert both(carried, server, agent) == ("one", "two")


def realtime(ws):
    """The first events of OpenAI's realtime interface."""
    ws.send(json.dumps({"type": "session.created", "event_id": "e1", "session": {"type": "realtime", "id": "s1"}}))
    for message in ws:
        asked = json.loads(message)
        if asked["type"] == "response.create":
            for text in ("Hel", "lo"):
                delta = {"item_id": "i", "response_id": "r", "output_index": 0, "content_index": 0, "event_id": "e"}
                ws.send(json.dumps({"type": "response.output_text.delta", "delta": text, **delta}))
            ws.send(
                json.dumps({"type": "response.done", "event_id": "e9", "response": {"id": "r", "status": "completed"}})
            )


@pytest.mark.filterwarnings(r"ignore:connect\(\) must be used:DeprecationWarning")  # as the SDK does
@pytest.mark.parametrize("way", ["async", "sync"])
def test_openais_realtime_interface(way, talker, carried):
    """`client.realtime.connect()`, its events as the SDK reads them."""
    server = talker(realtime)
    options = {"api_key": "sk-test", "websocket_base_url": server.url.removesuffix("/realtime")}

    async def tasks():
        async with openai.AsyncOpenAI(**options) as client, client.realtime.connect(model="gpt-realtime") as talk:
            await talk.session.update(session={"type": "realtime", "output_modalities": ["text"]})
            await talk.response.create()
            return [(await talk.recv()).model_dump() for _ in range(4)]

    def threads():
        with openai.OpenAI(**options) as client, client.realtime.connect(model="gpt-realtime") as talk:
            talk.session.update(session={"type": "realtime", "output_modalities": ["text"]})
            talk.response.create()
            return [talk.recv().model_dump() for _ in range(4)]

    recorded = both(carried, server, threads if way == "sync" else lambda: asyncio.run(tasks()))
    assert [each["type"].rpartition(".")[2] for each in recorded] == ["created", "delta", "delta", "done"]
