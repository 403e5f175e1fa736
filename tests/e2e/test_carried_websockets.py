"""Websockets in this process with no proxy: message by message, the server gone in the replay."""

import asyncio

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close
from websockets.sync.client import connect as sync_connect

from tests.support.carried import Carried
from tests.support.talker import Talker


@pytest.fixture
def carried(tmp_path):
    """A session to be recorded, and replayed."""
    return Carried(tmp_path / "store")


def echo(ws):
    """Says everything again."""
    for message in ws:
        ws.send(f"echo {message}" if isinstance(message, str) else b"echo " + message)


@pytest.fixture
def served():
    """An echo."""
    with Talker(echo) as server:
        yield server


def in_asyncio(url, *said):
    """What comes back."""

    async def main():
        async with connect(url) as ws:
            heard = []
            for each in said:
                await ws.send(each)
                heard.append(await ws.recv())
            return heard

    return asyncio.run(main())


def in_threads(url, *said):
    """The same, by the client for threads."""
    with sync_connect(url) as ws:
        heard = []
        for each in said:
            ws.send(each)
            heard.append(ws.recv())
        return heard


def in_aiohttp(url, *said):
    """The same, by aiohttp."""

    async def main():
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
            heard = []
            for each in said:
                await (ws.send_str(each) if isinstance(each, str) else ws.send_bytes(each))
                message = await ws.receive()
                if message.type is aiohttp.WSMsgType.CLOSE:
                    raise ConnectionClosedError(Close(message.data, message.extra), None)
                heard.append(message.data)
            return heard

    return asyncio.run(main())


WAYS = pytest.mark.parametrize("talk", [in_asyncio, in_threads, in_aiohttp])


@WAYS
def test_messages_come_again_with_the_server_gone(talk, served, carried):
    """Text and binary, each as the answer to its own."""
    said = ["hello", b"bytes", "again"]
    recorded = carried.record(lambda: talk(served.url, *said))
    assert recorded == ["echo hello", b"echo bytes", "echo again"]
    served.stop()
    assert carried.replay(lambda: talk(served.url, *said)) == recorded
    assert (carried.done["served"], carried.done["divergences"], carried.done["unplayed"]) == (1, [], [])
    [exchange] = carried.recording.exchanges
    assert (exchange.protocol, exchange.route) == ("websocket", "hook")
    assert str(exchange.ending) in ("closed", "abandoned")  # behind the last message, whoever hangs up first


@WAYS
def test_a_changed_message_diverges_at_its_path_and_gets_no_answer(talk, served, carried):
    """The conversation is closed with 1008, and the answer that was recorded is not served."""
    said = ['{"type": "say", "text": "one"}', '{"type": "say", "text": "two"}']
    carried.record(lambda: talk(served.url, *said))
    with pytest.raises(ConnectionClosedError) as raised:
        carried.replay(lambda: talk(served.url, said[0], '{"type": "say", "text": "three"}'))
    assert raised.value.rcvd.code == 1008
    [divergence] = carried.done["divergences"]
    found = {name: divergence[name] for name in ("class", "step", "path", "expected", "observed")}
    assert found == {
        "class": "changed",
        "step": 1,
        "path": "$.sent[1].text",
        "expected": '"two"',
        "observed": '"three"',
    }
    assert carried.halts == ["the replay diverged"]


@WAYS
def test_a_message_that_stays_away_is_named(talk, served, carried):
    """Its place is, and what is there instead."""
    carried.record(lambda: talk(served.url, "one", "two"))
    carried.replay(lambda: talk(served.url, "one"))
    [divergence] = carried.done["divergences"]
    assert [divergence[name] for name in ("class", "path", "expected", "observed")] == [
        "changed",
        "$.sent[1]",
        "two",
        "close 1000",
    ]
