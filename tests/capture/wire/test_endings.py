"""How exchanges end: cut, reset, refused, abandoned; and the traps of relaying (trailers, 100-continue, early answers)."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import threading

import pytest

from playhead.capture.wire import upstream
from playhead.capture.wire.rules import UpstreamRules
from playhead.core.events import Ending
from tests.capture.wire.rig import (
    Rig,
    ScriptedTape,
    Server,
    client_tls,
    is_reset,
    read_all,
    read_answer,
    read_exactly,
    read_head,
    reset,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"


def served_once(data: bytes, *, end=None):
    """A serve function: read a head, send `data`, then `end(sock)` or close."""

    def serve(sock) -> None:
        read_head(sock)
        if data:
            sock.sendall(data)
        if end is not None:
            end(sock)

    return serve


@pytest.fixture(params=["plain", "tls"])
def ask(request, rig, world, authority):
    """A function that opens a connection to a server through the engine, plain or under TLS."""

    def open_to(serve):
        if request.param == "plain":
            server = Server(serve)
            return server, rig.tunnel("localhost", server.port)
        server = Server(serve, context=world.context())
        return server, rig.tls("localhost", server.port, authority.certificate_path)

    return open_to


ANSWERS = {
    "length": OK,
    "headers twice": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: B=2\r\nContent-Length: 0\r\n\r\n",
    "chunks, extension, trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
    ),
    "no body": b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
    "interim": b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + OK,
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_answers_pass_unchanged_and_keep_the_connection(ask, rig, answer):
    """Every framing passes byte for byte, and the next request goes on the same connections."""

    def serve(sock) -> None:
        for _ in range(2):
            read_head(sock)
            sock.sendall(answer)

    server, sock = ask(serve)
    with server, sock:
        for _ in range(2):
            sock.sendall(GET)
            assert read_exactly(sock, len(answer)) == answer
        assert server.accepted == 1
    assert [one.answer for one in rig.seen] == [answer] * 2
    assert {one.ending for one in rig.seen} == {Ending.COMPLETE}


def test_an_answer_to_head_has_no_body(ask, rig):
    """The length of an answer to HEAD counts nothing."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"

    def serve(sock) -> None:
        for _ in range(2):
            read_head(sock)
            sock.sendall(answer)

    server, sock = ask(serve)
    with server, sock:
        for _ in range(2):
            sock.sendall(b"HEAD / HTTP/1.1\r\n\r\n")
            assert read_exactly(sock, len(answer)) == answer
    assert {one.ending for one in rig.seen} == {Ending.COMPLETE}


@pytest.mark.parametrize(
    ("answer", "ending"),
    [
        (b"", Ending.CUT),
        (b"HTTP/1.1 200 OK\r\nConte", Ending.CUT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", Ending.CUT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", Ending.CUT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Ending.CUT),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", Ending.CLOSED),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Ending.COMPLETE),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", Ending.COMPLETE),
        (b"ICY 200 OK\r\n\r\nnot HTTP", Ending.CLOSED),
    ],
)
def test_a_closing_world(ask, rig, answer, ending):
    """What came before the world closed reaches the client, then the end of file; cut and whole are told apart."""
    server, sock = ask(served_once(answer))
    with server, sock:
        sock.sendall(GET)
        assert read_all(sock) == answer
    assert rig.seen[0].ending is ending
    assert rig.seen[0].answer == answer


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"])
def test_a_reset_of_the_world_resets_the_client(ask, rig, answer):
    """The client gets what came, then a TCP reset, through TLS too."""
    gone = threading.Event()

    def end(sock) -> None:
        gone.wait(60)
        reset(sock)

    server, sock = ask(served_once(answer, end=end))
    with server, sock:
        sock.sendall(GET)
        assert read_exactly(sock, len(answer)) == answer
        gone.set()
        assert is_reset(sock)
    assert rig.seen[0].ending is Ending.RESET


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def refused(rig, port):
    with rig.tunnel("127.0.0.1", port) as sock:
        sock.sendall(GET)
        assert is_reset(sock)


def test_a_refused_dial_resets_the_client(rig):
    """A place nobody listens at ends as REFUSED, and the client's connection is reset as if it had stood alone."""
    refused(rig, free_port())
    assert rig.seen[0].ending is Ending.REFUSED
    assert "refused" in rig.seen[0].detail


