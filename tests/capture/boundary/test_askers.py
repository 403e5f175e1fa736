"""Each way on which bytes leave a socket says first which lane sends them."""

from __future__ import annotations

import contextlib
import socket
import ssl
from threading import Thread

import pytest

from playhead.capture.boundary import active, askers
from playhead.capture.boundary.patches import Patches
from playhead.core.boundary import lane_mark
from tests.support.authority import TestAuthority

PATIENCE_S = 20


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Of a server that stands for the engine."""
    return TestAuthority(tmp_path_factory.mktemp("authority"))


@contextlib.contextmanager
def _server(context=None):
    """Takes one connection, under TLS with a `context`, and reads it to its end; the port."""

    def serve():
        sock, _ = listening.accept()
        sock.settimeout(PATIENCE_S)
        with sock if context is None else context.wrap_socket(sock, server_side=True) as taken:
            while taken.recv(100):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_S)
        server = Thread(target=serve)
        server.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.join()


@contextlib.contextmanager
def _announcing(folder, port):
    """The engine's side, while what is sent to that port is announced."""
    askers.make(folder)
    patches = Patches()
    announcer = askers.Announcer(folder, "0", port)
    announcer.install(patches, socket)
    announcer.install_tls(patches, ssl)
    engine = askers.Askers(folder)
    try:
        yield engine
    finally:
        patches.undo()
        engine.close()


def _asked(tapes, engine, connect, send):
    """Who asks on a connection before and behind `send(sock)`, and the lane that called it."""

    def run():
        with connect() as sock:
            port = sock.getsockname()[1]
            before = engine.of(port)
            send(sock)
            return before, engine.of(port), active.current().path

    return tapes.record(run)


@pytest.mark.parametrize("way", ["send", "sendall", "sendmsg"])
def test_plain_bytes_are_announced(tapes, tmp_path, way):
    """The entry of the port names the lane once the bytes have left."""
    data = [b"question"] if way == "sendmsg" else b"question"
    with _server() as port, _announcing(tmp_path, port) as engine:
        before, after, lane = _asked(
            tapes,
            engine,
            lambda: socket.create_connection(("127.0.0.1", port)),
            lambda sock: getattr(sock, way)(data),
        )
    assert before is None
    assert after == (lane_mark("0", lane), 0, False)


@pytest.mark.parametrize("way", ["send", "sendall", "write"])
def test_bytes_under_tls_are_announced(tapes, tmp_path, authority, way):
    """`sendall` has no patch of its own there: it sends by `send`."""
    trusting = ssl.create_default_context(cafile=str(authority.pem))

    def connect():
        return trusting.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost")

    with _server(authority.server_context()) as port, _announcing(tmp_path, port) as engine:
        before, after, lane = _asked(tapes, engine, connect, lambda sock: getattr(sock, way)(b"question"))
    assert before is None
    assert after == (lane_mark("0", lane), 0, False)
