"""A library whose calls would not be heard is found out before it is trusted."""

import asyncio
import importlib
import socket
import threading

import aiohttp
import httpx
import pytest
import requests
import websockets.asyncio.client
import websockets.sync.client

from playhead.capture.boundary import active
from playhead.capture.boundary.transports import canary, http_client, httpcore_
from playhead.errors import SetupError
from tests.capture.boundary.transports.conftest import PATH, question


def test_every_library_that_is_loaded_is_heard(carried):
    """All that are known are asked when a session begins, and no connection is made; names of threads do not shift."""
    made = []

    def agent():
        made.append(threading.Thread().name)
        return sorted(active.wire.checked)

    first = threading.Thread().name
    assert carried.record(agent) == sorted(canary._ASKED)
    assert int(made[0].split("-")[1]) == int(first.split("-")[1]) + 1
    assert carried.recording.exchanges == []


def test_a_library_that_changed_is_refused_at_the_start(carried, monkeypatch):
    """Its connections are made elsewhere: the session does not begin, and says which library it is."""
    monkeypatch.setattr(httpcore_, "patch", lambda _patches, _module: None)
    with pytest.raises(SetupError) as raised:
        carried.record(lambda: None)
    assert raised.value.code == "transport-changed"
    assert "httpx " in raised.value.where
    assert "httpx async " in raised.value.where
    assert "http " not in raised.value.where.replace("httpx", "")


def test_one_that_is_first_used_later_is_named(server, carried, monkeypatch):
    """While recording the call goes on and is named; a replay refuses it."""
    monkeypatch.setattr(http_client, "_connecting", lambda real: real)
    monkeypatch.setattr(canary, "check", lambda _wire: None)

    def agent():
        return requests.post(server.url + PATH, json=question("x")).status_code

    assert carried.record(agent) == 200
    assert "urllib3" in {past.host for past in carried.recording.uncaptured}
    seen = len(server.log)
    with pytest.raises(SetupError):
        carried.replay(agent)
    assert len(server.log) == seen


def test_a_replay_opens_no_socket(server, carried, monkeypatch):
    """Not one connect, by any library, sync or async: the audit hook of sockets hears nothing."""

    async def tasks():
        async with httpx.AsyncClient() as client, aiohttp.ClientSession() as session:
            first = (await client.post(server.url + PATH, json=question("x"))).text
            async with session.post(server.url + PATH, json=question("x")) as answer:
                return first, await answer.text()

    def agent():
        one = httpx.post(server.url + PATH, json=question("x")).text
        return one, requests.post(server.url + PATH, json=question("x")).text, asyncio.run(tasks())

    recorded = carried.record(agent)

    def refuse(*_args):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", refuse)
    assert carried.replay(agent) == recorded


@pytest.mark.filterwarnings("ignore:websockets.legacy:DeprecationWarning")
@pytest.mark.parametrize("way", ["own socket", "legacy"])
def test_a_websocket_that_is_not_carried_is_said_to_go_past_and_let_out_by_no_replay(way, carried, refusing):
    """On a socket that the program made, and of the library's old client."""
    url = refusing.replace("http", "ws")
    legacy = importlib.import_module("websockets.legacy.client")  # which warns, and only here

    async def talk():
        async with legacy.connect(url):
            pass

    def agent():
        with pytest.raises(Exception, match=r"Connect|refused|replays|close frame") as raised:
            if way == "legacy":
                asyncio.run(talk())
            else:
                here, there = socket.socketpair()
                with here, there:
                    there.close()
                    with websockets.sync.client.connect(url, sock=here):
                        pass
        return str(raised.value)

    carried.record(agent)
    past = [(past.host, past.reason) for past in carried.recording.uncaptured]
    assert past == [("127.0.0.1", "a websocket" + (" on a socket of the program's own" if way == "own socket" else ""))]
    assert "replays no websocket" in carried.replay(agent)
    assert carried.done["blocked"] == ["127.0.0.1"]
