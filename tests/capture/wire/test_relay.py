"""HTTP/2 and websockets: relayed raw after the switch, every byte seen by the tape."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, ResponseReceived, StreamEnded
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Message, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

from playhead.core.events import Ending
from tests.capture.wire.rig import Rig, ScriptedTape, Server, client_tls, is_reset, read_all


def serve_h2(sock) -> None:
    """Answers every stream with the size of its body."""
    connection = H2Connection(H2Configuration(client_side=False))
    connection.initiate_connection()
    sock.sendall(connection.data_to_send())
    sizes: dict[int, int] = {}
    while data := sock.recv(65536):
        for event in connection.receive_data(data):
            if isinstance(event, RequestReceived):
                sizes[event.stream_id] = 0
            elif isinstance(event, DataReceived):
                sizes[event.stream_id] += len(event.data)
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                connection.send_headers(event.stream_id, [(":status", "200")])
                connection.send_data(event.stream_id, b"%d" % sizes[event.stream_id], end_stream=True)
        sock.sendall(connection.data_to_send())


def ask_h2(sock, bodies: list[bytes]) -> list[bytes]:
    """Send a request for each body over one connection, all at once; the answers in order."""
    connection = H2Connection()
    connection.initiate_connection()
    streams = []
    for body in bodies:
        stream = connection.get_next_available_stream_id()
        streams.append(stream)
        connection.send_headers(
            stream, [(":method", "POST"), (":path", "/x"), (":scheme", "https"), (":authority", "localhost")]
        )
        connection.send_data(stream, body, end_stream=True)
    sock.sendall(connection.data_to_send())
    answers: dict[int, bytes] = {}
    ended = 0
    while ended < len(bodies):
        data = sock.recv(65536)
        assert data
        for event in connection.receive_data(data):
            if isinstance(event, ResponseReceived):
                answers[event.stream_id] = b""
            elif isinstance(event, DataReceived):
                answers[event.stream_id] += event.data
            elif isinstance(event, StreamEnded):
                ended += 1
        sock.sendall(connection.data_to_send())
    return [answers[stream] for stream in streams]


def test_a_client_of_h2_alone_is_relayed_raw(rig, world, authority):
    """A client that offers only h2 speaks it to the world, and the whole connection is one exchange."""
    with Server(serve_h2, context=world.context(protocols=("h2",))) as server:
        with rig.tls("localhost", server.port, authority.certificate_path, protocols=("h2",)) as sock:
            assert sock.selected_alpn_protocol() == "h2"
            assert ask_h2(sock, [b"a" * n for n in (1, 10_000, 0)]) == [b"1", b"10000", b"0"]
        rig.tape.wait(lambda: rig.tape.seen[0].ending is Ending.ABANDONED)
    seen = rig.seen[0]
    assert (seen.exchange.protocol, seen.protocol, seen.head) == ("h2", "h2", b"")
    assert seen.body.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    # What the tape saw of the world is itself a whole HTTP/2 conversation.
    client = H2Connection()
    client.initiate_connection()
    for _ in range(3):
        client.send_headers(
            client.get_next_available_stream_id(),
            [(":method", "GET"), (":path", "/"), (":scheme", "https"), (":authority", "h")],
        )
    assert sum(isinstance(event, StreamEnded) for event in client.receive_data(seen.answer)) == 3


def test_a_client_of_both_speaks_http1(rig, world, authority):
    """HTTP/1.1 is agreed on whenever the client takes it."""
    with (
        Server(lambda sock: sock.recv(1), context=world.context()) as server,
        rig.tls("localhost", server.port, authority.certificate_path, protocols=("h2", "http/1.1")) as sock,
    ):
        assert sock.selected_alpn_protocol() == "http/1.1"


def test_plaintext_h2_by_prior_knowledge(rig):
    """An h2 preface inside a tunnel without TLS is relayed raw too."""
    with Server(serve_h2) as server, rig.tunnel("localhost", server.port) as sock:
        assert ask_h2(sock, [b"abc"]) == [b"3"]
    assert rig.seen[0].exchange.target.scheme == "http"


def test_a_world_without_h2_is_rejected(rig, world, authority):
    """A server that does not agree on h2 cannot serve a client that speaks nothing else."""
    with Server(lambda sock: sock.recv(1), context=world.context(protocols=("http/1.1",))) as server:
        sock = rig.tls("localhost", server.port, authority.certificate_path, protocols=("h2",))
        assert is_reset(sock)
        rig.tape.wait(lambda: rig.tape.seen[0].ending is Ending.REJECTED)


def test_a_replay_can_refuse_h2(authority, loop_name):
    """A tape that cannot answer h2 ends the connection with a reset."""
    tape = ScriptedTape(lambda _exchange, _head, caller: caller.finish(Ending.RESET))
    with Rig(authority, tape=tape, offline=True, loop=loop_name) as rig:
        assert is_reset(rig.tls("localhost", 443, authority.certificate_path, protocols=("h2",)))
        assert tape.heads == [b""]


def serve_websocket(sock) -> None:
    """Echoes messages, text in capitals, and closes when told to."""
    connection = WSConnection(ConnectionType.SERVER)
    text, binary = "", b""
    while data := sock.recv(65536):
        connection.receive_data(data)
        for event in connection.events():
            if isinstance(event, Request):
                sock.sendall(connection.send(AcceptConnection(extensions=[PerMessageDeflate()])))
            elif isinstance(event, TextMessage):
                text += event.data
                if event.message_finished:
                    sock.sendall(connection.send(Message(text.upper())))
                    text = ""
            elif isinstance(event, BytesMessage):
                binary += event.data
                if event.message_finished:
                    sock.sendall(connection.send(Message(binary)))
                    binary = b""
            elif isinstance(event, CloseConnection):
                sock.sendall(connection.send(event.response()))
                return


def receive(connection: WSConnection, sock, wanted: type):
    """The next finished event of a kind."""
    collected = None
    while True:
        for event in connection.events():
            if isinstance(event, wanted):
                if isinstance(event, (TextMessage, BytesMessage)):
                    collected = event.data if collected is None else collected + event.data
                    if not event.message_finished:
                        continue
                    return collected
                return event
        data = sock.recv(65536)
        connection.receive_data(data or None)


@pytest.mark.parametrize("tls", [False, True])
def test_a_websocket_works_through_the_engine(rig, world, authority, tls):
    """Compressed messages up to 200 kB pass both ways after the 101, and the close handshake ends the exchange."""
    with Server(serve_websocket, context=world.context() if tls else None) as server:
        raw = rig.tunnel("localhost", server.port)
        with client_tls(raw, "localhost", authority.certificate_path) if tls else raw as sock:
            connection = WSConnection(ConnectionType.CLIENT)
            sock.sendall(connection.send(Request(host="localhost", target="/ws", extensions=[PerMessageDeflate()])))
            receive(connection, sock, AcceptConnection)
            sock.sendall(connection.send(Message("hello")))
            assert receive(connection, sock, TextMessage) == "HELLO"
            big = bytes(range(256)) * 800
            sock.sendall(connection.send(Message(big)))
            assert receive(connection, sock, BytesMessage) == big
            sock.sendall(connection.send(CloseConnection(1000)))
            receive(connection, sock, CloseConnection)
            assert read_all(sock) == b""
        rig.tape.wait(lambda: rig.tape.seen[0].ending is Ending.CLOSED)
    seen = rig.seen[0]
    assert (seen.exchange.protocol, seen.protocol) == ("websocket", "websocket")
    assert seen.head.startswith(b"GET /ws HTTP/1.1\r\n")
    server_side = WSConnection(ConnectionType.SERVER)
    server_side.receive_data(seen.head)
    assert [type(event) for event in server_side.events()] == [Request]
    server_side.send(AcceptConnection(extensions=[PerMessageDeflate()]))
    server_side.receive_data(seen.body)
    assert [event.data for event in server_side.events() if isinstance(event, TextMessage)] == ["hello"]


def test_bytes_behind_the_101_belong_to_the_other_protocol(rig):
    """A server that speaks right behind its 101, in the same write, loses nothing, and the client's next bytes are raw."""

    def serve(sock) -> None:
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: odd\r\n\r\nGET early")
        sock.sendall(sock.recv(65536).upper())

    with Server(serve) as server, rig.tunnel("localhost", server.port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: odd\r\n\r\n")
        data = b""
        while not data.endswith(b"GET early"):
            data += sock.recv(65536)
        sock.sendall(b"get / http/1.1\r\n\r\n")
        assert read_all(sock) == b"GET / HTTP/1.1\r\n\r\n"
    assert len(rig.seen) == 1
    assert rig.seen[0].exchange.protocol == "odd"