POST = b"POST / HTTP/1.1\r\nHost: there\r\nContent-Length: 4\r\n"


def test_a_refused_dial_resets_a_client_that_has_said_all(rig, monkeypatch):
    """Not one that is at its body: that one would find the end of its line there or behind it, as it happens."""
    monkeypatch.setattr(upstream, "WHOLE_S", 60)
    port = free_port()
    with rig.tunnel("127.0.0.1", port) as sock:
        sock.sendall(POST + b"\r\n")
        rig.tape.wait(lambda: len(rig.seen) == 1)
        refused(rig, port)  # by then that of the first was refused, too
        assert rig.seen[0].ending is None
        sock.sendall(b"body")
        assert is_reset(sock)
    assert rig.seen[0].ending is Ending.REFUSED
    assert bytes(rig.seen[0].body) == b"body"


@pytest.mark.parametrize(
    ("bound_s", "more"), [(0.01, b""), (60, b"Expect: 100-continue\r\n")], ids=["silent", "expects"]
)
def test_a_refused_dial_is_not_kept_from_a_client_that_says_no_more(rig, monkeypatch, bound_s, more):
    """One that waits for leave to go on, or that has stopped."""
    monkeypatch.setattr(upstream, "WHOLE_S", bound_s)
    with rig.tunnel("127.0.0.1", free_port()) as sock:
        sock.sendall(POST + more + b"\r\n")
        assert is_reset(sock)
    assert rig.seen[0].ending is Ending.REFUSED


def test_an_unknown_name_is_refused(rig):
    """A name that does not resolve ends as REFUSED and says so."""
    with rig.tunnel("no-such-host.invalid", 80) as sock:
        sock.sendall(GET)
        assert is_reset(sock)
    assert rig.seen[0].ending is Ending.REFUSED
    assert "no-such-host.invalid" in rig.seen[0].detail


@pytest.mark.parametrize("fault", ["untrusted", "other name"])
def test_tls_trouble_with_the_world_is_rejected(authority, world, loop_name, fault):
    """An unknown root or a certificate for another host ends as REJECTED; no request is sent."""
    host = "localhost" if fault == "untrusted" else "other.example"
    trust = None if fault == "untrusted" else world.root
    with (
        Server(served_once(OK), context=world.context(host)) as server,
        Rig(authority, UpstreamRules.read({}, upstream_ca=trust), loop=loop_name) as rig,
        rig.tls("localhost", server.port, authority.certificate_path) as sock,
    ):
        sock.sendall(GET)
        assert is_reset(sock)
        assert rig.seen[0].ending is Ending.REJECTED
        assert rig.seen[0].detail


def test_a_client_that_aborts_is_felt_by_the_world_at_once(ask, rig):
    """A client that leaves in the middle of a stream ends the world's side without waiting for more bytes."""
    felt = threading.Event()

    def serve(sock) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        with contextlib.suppress(OSError):
            sock.recv(1)
        felt.set()

    server, sock = ask(serve)
    with server:
        sock.sendall(GET)
        assert sock.recv(65536)
        sock.close()
        assert felt.wait(60)
        rig.tape.wait(lambda: rig.tape.seen[0].ending is Ending.ABANDONED)


def test_a_client_that_aborts_its_request_is_felt_too(ask, rig):
    """An upload that stops half-way ends the world's side."""
    felt = threading.Event()

    def serve(sock) -> None:
        read_head(sock)
        read_exactly(sock, 3)
        with contextlib.suppress(OSError):
            sock.recv(1)
        felt.set()

    server, sock = ask(serve)
    with server:
        sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
        while not rig.seen or rig.seen[0].body != b"abc" or rig.seen[0].reused is None:
            pass
        reset(sock)
        assert felt.wait(60)
        rig.tape.wait(lambda: rig.tape.seen[0].ending is Ending.ABANDONED)


def test_expect_100_continue_goes_end_to_end(ask, rig):
    """The head goes alone, the world's 100 comes back before the body is sent."""

    def serve(sock) -> None:
        head = read_head(sock)
        assert b"100-continue" in head
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = read_exactly(sock, 4)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body)

    server, sock = ask(serve)
    with server, sock:
        sock.sendall(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert read_head(sock) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"body")
        assert read_answer(sock).endswith(b"body")
    assert rig.seen[0].ending is Ending.COMPLETE


