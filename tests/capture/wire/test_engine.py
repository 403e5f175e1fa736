"""The engine end to end on loopback: every entrance, byte for byte."""

from __future__ import annotations

import asyncio
import random
import ssl
import threading

import pytest

from playhead.capture.wire.rules import UpstreamRules
from playhead.core.events import Ending
from playhead.core.tape import Route, Target
from tests.capture.wire.rig import (
    Echo,
    Rig,
    ScriptedTape,
    Server,
    answering,
    client_tls,
    read_all,
    read_answer,
    read_exactly,
    read_head,
)

REQUEST = (
    b"POST /v1/chat?x=1 HTTP/1.1\r\nhOsT: localhost\r\nX-Z: 1\r\nX-A: 2\r\nX-A:  3 \r\nContent-Length: 5\r\n\r\nhello"
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_tls_through_connect_passes_every_byte(rig, world, authority):
    """A request through CONNECT and TLS reaches the world, and its answer the client, byte for byte."""
    echo = Echo()
    with Server(echo, context=world.context()) as server:
        with rig.tls("localhost", server.port, authority.certificate_path) as sock:
            for _ in range(3):
                sock.sendall(REQUEST)
                answer = read_answer(sock)
                assert answer.endswith(REQUEST)
        assert echo.requests == [REQUEST] * 3
        assert server.accepted == 1
    seen = rig.seen
    assert [one.head + one.body for one in seen] == [REQUEST] * 3
    assert [one.exchange.number for one in seen] == [1, 2, 3]
    assert [one.exchange.reused for one in seen] == [False, True, True]
    assert [one.reused for one in seen] == [False, True, True]
    assert {one.exchange.target for one in seen} == {Target("https", "localhost", server.port)}
    assert {one.ending for one in seen} == {Ending.COMPLETE}
    assert seen[0].exchange.connection.route is Route.PROXY
    assert seen[0].exchange.connection.tls


def test_a_connection_knows_its_rank_and_its_client(rig):
    """Connections are numbered in accept order and carry the client's own address."""
    with Server(answering(OK)) as server:
        socks = [rig.connect() for _ in range(3)]
        for sock in reversed(socks):
            sock.sendall(b"GET http://localhost:%d/ HTTP/1.1\r\n\r\n" % server.port)
            assert read_answer(sock) == OK
        connections = [one.exchange.connection for one in rig.seen]
        assert [connection.number for connection in connections] == [3, 2, 1]
        assert [connection.peer for connection in connections] == [sock.getsockname() for sock in reversed(socks)]
        for sock in socks:
            sock.close()


def test_absolute_form_becomes_origin_form(rig):
    """A plain proxy request goes on in origin form; only the request line and the proxy's own headers change."""
    echo = Echo()
    with Server(echo) as server, rig.connect() as sock:
        place = b"localhost:%d" % server.port
        sock.sendall(
            b"POST http://"
            + place
            + b"/api/chat?q=a%20b HTTP/1.1\r\nHOST: "
            + place
            + b"\r\nProxy-Connection: keep-alive\r\n"
            b"x-b: 1\r\nproxy-authorization: Basic eA==\r\nX-a: 2\r\nContent-Length: 2\r\n\r\nhi"
        )
        read_answer(sock)
        sock.sendall(b"GET http://" + place + b" HTTP/1.1\r\n\r\n")
        read_answer(sock)
    assert echo.requests == [
        b"POST /api/chat?q=a%20b HTTP/1.1\r\nHOST: " + place + b"\r\nx-b: 1\r\nX-a: 2\r\nContent-Length: 2\r\n\r\nhi",
        b"GET / HTTP/1.1\r\n\r\n",
    ]
    assert rig.seen[0].exchange.connection.route is Route.PROXY
    assert rig.seen[0].exchange.target == Target("http", "localhost", server.port)


def test_one_proxy_connection_serves_many_hosts(rig):
    """A client may send plain requests for different hosts over one proxy connection."""
    with (
        Server(answering(b"HTTP/1.1 200 A\r\nContent-Length: 0\r\n\r\n")) as a,
        Server(answering(OK)) as b,
        rig.connect() as sock,
    ):
        for server in (a, b, a):
            sock.sendall(b"GET http://127.0.0.1:%d/ HTTP/1.1\r\n\r\n" % server.port)
            assert (b"200 A" in read_answer(sock)) is (server is a)


def test_connect_with_plain_http_inside(rig):
    """CONNECT does not imply TLS: plain HTTP inside the tunnel is served as it is."""
    echo = Echo()
    with Server(echo) as server, rig.tunnel("localhost", server.port) as sock:
        sock.sendall(REQUEST)
        assert read_answer(sock).endswith(REQUEST)
    assert echo.requests == [REQUEST]
    assert rig.seen[0].exchange.target == Target("http", "localhost", server.port)


def test_a_hook_says_so_on_its_connect(rig):
    """A CONNECT of our own hook is counted under its route."""
    with (
        Server(answering(OK)) as server,
        rig.tunnel("localhost", server.port, extra=b"Playhead-Route: hook\r\n") as sock,
    ):
        sock.sendall(REQUEST)
        assert read_answer(sock) == OK
    assert rig.seen[0].exchange.connection.route is Route.HOOK
    assert b"Playhead" not in rig.seen[0].head


def test_bytes_pipelined_behind_connect_count(rig, world, authority):
    """A client that does not wait for the 200 loses nothing."""
    with Server(Echo(), context=world.context()) as server, rig.connect() as sock:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=str(authority.certificate_path))
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        sock.sendall(b"CONNECT localhost:%d HTTP/1.1\r\n\r\n" % server.port + outgoing.read())
        assert read_head(sock).startswith(b"HTTP/1.1 200")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(sock.recv(65536))
        tls.write(REQUEST)
        sock.sendall(outgoing.read())
        answer = b""
        while not answer.endswith(REQUEST):
            try:
                answer += tls.read(65536)
            except ssl.SSLWantReadError:
                incoming.write(sock.recv(65536))


