"""The model server itself: what other tests believe of it."""

import gzip
import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.model_server import Behaviour, ModelServer


@pytest.fixture
def server():
    """A plain one."""
    with ModelServer() as server:
        yield server


def ask(server, prompt="hello", *, stream=False, headers=None):
    """POST a chat completion; `(status, headers, body)`."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": stream})
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    try:
        connection.request("POST", "/v1/chat/completions", body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def raw(server, data):
    """Send bytes, return all bytes until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(data)
        received = b""
        while chunk := sock.recv(65536):
            received += chunk
        return received


def said(answer):
    return json.loads(answer[2])["choices"][0]["message"]["content"]


def test_requests_are_kept_byte_for_byte(server):
    """Odd header case and order, duplicate keys and odd numbers in the body: the log has them as sent."""
    body = b'{"a": 1.50, "a": 1e2,\t"\\u00e9": -0}'
    head = b"POST /x HTTP/1.1\r\nhOsT: a\r\nX-b: 1\r\nX-A: 2\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(
        body
    )
    raw(server, head + body)
    assert (server.log[0].head, server.log[0].body) == (head, body)


def test_chunked_requests_keep_their_framing_beside_the_body(server):
    """Chunk extensions and trailers stand in raw_body, the joined chunks in body."""
    framed = b"3;x=1\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"
    raw(server, b"POST /x HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + framed)
    assert (server.log[0].raw_body, server.log[0].body) == (framed, b"abcde")


def test_equal_requests_get_equal_answers_unless_seeded(server):
    """Without a seed the whole answer is equal, ids too; with one each differs, and the same seed repeats them."""
    assert ask(server)[2] == ask(server)[2]

    def draws(seed):
        with ModelServer(seed=seed) as seeded:
            return [said(ask(seeded)) for _ in range(3)]

    assert len(set(draws(7))) == 3
    assert draws(7) == draws(7)


def test_streams_are_flushed_chunk_by_chunk(server):
    """Each event is an HTTP chunk of its own."""
    body = b'{"messages": [{"role": "user", "content": "a b c"}], "stream": true}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    answer = raw(server, head % len(body) + body)
    assert answer.count(b"\r\ndata: ") == answer.count(b"data: ")
    assert answer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_a_script_is_played_in_turn_and_its_last_line_stays(server):
    """429 with Retry-After, then 200 for good; other prompts are not concerned."""
    server.behave("flaky", Behaviour(status=429, retry_after=0), Behaviour())
    first = ask(server, "flaky one")
    assert (first[0], first[1]["Retry-After"]) == (429, "0")
    assert [ask(server, "flaky one")[0] for _ in range(2)] == [200, 200]
    assert ask(server, "other")[0] == 200


@pytest.mark.parametrize("fault", ["cut=2", "cut=0"])
def test_cut_streams_end_without_their_end(server, fault):
    """The connection closes after so many chunks; before the head when that is none."""
    with pytest.raises((http.client.IncompleteRead, http.client.RemoteDisconnected)) as broken:
        ask(server, stream=True, headers={"x-model-server": fault})
    if fault == "cut=2":
        assert broken.value.partial.count(b"data: ") == 2


def test_resets_are_tcp_resets(server):
    """The client sees ECONNRESET, not an orderly end."""
    with pytest.raises(ConnectionResetError):
        ask(server, "x {{reset=0}}")


def test_held_requests_wait_for_each_other(server):
    """Three requests with hold=3: none is answered before all have arrived, all are in the end."""
    released = []
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask, server, f"{n} {{{{hold=3}}}}") for n in range(2)]
        server.wait_for(2)
        released = [done.done() for done in asked]
        asked.append(pool.submit(ask, server, "2 {{hold=3}}"))
        answers = [done.result() for done in asked]
    assert released == [False, False]
    assert [said(answer).split(" (")[0] for answer in answers] == [f"I heard: {n}" for n in range(3)]


def test_gzip_and_bodies_that_end_with_the_connection(server):
    """Content-Encoding: gzip decodes to the same answer; `close` gives no length."""
    plain = ask(server)[2]
    assert gzip.decompress(ask(server, headers={"x-model-server": "gzip"})[2]) == plain
    closed = ask(server, headers={"x-model-server": "close"})
    assert closed[1]["Content-Length"] is None
    assert closed[2] == plain


def test_an_aborted_request_is_counted(server):
    """A client that goes away in mid-answer leaves its mark, and the server goes on."""
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.sendall(b"POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\n123")
    sock.close()
    ask(server)
    assert server.hits == 1


def test_stopping_breaks_off_what_is_open():
    """stop() returns though a client is still waiting."""
    server = ModelServer().start()
    ended = []

    def wait():
        try:
            ask(server, "x {{hold=99}}")
        except (OSError, http.client.HTTPException) as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    server.wait_for(1)
    server.stop()
    waiting.join(60)
    assert len(ended) == 1
