"""The world's side: kept lines, stale lines, the user's proxy, mapped hosts."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading

import pytest

from playhead.capture.wire.rules import UpstreamRules
from playhead.core.events import Ending
from tests.capture.wire.rig import Echo, Rig, Server, answering, is_reset, read_all, read_answer, read_head

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"


def two(rig, server, first: bytes, second: bytes, *, fresh: bool) -> None:
    """Two requests, on one client connection or on two."""
    with rig.tunnel("localhost", server.port) as sock:
        sock.sendall(first)
        assert read_answer(sock) == OK
        if not fresh:
            sock.sendall(second)
            assert read_answer(sock) == OK
    if fresh:
        with rig.tunnel("localhost", server.port) as sock:
            sock.sendall(second)
            assert read_answer(sock) == OK


@pytest.mark.parametrize(
    ("first", "second", "fresh", "connections"),
    [
        (POST, POST, False, 1),
        (POST, GET, True, 1),
        (GET, POST, True, 2),  # a stale line could fail it in a way its client would not have met
    ],
)
def test_lines_are_kept_for_whom_a_stale_one_cannot_harm(rig, first, second, fresh, connections):
    """A line is used again by a used client connection, or for a method that may be repeated."""
    with Server(answering(OK)) as server:
        two(rig, server, first, second, fresh=fresh)
        assert server.accepted == connections
    assert [one.reused for one in rig.seen] == [False, connections == 1]


@pytest.mark.parametrize("spoilt", ["closed", "unasked bytes"])
def test_an_idle_line_with_news_is_not_used(rig, spoilt):
    """A line that the world closed, or spoke on unasked, is dropped, and nobody notices."""
    told, done = threading.Semaphore(0), threading.Semaphore(0)

    def serve(sock) -> None:
        read_head(sock)
        sock.sendall(OK)
        told.acquire(timeout=60)
        if spoilt == "unasked bytes":
            sock.sendall(b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n")
            done.release()
            sock.recv(1)
        else:
            sock.close()
            done.release()

    with Server(serve) as server, rig.tunnel("localhost", server.port) as sock:
        for _ in range(3):
            sock.sendall(GET)
            assert read_answer(sock) == OK
            told.release()
            assert done.acquire(timeout=60)
        assert server.accepted == 3
    assert {one.ending for one in rig.seen} == {Ending.COMPLETE}


def dying_on_the_second(request_log: list[bytes]):
    """A server whose connections answer once and die over the second request, having read it."""

    def serve(sock) -> None:
        request_log.append(read_head(sock))
        sock.sendall(OK)
        second = read_answer(sock)
        if second:
            request_log.append(second)

    return serve


def test_a_repeatable_request_on_a_dead_line_is_sent_once_more(rig):
    """A kept line that dies before the first byte of an answer to a GET costs the client nothing."""
    log: list[bytes] = []
    with Server(dying_on_the_second(log)) as server, rig.tunnel("localhost", server.port) as sock:
        sock.sendall(GET)
        assert read_answer(sock) == OK
        sock.sendall(GET)
        assert read_answer(sock) == OK
        assert server.accepted == 2
    assert len(log) == 3


def test_it_is_sent_no_third_time(rig):
    """A request whose second line dies too ends as what it is."""
    log: list[bytes] = []
    calls = []

    def serve(sock) -> None:
        calls.append(1)
        log.append(read_head(sock))
        if len(calls) == 1:
            sock.sendall(OK)
            log.append(read_head(sock))

    with Server(serve) as server, rig.tunnel("localhost", server.port) as sock:
        sock.sendall(GET)
        assert read_answer(sock) == OK
        sock.sendall(GET)
        assert read_all(sock) == b""
        assert server.accepted == 2
    assert len(log) == 3
    assert rig.seen[1].ending is Ending.CUT


def test_a_post_is_never_sent_twice(rig):
    """What may have done its work is not repeated; its client meets what it would have met alone."""
    log: list[bytes] = []
    with Server(dying_on_the_second(log)) as server, rig.tunnel("localhost", server.port) as sock:
        sock.sendall(GET)
        assert read_answer(sock) == OK
        sock.sendall(POST)
        assert read_all(sock) == b""
        assert server.accepted == 1
    assert len(log) == 2
    assert rig.seen[1].ending is Ending.CUT


class Proxy:
    """A proxy: keeps the heads it was sent; serves CONNECT by relaying, plain requests by answering itself."""

    def __init__(self, *, refuse: bool = False) -> None:
        self.heads: list[bytes] = []
        self.refuse = refuse

    def __call__(self, sock) -> None:
        head = read_head(sock)
        self.heads.append(head)
        if self.refuse:
            sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        if not head.startswith(b"CONNECT"):
            sock.sendall(OK)
            sock.recv(1)
            return
        port = int(head.split(b" ")[1].rsplit(b":", 1)[1])
        other = socket.create_connection(("127.0.0.1", port))
        sock.sendall(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n")

        def back() -> None:
            with contextlib.suppress(OSError):
                while data := other.recv(65536):
                    sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=back, daemon=True)
        thread.start()
        with other:
            while data := sock.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
            thread.join(60)


CREDENTIAL = base64.b64encode(b"us er:p@ss")


def test_https_goes_through_the_users_proxy(authority, world, loop_name):
    """CONNECT with Basic credentials from the URL; the request inside is untouched."""
    proxy, echo = Proxy(), Echo()
    with Server(proxy) as middle, Server(echo, context=world.context()) as server:
        rules = UpstreamRules.read(
            {"https_proxy": f"http://us%20er:p%40ss@127.0.0.1:{middle.port}"}, upstream_ca=world.root
        )
        with (
            Rig(authority, rules, loop=loop_name) as rig,
            rig.tls("localhost", server.port, authority.certificate_path) as sock,
        ):
            sock.sendall(GET)
            assert read_answer(sock).endswith(GET)
    place = b"localhost:%d" % server.port
    assert proxy.heads == [
        b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nProxy-Authorization: Basic %b\r\n\r\n" % (place, place, CREDENTIAL)
    ]
    assert echo.requests == [GET]


def test_http_goes_through_the_users_proxy_in_absolute_form(authority, loop_name):
    """Plain requests name the host to the proxy; the tape never sees the proxy's credentials."""
    proxy = Proxy()
    with Server(proxy) as middle:
        rules = UpstreamRules.read({"HTTP_PROXY": f"us%20er:p%40ss@127.0.0.1:{middle.port}"})
        with Rig(authority, rules, loop=loop_name) as rig, rig.connect() as sock:
            sock.sendall(b"GET http://api.invalid:81/x?y HTTP/1.1\r\nHost: api.invalid:81\r\nX-a: B\r\n\r\n")
            assert read_answer(sock) == OK
            assert rig.seen[0].head == b"GET /x?y HTTP/1.1\r\nHost: api.invalid:81\r\nX-a: B\r\n\r\n"
    assert proxy.heads == [
        b"GET http://api.invalid:81/x?y HTTP/1.1\r\nProxy-Authorization: Basic " + CREDENTIAL + b"\r\n"
        b"Host: api.invalid:81\r\nX-a: B\r\n\r\n"
    ]