def test_sni_entrance(authority, world, loop_name):
    """A TLS client led to the port without CONNECT is taken for its server name, port 443."""
    with Server(Echo(), context=world.context("api.example.com")) as server:
        rules = UpstreamRules.read(
            {}, maps=[f"api.example.com=https://127.0.0.1:{server.port}"], upstream_ca=world.root
        )
        with Rig(authority, rules, loop=loop_name) as rig:
            with client_tls(rig.connect(), "api.example.com", authority.certificate_path) as sock:
                sock.sendall(REQUEST)
                assert read_answer(sock).endswith(REQUEST)
            exchange = rig.seen[0].exchange
            assert exchange.target == Target("https", "api.example.com", 443)
            assert exchange.connection.route is Route.HOOK


def test_sni_entrance_without_a_name_is_closed_and_reported(rig):
    """Without a server name nobody can know who is meant."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with rig.connect() as sock, pytest.raises(OSError):
        context.wrap_socket(sock)
    assert rig.wait_report("no server name").port == 443


@pytest.mark.parametrize(
    ("base", "asked", "sent"),
    [
        ("", b"/p/openai/v1/chat?a=/p/x", b"/v1/chat?a=/p/x"),
        ("/v1", b"/p/openai/chat", b"/v1/chat"),
        ("/v1/", b"/p/openai", b"/v1"),
        ("", b"/p/openai", b"/"),
        ("/a/b", b"/p/openai?key=1", b"/a/b?key=1"),
    ],
)
def test_base_url_entrance(authority, base, asked, sent):
    """The prefix goes, the base's path comes, Host is the target's; every other byte stays."""
    echo = Echo()
    with Server(echo) as server:
        rules = UpstreamRules.read({}, prefixes={"openai": f"http://localhost:{server.port}{base}"})
        with Rig(authority, rules) as rig, rig.connect() as sock:
            head = b"POST %s HTTP/1.1\r\nX-Host: keep\r\nhost:  127.0.0.1:1\r\nX-y:  2\r\nContent-Length: 2\r\n\r\n{}"
            sock.sendall(head % asked)
            read_answer(sock)
            assert rig.seen[0].exchange.connection.route is Route.BASE_URL
    expected = b"POST %s HTTP/1.1\r\nX-Host: keep\r\nhost:  localhost:%d\r\nX-y:  2\r\nContent-Length: 2\r\n\r\n{}"
    assert echo.requests == [expected % (sent, server.port)]


@pytest.mark.parametrize("how", ["absolute", "connect"])
def test_a_base_url_sent_through_the_proxy_is_still_a_base_url(authority, how):
    """A client that obeys the proxy variables also for our own address must not send us to ourselves."""
    echo = Echo()
    with Server(echo) as server:
        rules = UpstreamRules.read({}, prefixes={"x": f"http://localhost:{server.port}"})
        with Rig(authority, rules) as rig, rig.connect() as sock:
            if how == "connect":
                sock.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % rig.port)
                assert read_head(sock).startswith(b"HTTP/1.1 200")
                sock.sendall(b"GET /p/x/a HTTP/1.1\r\n\r\n")
            else:
                sock.sendall(b"GET http://127.0.0.1:%d/p/x/a HTTP/1.1\r\n\r\n" % rig.port)
            assert b"GET /a HTTP/1.1" in read_answer(sock)


@pytest.mark.parametrize("path", [b"/", b"/p/unknown/v1", b"/v1/chat/completions"])
def test_what_fits_no_base_url_is_told_what_this_port_is(authority, path):
    """A 404 names the port and the base URLs it knows, and the miss is reported."""
    rules = UpstreamRules.read({}, prefixes={"openai": "https://api.openai.com/v1"})
    with Rig(authority, rules) as rig, rig.connect() as sock:
        sock.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        answer = read_all(sock)
        assert answer.startswith(b"HTTP/1.1 404")
        assert b"Playhead" in answer
        assert b"/p/openai" in answer
        assert rig.reports[0].reason.startswith("no such base URL")
        assert rig.seen == []


@pytest.mark.parametrize("data", [b"\x00\x01garbage\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"GET  /  HTTP/1.1\r\n\r\n"])
def test_garbage_on_the_port_is_refused(rig, data):
    """What is neither TLS nor HTTP gets a 400 and reaches no tape."""
    with rig.connect() as sock:
        sock.sendall(data)
        assert read_all(sock).startswith(b"HTTP/1.1 400")
    assert rig.seen == []


def test_a_head_without_end_is_refused(rig):
    """A head of more than 256 KiB is answered with 431, not kept."""
    with rig.connect() as sock:
        sock.sendall(b"GET http://localhost:1/ HTTP/1.1\r\nX: " + b"a" * 300_000)
        assert read_all(sock).startswith(b"HTTP/1.1 431")


def test_a_head_split_at_every_byte(rig, world, authority):
    """CONNECT, request and body may be split over reads at any byte."""
    echo = Echo()
    with Server(echo) as server:
        data = b"POST http://localhost:%d/x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" % server.port
        with rig.connect() as sock:
            for cut in range(1, len(data)):
                before = len(rig.seen)
                sock.sendall(data[:cut])
                rig.call(lambda: None)
                sock.sendall(data[cut:])
                assert read_answer(sock).endswith(b"\r\n\r\nabc")
                assert len(rig.seen) == before + 1
        connect = b"CONNECT localhost:%d HTTP/1.1\r\n\r\n" % server.port + REQUEST
        with rig.connect() as sock:
            for byte in connect:
                sock.sendall(bytes([byte]))
                rig.call(lambda: None)
            assert read_head(sock).startswith(b"HTTP/1.1 200")
            assert read_answer(sock).endswith(REQUEST)
    assert set(echo.requests[:-1]) == {b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"}
    assert echo.requests[-1] == REQUEST


def fuzzed_request(random_: random.Random) -> bytes:
    """A request with a random body, framed by length or chunks, and headers in random order and case."""
    body = random_.randbytes(random_.choice([0, 1, 100, 3000, 40_000]))
    names = [b"X-%d" % n for n in range(6)] + [b"Accept", b"USER-agent", b"x-0"]
    random_.shuffle(names)
    fields = [
        bytes(random_.choice([chr(c).lower(), chr(c).upper()]).encode()[0] for c in name)
        + b":"
        + b" " * random_.randrange(3)
        + b"v"
        for name in names
    ]
    if random_.random() < 0.5:
        fields.insert(random_.randrange(9), b"content-LENGTH: %d" % len(body))
        framed = body
    else:
        fields.insert(random_.randrange(9), b"Transfer-encoding: Chunked")
        framed, at = b"", 0
        while at < len(body):
            size = random_.randrange(1, 5000)
            piece = body[at : at + size]
            framed += b"%X;ext=%d\r\n%b\r\n" % (len(piece), at, piece)
            at += size
        framed += b"0\r\nX-Trailer: t\r\n\r\n"
    return b"POST /fuzz HTTP/1.1\r\n" + b"\r\n".join(fields) + b"\r\n\r\n" + framed


def test_200_fuzzed_requests_reach_the_world_unchanged(rig, world, authority):
    """Header order, case and spacing, bodies by length and by chunks with extensions and trailers: not a byte differs."""
    random_ = random.Random(7)
    requests = [fuzzed_request(random_) for _ in range(200)]
    got: list[bytes] = []

    def serve(sock) -> None:
        for request in requests:
            data = read_exactly(sock, len(request))
            if not data:
                return
            got.append(data)
            sock.sendall(OK)

    with (
        Server(serve, context=world.context()) as server,
        rig.tls("localhost", server.port, authority.certificate_path) as sock,
    ):
        for request in requests:
            sock.sendall(request)
            assert read_answer(sock) == OK
    assert got == requests
    assert [one.head + one.body for one in rig.seen] == requests
    assert all(one.whole_request for one in rig.seen)


def test_pipelined_requests_wait_their_turn(rig):
    """Requests sent without waiting are asked one after the other and answered in order."""
    echo = Echo()
    with Server(echo) as server, rig.connect() as sock:
        requests = [
            b"PUT http://localhost:%d/%d HTTP/1.1\r\nContent-Length: 1\r\n\r\n%d" % (server.port, n, n)
            for n in range(9)
        ]
        sock.sendall(b"".join(requests))
        answers = [read_answer(sock) for _ in requests]
        assert [answer[-1:] for answer in answers] == [b"%d" % n for n in range(9)]
    endings = [one.ending for one in rig.seen]
    assert endings == [Ending.COMPLETE] * 9


def test_many_pipelined_requests_answered_at_once_do_not_nest(authority):
    """A tape that answers inside `begin` serves thousands of pipelined requests without deep recursion."""

    def answer(_exchange, _head, caller) -> None:
        caller.deliver(OK)
        caller.finish(Ending.COMPLETE)

    tape = ScriptedTape(answer)
    with Rig(authority, tape=tape, offline=True) as rig, rig.connect() as sock:
        threading.Thread(target=sock.sendall, args=(b"GET http://h/ HTTP/1.1\r\n\r\n" * 5000,), daemon=True).start()
        assert read_exactly(sock, 5000 * len(OK)) == OK * 5000
        assert rig.engine.turns == 0


def test_fifty_clients_get_their_own_answers(rig, world, authority):
    """Concurrent connections never see one another's answers."""
    with Server(Echo(), context=world.context()) as server:
        failures: list[object] = []

        def client(number: int) -> None:
            try:
                with rig.tls("localhost", server.port, authority.certificate_path) as sock:
                    for turn in range(5):
                        body = b"%d-%d" % (number, turn)
                        sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                        answer = read_answer(sock)
                        if not answer.endswith(b"\r\n\r\n" + body):
                            failures.append(answer)
            except OSError as error:
                failures.append(error)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert failures == []
    assert len(rig.seen) == 250


