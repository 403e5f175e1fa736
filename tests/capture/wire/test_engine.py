"""The engine end to end on loopback: every entrance, byte for byte."""

from __future__ import annotations

import pytest

from playhead.core.events import Ending
from playhead.core.tape import Route, Target
from tests.capture.wire.rig import Echo, Server, client_tls, read_answer

REQUEST = (
    b"POST /v1/chat?x=1 HTTP/1.1\r\nhOsT: localhost\r\nX-Z: 1\r\nX-A: 2\r\nX-A:  3 \r\nContent-Length: 5\r\n\r\nhello"
)


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
    seen = rig.tape.seen
    assert [one.head + one.body for one in seen] == [REQUEST] * 3
    assert [one.exchange.number for one in seen] == [1, 2, 3]
    assert [one.exchange.reused for one in seen] == [False, True, True]
    assert [one.reused for one in seen] == [False, True, True]
    assert {one.exchange.target for one in seen} == {Target("https", "localhost", server.port)}
    assert {one.ending for one in seen} == {Ending.COMPLETE}
    assert seen[0].exchange.connection.route is Route.PROXY
    assert seen[0].exchange.connection.tls
