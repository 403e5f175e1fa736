"""What is not looked into: blind tunnels, their reports, and a replay that cannot leave."""

from __future__ import annotations

import contextlib
import socket
import ssl

import pytest

from playhead.capture.wire import arrival
from playhead.capture.wire.rules import UpstreamRules
from playhead.core.events import Ending
from tests.capture.wire.rig import (
    Echo,
    Rig,
    ScriptedTape,
    Server,
    answering,
    client_tls,
    is_reset,
    read_all,
    read_answer,
    read_exactly,
    reset,
)

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def greeting(sock) -> None:
    """A server that speaks first, then echoes in capitals until the client half-closes, then says goodbye."""
    sock.sendall(b"220 hello\r\n")
    while data := sock.recv(65536):
        sock.sendall(data.upper())
    sock.sendall(b"bye")


def shouting(sock) -> None:
    """A server that echoes in capitals."""
    while data := sock.recv(65536):
        sock.sendall(data.upper())


def test_a_pinned_client_is_tunnelled_from_its_next_connection_on(rig, world, authority):
    """A client that turns our certificate down is reported, and meets its own server from then on."""
    with Server(Echo(), context=world.context()) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            rig.tls("localhost", server.port, world.root)
        report = rig.wait_report("pinned certificate")
        assert (report.host, report.port, report.bytes) == ("localhost", server.port, 0)
        with rig.tls("localhost", server.port, world.root) as sock:  # trusts only the world's own root
            sock.sendall(GET)
            assert read_answer(sock).endswith(GET)
        with rig.reported:
            assert rig.reported.wait_for(lambda: rig.reports[-1].bytes > 1000, 60)
        assert rig.reports[-1].reason == "pinned certificate"
    assert rig.seen == []


def test_a_client_that_leaves_in_silence_is_pinned_the_second_time(rig, world, authority):
    """A client that shakes hands and goes away without a request may have judged the certificate afterwards."""
    with Server(answering(OK), context=world.context()) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

        def leave() -> None:
            sock = context.wrap_socket(rig.tunnel("localhost", server.port), server_hostname="localhost")
            sock.close()

        leave()
        assert rig.wait_report("closed after the TLS handshake began")
        leave()
        assert rig.wait_report("pinned certificate")


def test_a_host_that_was_trusted_once_is_not_pinned_by_silence(rig, world, authority):
    """Connections opened ahead and never used do not end the capture of a host."""
    trust = authority.certificate_path
    with Server(answering(OK), context=world.context()) as server:
        for _ in range(3):
            with rig.tls("localhost", server.port, trust) as sock:
                sock.sendall(GET)
                assert read_answer(sock) == OK
            rig.tls("localhost", server.port, trust).close()
    assert len(rig.seen) == 3
    assert rig.reports == []


@pytest.mark.parametrize("pattern", ["localhost", "*.localhost"])
def test_an_ignored_host_is_tunnelled_blind(authority, world, loop_name, pattern):
    """`--ignore-host` takes no TLS off and records nothing; the bytes are reported when the tunnel ends."""
    host = "localhost" if pattern == "localhost" else "a.b.localhost"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(Echo(), context=world.context(host)))
        maps = [f"{host}=https://127.0.0.1:{server.port}"]
        rules = UpstreamRules.read({}, ignore_hosts=[pattern], maps=maps)
        rig = stack.enter_context(Rig(authority, rules, loop=loop_name))
        with rig.tls(host, server.port, world.root) as sock:
            sock.sendall(GET)
            assert read_answer(sock).endswith(GET)
        assert rig.wait_report("ignored host").bytes > 1000
        assert rig.seen == []


def test_a_plain_request_to_an_ignored_host_is_relayed_and_reported(authority, loop_name):
    """Plain proxy requests are told apart one by one: the next on the same connection may be recorded."""
    echo = Echo()
    with Server(echo) as server, Server(answering(OK)) as other:
        rules = UpstreamRules.read({}, ignore_hosts=["127.0.0.1"])
        with Rig(authority, rules, loop=loop_name) as rig, rig.connect() as sock:
            sock.sendall(b"POST http://127.0.0.1:%d/ HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi" % server.port)
            assert read_answer(sock).endswith(b"\r\n\r\nhi")
            sock.sendall(b"GET http://localhost:%d/ HTTP/1.1\r\n\r\n" % other.port)
            assert read_answer(sock) == OK
            assert [one.exchange.target.host for one in rig.seen] == ["localhost"]
            report = rig.wait_report("ignored host")
            assert (report.host, report.port) == ("127.0.0.1", server.port)
            assert report.bytes > 80
    assert len(echo.requests) == 1


