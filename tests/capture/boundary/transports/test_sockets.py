"""http.client, urllib, urllib3, requests and botocore in this process, carried by its own wire."""

import http.client
import json
import socket
import ssl
import threading
import urllib.error
import urllib.request

import botocore.session
import httpx
import httpx2
import pytest
import requests
import urllib3
from botocore.config import Config

from tests.capture.boundary.transports.conftest import PATH, question
from tests.support.model_server import Behaviour


def by_http_client(url, prompt, *, stream=False):
    """Headers and body in two writes, the answer in small reads."""
    place = urllib3.util.parse_url(url)
    kind = http.client.HTTPConnection
    options = {}
    if place.scheme == "https":
        kind, options = http.client.HTTPSConnection, {"context": ssl._create_unverified_context()}
    connection = kind(place.host, place.port, timeout=30, **options)
    connection.request("POST", PATH, json.dumps(question(prompt, stream=stream)).encode(), {"x-extra": "1"})
    answer = connection.getresponse()
    pieces = []
    while piece := answer.read1(512):
        pieces.append(piece)
    answer.read()  # for all but a client that reads by `read1` the end is seen with the last piece
    connection.request("POST", PATH, json.dumps(question(f"{prompt}, again")))
    again = connection.getresponse().read()
    connection.close()
    return answer.status, answer.getheaders(), pieces, again


def by_urllib(url, prompt, *, stream=False):
    """A connection for each call, closed by the answer."""
    request = urllib.request.Request(url + PATH, json.dumps(question(prompt, stream=stream)).encode())
    with urllib.request.urlopen(request, timeout=30, context=ssl._create_unverified_context()) as answer:
        return answer.status, list(answer)


def by_urllib3(url, prompt, *, stream=False):
    """A pool, streaming."""
    with urllib3.PoolManager(cert_reqs="CERT_NONE", assert_hostname=False) as pool:
        first = pool.request("POST", url + PATH, json=question(prompt, stream=stream), preload_content=False)
        pieces = list(first.stream(64))
        first.release_conn()
        return pieces, pool.request("POST", url + PATH, json=question(f"{prompt}, again")).data


def by_requests(url, prompt, *, stream=False):
    """A session, lines of a stream."""
    with requests.Session() as session:
        answer = session.post(url + PATH, json=question(prompt, stream=stream), stream=True, verify=False)
        lines = list(answer.iter_lines())
        return lines, session.post(url + PATH, json=question(f"{prompt}, again"), verify=False).text


CLIENTS = pytest.mark.parametrize("client", [by_http_client, by_urllib, by_urllib3, by_requests])


@CLIENTS
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_a_client_reads_the_same_without_a_connection(client, scheme, server, carried):
    """Whole answers and streams; the replay makes no connection."""
    url = server.url if scheme == "http" else server.tls_url

    def agent():
        return client(url, "a first question"), client(url, "many words please", stream=True)

    recorded = carried.record(agent)
    before = server.connections
    assert carried.replay(agent) == recorded
    assert server.connections == before
    assert (carried.done["divergences"], carried.done["unplayed"], carried.halts) == ([], [], [])
    assert {e.route for e in carried.recording.exchanges} == {"hook"}


@pytest.mark.parametrize("kind", [requests.Session, httpx.Client, httpx2.Client])
def test_connections_from_before_are_not_used_again(kind, server, carried):
    """A client with a kept connection: what it asks in a session is carried all the same, and in a replay is not live."""
    with kind() as client:

        def ask():
            return client.post(server.url + PATH, json=question("x")).text

        ask()
        recorded = carried.record(ask)
        assert len(carried.recording.exchanges) == 1
        seen = len(server.log)
        assert carried.replay(ask) == recorded
        assert len(server.log) == seen
        assert ask() != recorded
        assert len(server.log) == seen + 1


def test_botocore_reads_the_same_without_a_connection(server, carried):
    """A signed call, and one whose answer is a stream of events."""
    client = botocore.session.Session().create_client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="x" * 40,
        config=Config(retries={"max_attempts": 0}),
    )
    messages = [{"role": "user", "content": [{"text": "a question"}]}]

    def agent():
        whole = client.converse(modelId="m", messages=messages)["output"]
        return whole, list(client.converse_stream(modelId="m", messages=messages)["stream"])

    recorded = carried.record(agent)
    before = server.connections
    assert carried.replay(agent) == recorded
    assert server.connections == before


def test_threads_get_their_own_answers(server, carried):
    """Equal questions of several threads at once: everyone's own."""

    def agent():
        found = {}

        def ask(n):
            found[n] = requests.post(server.url + PATH, json=question("the same")).text

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    recorded = carried.record(agent)
    assert len(set(recorded.values())) == 6
    assert carried.replay(agent) == recorded


def _raised(ask):
    with pytest.raises(Exception) as raised:
        ask()
    root = raised.value
    while root.__cause__ is not None:
        root = root.__cause__
    return type(raised.value), type(root), str(root) if isinstance(root, OSError) else ""


def test_a_connection_that_fails_fails_again(server, carried, refusing):
    """Nobody there, no such name, no trust, reset, cut: the same errors."""
    server.behave("reset it", Behaviour(reset=0))
    server.behave("cut it", Behaviour(cut=1))

    def agent():
        found = []
        for url, text in (
            (refusing, "nobody"),
            ("http://nothing.invalid", "no such name"),
            (server.tls_url, "no trust"),
            (server.url, "reset it"),
            (server.url, "cut it"),
        ):
            found.append(
                _raised(
                    lambda url=url, text=text: urllib.request.urlopen(
                        urllib.request.Request(url + PATH, json.dumps(question(text)).encode()), timeout=30
                    ).read()
                )
            )
            found.append(_raised(lambda url=url, text=text: requests.post(url + PATH, json=question(text))))
        return found

    recorded = carried.record(agent)
    kinds = [kind for kind, *_ in recorded]
    assert kinds[:6:2] == [urllib.error.URLError] * 3
    assert kinds[1] is kinds[3] is requests.ConnectionError
    assert kinds[5] is requests.exceptions.SSLError
    before = server.connections
    assert carried.replay(agent) == recorded
    assert server.connections == before
    assert carried.done["divergences"] == []


def test_what_is_not_on_the_tape_is_refused(server, carried):
    """Another prompt: the refusal's own answer."""
    carried.record(lambda: requests.post(server.url + PATH, json=question("Which city is the capital of France?")))
    before = server.connections
    answer = carried.replay(
        lambda: requests.post(server.url + PATH, json=question("Which city is the capital of Spain?"))
    )
    assert (answer.status_code, answer.headers["x-playhead-divergence"].split(";")[0]) == (400, "changed")
    assert server.connections == before


def test_a_connection_of_its_own_making_is_said_and_refused(server, carried):
    """A subclass that connects for itself: its calls work and are named; a replay lets none out."""

    class Own(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.create_connection((self.host, self.port))

    place = urllib3.util.parse_url(server.url)

    def agent():
        connection = Own(place.host, place.port)
        try:
            connection.request("POST", PATH, json.dumps(question("x")))
            return connection.getresponse().read()
        finally:
            connection.close()

    assert b"choices" in carried.record(agent)
    (past,) = carried.recording.uncaptured
    assert (past.host, past.reason) == (place.host, "a connection that was not made by http.client here")
    seen = len(server.log)
    with pytest.raises(ConnectionRefusedError):
        carried.replay(agent)
    assert len(server.log) == seen
    assert carried.done["blocked"] == [place.host]