def test_close_waits_for_turns_in_flight(authority, rules, loop_name):
    """An answer under way when the engine closes is delivered whole, if it comes within the grace."""
    release = threading.Event()

    def serve(sock) -> None:
        read_head(sock)
        sock.sendall(OK[:-1])
        release.wait(60)
        sock.sendall(OK[-1:])

    with Server(serve) as server, Rig(authority, rules, loop=loop_name) as rig, rig.connect() as sock:
        sock.sendall(b"GET http://localhost:%d/ HTTP/1.1\r\n\r\n" % server.port)
        first = sock.recv(4096)
        closing = asyncio.run_coroutine_threadsafe(rig.engine.close(grace_s=10), rig.loop)
        rig.call(lambda: None)
        before = rig.engine.connections
        with rig.connect():  # nobody accepts it any more
            rig.call(lambda: None)
            assert rig.engine.connections == before
        release.set()
        assert first + read_all(sock) == OK
        closing.result(10)
        assert rig.engine.connections == 0


def test_close_gives_up_on_what_never_ends(authority, rules, loop_name):
    """An exchange that outlives the grace is abandoned and its client reset."""
    with Server(lambda sock: sock.recv(65536) and sock.recv(1)) as server:
        rig = Rig(authority, rules, loop=loop_name)
        with rig.connect() as sock:
            sock.sendall(b"GET http://localhost:%d/ HTTP/1.1\r\n\r\n" % server.port)
            while rig.engine.turns == 0:
                rig.call(lambda: None)
            rig.close()
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        assert rig.seen[0].ending is Ending.ABANDONED


def test_close_sends_what_was_answered(authority, loop_name):
    """An answer that is complete but not yet taken by a slow client is not cut off by closing the engine."""
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 8_000_000

    def answer(_exchange, _head, caller) -> None:
        caller.deliver(data)
        caller.finish(Ending.COMPLETE)

    with Rig(authority, tape=ScriptedTape(answer), offline=True, loop=loop_name) as rig, rig.connect() as sock:
        sock.sendall(b"GET http://h/ HTTP/1.1\r\n\r\n")
        first = sock.recv(1)
        closing = asyncio.run_coroutine_threadsafe(rig.engine.close(grace_s=10), rig.loop)
        rig.call(lambda: None)
        assert first + read_all(sock) == data
        closing.result(10)