@pytest.mark.parametrize("first", [b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"SSH-2.0-x\r\n", b"\x16\x02garbage"])
def test_a_client_that_speaks_something_else_is_tunnelled(rig, first):
    """Bytes that are neither TLS nor HTTP go on untouched and are reported with their number."""
    with Server(shouting) as server:
        with rig.tunnel("localhost", server.port) as sock:
            sock.sendall(first)
            assert read_exactly(sock, len(first)) == first.upper()
        report = rig.wait_report("not HTTP")
    assert (report.host, report.port, report.bytes) == ("localhost", server.port, 2 * len(first))


def test_a_server_that_speaks_first_is_heard(rig, monkeypatch):
    """When the client keeps silent the server's greeting reaches it, and each side's half-close the other."""
    monkeypatch.setattr(arrival, "SILENCE_S", 0.01)
    with Server(greeting) as server:
        with rig.tunnel("localhost", server.port) as sock:
            assert read_exactly(sock, 11) == b"220 hello\r\n"
            sock.sendall(b"get / http")
            assert read_exactly(sock, 10) == b"GET / HTTP"
            sock.shutdown(socket.SHUT_WR)
            assert read_all(sock) == b"bye"
        assert rig.wait_report("not HTTP").bytes == 11 + 10 + 10 + 3


@pytest.mark.parametrize("tls", [False, True])
def test_a_slow_client_is_still_captured(rig, world, authority, monkeypatch, tls):
    """A client that was silent for longer than the limit and then speaks HTTP or TLS is recorded all the same."""
    monkeypatch.setattr(arrival, "SILENCE_S", 0.01)
    with Server(answering(OK), context=world.context() if tls else None) as server:
        raw = rig.tunnel("localhost", server.port)
        while not server.accepted:  # the speculative connection
            rig.call(lambda: None)
        with client_tls(raw, "localhost", authority.certificate_path) if tls else raw as sock:
            sock.sendall(GET)
            assert read_answer(sock) == OK
    assert [one.ending for one in rig.seen] == [Ending.COMPLETE]
    assert rig.reports == []


def test_tls_that_is_not_http_by_its_own_word_is_tunnelled(rig, world):
    """A client whose ALPN offers no HTTP is not intercepted."""
    with Server(shouting, context=world.context(protocols=("postgresql",))) as server:
        with rig.tls("localhost", server.port, world.root, protocols=("postgresql",)) as sock:
            sock.sendall(b"startup")
            assert read_exactly(sock, 7) == b"STARTUP"
        assert rig.wait_report("not HTTP").bytes > 1000


@pytest.mark.parametrize("first", ["client", "server"])
def test_tls_that_turns_out_not_to_be_http_is_put_on_again(rig, world, authority, monkeypatch, first):
    """Without ALPN the mistake shows only inside: the bytes go on under TLS of our own, and are reported."""
    monkeypatch.setattr(arrival, "SILENCE_S", 0.01)

    def serve(sock) -> None:
        if first == "server":
            sock.sendall(b"220 hello\r\n")
        shouting(sock)

    with Server(serve, context=world.context(protocols=())) as server:
        with rig.tls("localhost", server.port, authority.certificate_path, protocols=()) as sock:
            if first == "server":
                assert read_exactly(sock, 11) == b"220 hello\r\n"
            sock.sendall(b"\x00query")
            assert read_exactly(sock, 6) == b"\x00QUERY"
        assert rig.wait_report("not HTTP").bytes == (12 if first == "client" else 23)
        with rig.tls("localhost", server.port, world.root, protocols=()) as sock:  # no longer looked into
            sock.sendall(b"\x00query")
            assert read_exactly(sock, 6 if first == "client" else 17).endswith(b"\x00QUERY")


def test_a_reset_in_a_tunnel_resets_the_other_side(rig):
    """A tunnel hides nothing: a reset stays a reset."""

    def serve(sock) -> None:
        sock.recv(65536)
        reset(sock)

    with Server(serve) as server, rig.tunnel("localhost", server.port) as sock:
        sock.sendall(b"\x00\x01")
        assert is_reset(sock)


def test_an_open_tunnel_is_reported_when_the_engine_closes(authority, loop_name):
    """What was relayed so far is said even if the tunnel never ended."""
    with Server(shouting) as server:
        rig = Rig(authority, UpstreamRules(), loop=loop_name)
        with rig.tunnel("localhost", server.port) as sock:
            sock.sendall(b"\x00ab")
            assert read_exactly(sock, 3) == b"\x00AB"
            rig.close()
        assert [(report.reason, report.bytes) for report in rig.reports] == [("not HTTP", 6)]