def test_no_proxy_is_honoured(authority):
    """A host under NO_PROXY is reached directly."""
    proxy = Proxy()
    with Server(proxy) as middle, Server(answering(OK)) as server:
        rules = UpstreamRules.read({"ALL_PROXY": f"http://127.0.0.1:{middle.port}", "NO_PROXY": "localhost"})
        with Rig(authority, rules) as rig, rig.tunnel("localhost", server.port) as sock:
            sock.sendall(GET)
            assert read_answer(sock) == OK
    assert proxy.heads == []


def test_a_proxy_that_refuses_is_told(authority, world):
    """A proxy's refusal ends the exchange as REFUSED with the proxy's own words."""
    with Server(Proxy(refuse=True)) as middle:
        rules = UpstreamRules.read({"HTTPS_PROXY": f"http://127.0.0.1:{middle.port}"})
        with Rig(authority, rules) as rig, rig.tls("h.invalid", 443, authority.certificate_path) as sock:
            sock.sendall(GET)
            assert is_reset(sock)
            assert rig.seen[0].ending is Ending.REFUSED
            assert "407" in rig.seen[0].detail


@pytest.mark.parametrize("certificate", ["localhost", "api.example.com"])
def test_a_mapped_host_is_reached_elsewhere_with_its_own_name_inside(authority, world, loop_name, certificate):
    """`--map` changes where to connect, and nothing in the request; the certificate may bear either name."""
    echo = Echo()
    with Server(echo, context=world.context(certificate)) as server:
        rules = UpstreamRules.read(
            {}, maps=[f"api.example.com=https://localhost:{server.port}"], upstream_ca=world.root
        )
        with Rig(authority, rules, loop=loop_name) as rig:
            with rig.tls("api.example.com", 443, authority.certificate_path) as sock:
                sock.sendall(GET)
                assert read_answer(sock).endswith(GET)
            assert rig.seen[0].exchange.target.host == "api.example.com"
    assert echo.requests == [GET]


def test_an_https_host_may_be_mapped_to_plain_http(authority):
    """A model server without TLS can stand in for an https host."""
    echo = Echo()
    with Server(echo) as server:
        rules = UpstreamRules.read({}, maps=[f"api.example.com=http://127.0.0.1:{server.port}"])
        with Rig(authority, rules) as rig, rig.tls("api.example.com", 443, authority.certificate_path) as sock:
            sock.sendall(POST)
            assert read_answer(sock).endswith(POST)


def test_the_second_address_of_a_name_is_tried(rig, monkeypatch):
    """A name whose first address refuses is reached at its next."""
    with Server(answering(OK)) as server:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        ]

        async def resolve(*_arguments, **_named):
            return found

        monkeypatch.setattr("playhead.capture.wire.dial._lookup", resolve)
        with rig.tunnel("two.example", server.port) as sock:
            sock.sendall(GET)
            assert read_answer(sock) == OK