def test_an_early_answer_does_not_wait_for_the_request(ask, rig):
    """A refusal that comes while the client still uploads is delivered, and the rest of the upload goes nowhere."""
    server, sock = ask(served_once(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
    with server, sock:
        sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nabc")
        assert b" 413 " in read_head(sock)
        sock.sendall(b"x" * 100)
        with contextlib.suppress(ssl.SSLEOFError):
            assert sock.recv(1) == b""
    assert rig.seen[0].ending is Ending.COMPLETE


def test_the_connection_goes_on_after_an_early_answer(authority):
    """When an early answer keeps the connection, the rest of the old body is not taken for a request."""

    def answer(_exchange, _head, caller) -> None:
        caller.deliver(OK)
        caller.finish(Ending.COMPLETE)

    tape = ScriptedTape(answer)
    with Rig(authority, tape=tape, offline=True) as rig, rig.connect() as sock:
        sock.sendall(b"POST http://h/1 HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
        assert read_answer(sock) == OK
        sock.sendall(b"GET / \n\nGET http://h/2 HTTP/1.1\r\n\r\n"[2:])
        assert read_answer(sock) == OK
    assert [head.split()[1] for head in tape.heads] == [b"/1", b"/2"]


@pytest.mark.parametrize("field", [b"Connection: close\r\n", b""])
def test_a_client_that_wants_to_close_is_closed(ask, field):
    """After `Connection: close`, and for HTTP/1.0, the answer is followed by the end of file."""
    server, sock = ask(served_once(OK, end=lambda sock: sock.recv(1)))
    version = b"1.1" if field else b"1.0"
    with server, sock:
        sock.sendall(b"GET / HTTP/" + version + b"\r\n" + field + b"\r\n")
        assert read_all(sock) == OK


@pytest.mark.parametrize("how", [Ending.RESET, Ending.REFUSED, Ending.TIMEOUT, Ending.REJECTED])
@pytest.mark.parametrize("tls", [False, True])
def test_a_tape_can_reset_a_client(authority, loop_name, how, tls):
    """What a tape delivered arrives, then the client meets a connection error, through TLS too."""
    part = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 2_000_000

    def answer(_exchange, _head, caller) -> None:
        caller.deliver(part)
        caller.finish(how)

    with Rig(authority, tape=ScriptedTape(answer), offline=True, loop=loop_name) as rig:
        sock = rig.tls("h", 443, authority.certificate_path) if tls else rig.tunnel("h", 80)
        with sock:
            sock.sendall(GET)
            assert read_exactly(sock, len(part)) == part
            assert is_reset(sock)


def test_a_tape_that_is_silent_hears_of_an_abort(authority, loop_name):
    """A turn is abandoned the moment its client is gone, even when nothing moves."""
    tape = ScriptedTape(lambda *_: None)
    with Rig(authority, tape=tape, offline=True, loop=loop_name) as rig:
        sock = rig.tls("h", 443, authority.certificate_path)
        sock.sendall(GET)
        while not tape.heads:
            pass
        assert not tape.abandoned.is_set()
        sock.close()
        assert tape.abandoned.wait(60)


def test_streams_are_not_coalesced(ask, rig):
    """Each read of the world is one delivery, and the client can read each chunk before the next is sent."""
    taken = threading.Semaphore(0)
    chunks = [b"8\r\ndata: %d\n\r\n" % n for n in range(20)]

    def serve(sock) -> None:
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            assert taken.acquire(timeout=60)
            sock.sendall(chunk)
        assert taken.acquire(timeout=60)
        sock.sendall(b"0\r\n\r\n")

    server, sock = ask(serve)
    with server, sock:
        sock.sendall(GET)
        read_head(sock)
        for chunk in chunks:
            taken.release()
            assert sock.recv(65536) == chunk
        taken.release()
        assert sock.recv(65536) == b"0\r\n\r\n"
    assert rig.seen[0].reads[1:-1] == chunks


MEGABYTE = 1 << 20


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class ForgetfulTape:
    """A passing tape that keeps no bytes, so that memory is the engine's alone."""

    def __init__(self, world) -> None:
        from tests.capture.wire.rig import PassingTape

        self._tape = PassingTape(world)

    def begin(self, exchange, head, caller):
        turn = self._tape.begin(exchange, head, caller)
        turn.feed = turn.asking.feed
        turn.seen.reads = _Nothing()
        return turn


class _Nothing(list):
    def append(self, _item) -> None: ...


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_slow_side_holds_the_fast_one(authority, world, direction):
    """50 MB towards someone who does not read stay where they came from: neither direction is buffered here."""
    go = threading.Event()
    size = 50 * MEGABYTE

    def serve(sock) -> None:
        read_head(sock)
        if direction == "up":
            go.wait(60)
            read_exactly_and_forget(sock, size)
            sock.sendall(OK)
        else:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(50):
                sock.sendall(b"x" * MEGABYTE)

    with Server(serve, context=world.context()) as server:
        rules = UpstreamRules.read({}, upstream_ca=world.root)
        from playhead.capture.wire.upstream import Upstream

        with Rig(authority, rules, tape=ForgetfulTape(Upstream(rules))) as rig:
            sock = rig.tls("localhost", server.port, authority.certificate_path)
            with sock:
                before = peak_mb()
                if direction == "up":
                    sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size)
                    sender = threading.Thread(target=send_and_forget, args=(sock, 50), daemon=True)
                    sender.start()
                    sender.join(0.5)
                    assert sender.is_alive(), "the engine took 50 MB that nobody read"
                    go.set()
                    sender.join(60)
                    assert read_answer(sock) == OK
                else:
                    sock.sendall(GET)
                    read_head(sock)
                    rig.call(lambda: None)
                    read_exactly_and_forget(sock, size)
                assert peak_mb() - before < 20


def test_an_upload_waits_for_the_dial(authority, monkeypatch):
    """While the world is still being dialled, a 50 MB upload is held at the client."""
    import asyncio

    from playhead.capture.wire.dial import Dialer
    from playhead.capture.wire.upstream import Upstream

    reach, go = Dialer.reach, threading.Event()

    async def slow(self, *arguments, **named):
        await asyncio.get_running_loop().run_in_executor(None, go.wait, 20)
        return await reach(self, *arguments, **named)

    monkeypatch.setattr(Dialer, "reach", slow)

    def serve(sock) -> None:
        read_head(sock)
        read_exactly_and_forget(sock, 50 * MEGABYTE)
        sock.sendall(OK)

    rules = UpstreamRules()
    with (
        Server(serve) as server,
        Rig(authority, rules, tape=ForgetfulTape(Upstream(rules))) as rig,
        rig.tunnel("localhost", server.port) as sock,
    ):
        before = peak_mb()
        sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (50 * MEGABYTE))
        sender = threading.Thread(target=send_and_forget, args=(sock, 50), daemon=True)
        sender.start()
        sender.join(0.5)
        assert sender.is_alive()
        go.set()
        sender.join(60)
        assert read_answer(sock) == OK
        assert peak_mb() - before < 20


def read_exactly_and_forget(sock, count: int) -> None:
    while count > 0:
        piece = sock.recv(min(65536, count))
        assert piece
        count -= len(piece)


def send_and_forget(sock, megabytes: int) -> None:
    piece = b"x" * MEGABYTE
    for _ in range(megabytes):
        sock.sendall(piece)


def test_requests_of_urllib3s_kind_do_not_stall(rig, world, authority):
    """A head and a body in two writes under Nagle's algorithm are not held up by delayed acknowledgements, which take
    40 ms, every time but the first few: one that took less than half of that was not."""
    import time

    with Server(served_many(40), context=world.context()) as server:
        raw = rig.tunnel("localhost", server.port)
        with client_tls(raw, "localhost", authority.certificate_path) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
            times = []
            for _ in range(40):
                begin = time.perf_counter()
                sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n")
                sock.sendall(b"x" * 5000)
                read_answer(sock)
                times.append(time.perf_counter() - begin)
    assert min(times[20:]) < 0.02


def served_many(count: int):
    def serve(sock) -> None:
        for _ in range(count):
            read_head(sock)
            read_exactly(sock, 5000)
            sock.sendall(OK)

    return serve