def test_a_tunnel_to_nowhere_is_reset_and_reported(rig):
    """A place that refuses is a reset for the client, and still said."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with rig.tunnel("127.0.0.1", port) as sock:
        sock.sendall(b"\x00\x01")
        assert is_reset(sock)
    assert rig.wait_report("not HTTP").bytes == 0


# -- replay: nothing leaves


@pytest.fixture
def silent_tape():
    """A tape that resets whatever is asked."""
    return ScriptedTape(lambda _exchange, _head, caller: caller.finish(Ending.RESET))


WAYS_OUT = ["http", "https", "absolute", "garbage", "silence", "ignored", "foreign alpn", "pinned"]


def go_out(rig, port: int, way: str, authority, world) -> None:
    """Try to reach `localhost:port` through the engine in one way; whatever the client meets is swallowed."""
    trust = authority.certificate_path
    try:
        if way == "absolute":
            with rig.connect() as sock:
                sock.sendall(b"GET http://localhost:%d/ HTTP/1.1\r\n\r\n" % port)
                read_all(sock)
            return
        with rig.tunnel("localhost", port) as raw:
            if way == "https":
                sock = client_tls(raw, "localhost", trust)
            elif way == "foreign alpn":
                sock = client_tls(raw, "localhost", trust, ("imap",))
            elif way in {"ignored", "pinned"}:
                sock = client_tls(raw, "localhost", world.root)
            else:
                sock = raw
            with sock:
                if way == "silence":
                    sock.recv(1)
                else:
                    sock.sendall(b"\x00\x01" if way == "garbage" else GET)
                    read_all(sock)
    except OSError:
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # ssl leaks a socket reset early
@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("offline", [True, False])
def test_offline_never_dials(authority, world, loop_name, silent_tape, monkeypatch, way, offline):
    """In a replay no way out reaches the world; the same attempt online does, so the test can tell."""
    monkeypatch.setattr(arrival, "SILENCE_S", 0.01)
    monkeypatch.setattr(arrival, "OFFLINE_SILENCE_S", 0.01)
    tls = way in {"https", "ignored", "foreign alpn", "pinned"}
    protocols = ("http/1.1", "imap")

    def serve(sock) -> None:
        if way == "silence":
            sock.sendall(b"hello")
        sock.recv(65536)

    with Server(serve, context=world.context(protocols=protocols) if tls else None) as server:
        rules = UpstreamRules.read({}, ignore_hosts=["localhost"] if way == "ignored" else [], upstream_ca=world.root)
        tape = silent_tape if offline else None
        with Rig(authority, rules, tape=tape, offline=offline, loop=loop_name) as rig:
            for _ in range(2 if way == "pinned" else 1):
                go_out(rig, server.port, way, authority, world)
            assert (server.accepted > 0) is not offline
            if offline and way not in {"http", "https", "absolute"}:
                report = rig.wait_report("blocked")
                assert (report.host, report.port) == ("localhost", server.port)


def test_offline_a_refused_tunnel_is_a_reset(authority, silent_tape, loop_name):
    """The client of a blocked tunnel meets a connection error at once."""
    with Rig(authority, tape=silent_tape, offline=True, loop=loop_name) as rig, rig.tunnel("localhost", 9) as sock:
        sock.sendall(b"\x00\x01")
        assert is_reset(sock)


@pytest.mark.parametrize("port_named", [True, False])
def test_what_is_allowed_live_is_tunnelled_in_a_replay(authority, world, silent_tape, loop_name, port_named):
    """`--allow-live HOST[:PORT]` lets TLS, plain requests and other protocols out, unrecorded and reported."""
    with Server(Echo(), context=world.context()) as secure, Server(Echo()) as plain, Server(shouting) as other:
        ports = [server.port if port_named else None for server in (secure, plain, other)]
        rules = UpstreamRules.read({}, allow_live=[("localhost", port) for port in ports], upstream_ca=world.root)
        with Rig(authority, rules, tape=silent_tape, offline=True, loop=loop_name) as rig:
            with rig.tls("localhost", secure.port, world.root) as sock:
                sock.sendall(GET)
                assert read_answer(sock).endswith(GET)
            with rig.connect() as sock:
                sock.sendall(b"GET http://localhost:%d/ HTTP/1.1\r\n\r\n" % plain.port)
                assert b"GET / HTTP/1.1" in read_answer(sock)
            with rig.tunnel("localhost", other.port) as sock:
                sock.sendall(b"\x00x")
                assert read_exactly(sock, 2) == b"\x00X"
        assert silent_tape.heads == []
        assert {report.reason for report in rig.reports} == {"allowed live"}


def test_allowing_one_port_allows_no_other(authority, world, silent_tape):
    """The port of `--allow-live HOST:PORT` counts."""
    with Server(shouting) as server:
        rules = UpstreamRules.read({}, allow_live=[("localhost", server.port + 1), ("other", None)])
        with Rig(authority, rules, tape=silent_tape, offline=True) as rig:
            go_out(rig, server.port, "garbage", authority, world)
            assert rig.wait_report("blocked")
        assert server.accepted == 0
