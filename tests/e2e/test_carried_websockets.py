"""Websockets in this process with no proxy: message by message, the server gone in the replay."""

import asyncio
import threading

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
from websockets.sync.server import serve

from tests.support.carried import Carried


@pytest.fixture
def carried(tmp_path):
    """A session to be recorded, and replayed."""
    return Carried(tmp_path / "store")


class Served:
    """A websocket server on a port of its own, until `stop`."""

    def __init__(self, handler, **options):
        self._server = serve(handler, "127.0.0.1", 0, **options)
        self.port = self._server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/v1/talk"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self):
        """Gone: nobody listens there any more."""
        self._server.shutdown()
        self._thread.join()


def echo(ws):
    """Says everything again."""
    for message in ws:
        ws.send(f"echo {message}" if isinstance(message, str) else b"echo " + message)


@pytest.fixture
def served():
    """An echo."""
    server = Served(echo)
    yield server
    server.stop()


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


def test_messages_come_again_with_the_server_gone(served, carried):
    """Text and binary, each as the answer to its own."""
    said = ["hello", b"bytes", "again"]
    recorded = carried.record(lambda: in_asyncio(served.url, *said))
    assert recorded == ["echo hello", b"echo bytes", "echo again"]
    served.stop()
    assert carried.replay(lambda: in_asyncio(served.url, *said)) == recorded
    assert (carried.done["served"], carried.done["divergences"], carried.done["unplayed"]) == (1, [], [])
    [exchange] = carried.recording.exchanges
    assert (exchange.protocol, exchange.route, str(exchange.ending)) == ("websocket", "hook", "closed")


def test_a_changed_message_diverges_at_its_path_and_gets_no_answer(served, carried):
    """The conversation is closed with 1008, and the answer that was recorded is not served."""
    said = ['{"type": "say", "text": "one"}', '{"type": "say", "text": "two"}']
    carried.record(lambda: in_asyncio(served.url, *said))
    with pytest.raises(ConnectionClosedError) as raised:
        carried.replay(lambda: in_asyncio(served.url, said[0], '{"type": "say", "text": "three"}'))
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


def test_a_message_that_stays_away_is_named(served, carried):
    """Its place is, and what is there instead."""
    carried.record(lambda: in_asyncio(served.url, "one", "two"))
    carried.replay(lambda: in_asyncio(served.url, "one"))
    [divergence] = carried.done["divergences"]
    assert [divergence[name] for name in ("class", "path", "expected", "observed")] == [
        "changed",
        "$.sent[1]",
        "two",
        "close 1000",
    ]
