"""A client connection until it is known what it speaks and to whom: the entrances of the engine's one port.

    CONNECT host:port          a proxy's client; then, inside, TLS, plain HTTP, or something that is neither
    TLS ClientHello            a hook's client that was led here instead of to port 443 of the server it names
    anything else              HTTP/1.1 that names its target in each request (see addressing)

What is not HTTP, or must not be looked into, goes on as a blind tunnel and is reported; in a replay it is refused.
"""

from __future__ import annotations

import re
import ssl
from functools import partial
from typing import TYPE_CHECKING

from playhead.capture.wire.addressing import address
from playhead.capture.wire.conversation import Conversation
from playhead.capture.wire.dial import UnreachedError
from playhead.capture.wire.framing import header
from playhead.capture.wire.hello import TLS_HANDSHAKE, ClientHello, NotTlsError, read_hello
from playhead.capture.wire.relay import Relay
from playhead.capture.wire.rules import split_host_port
from playhead.capture.wire.switchboard import (
    ALLOWED,
    BLOCKED,
    NO_CERTIFICATE,
    NO_NAME,
    NOT_HTTP,
    PINNED,
    TLS_LEFT,
    Uncaptured,
)
from playhead.capture.wire.tunnel import Tunnel
from playhead.core.tape import Route, Target
from playhead.errors import PlayheadError

if TYPE_CHECKING:
    import asyncio

    from playhead.capture.wire.line import Line
    from playhead.capture.wire.switchboard import Switchboard
    from playhead.core.tape import Connection

SILENCE_S = 0.3  # a client that says nothing inside a tunnel for this long may be waiting for its server to speak
OFFLINE_SILENCE_S = 2.0  # in a replay no server may speak, so a slow client gets more time before it is refused
PREFACE = b"PRI * HTTP/2.0\r\n"  # RFC 9113 section 3.4
_HTTP_LINE = re.compile(rb"[A-Z][A-Z-]{1,19} (?:/|\*|https?://)")
_MAYBE_HTTP = re.compile(rb"(?:[A-Z][A-Z-]{0,19}|[A-Z][A-Z-]{1,19} (?:h(?:t(?:t(?:p(?:s?:?/?)?)?)?)?)?)\Z")
_HTTP_PROTOCOLS = frozenset({b"http/1.1", b"http/1.0", b"h2"})


class Arrival:
    """Decides what becomes of one connection, then lets go of it."""

    def __init__(self, board: Switchboard, line: Line, connection: Connection) -> None:
        self._board, self._line, self._connection = board, line, connection
        self._host, self._port = "", 0  # known once the client named them
        self._buffer = b""
        self._in_tls = self._is_sure = False  # sure: ALPN agreed on HTTP/1.1
        self._timer: asyncio.TimerHandle | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._rival: Line | None = None  # the world's end, opened because the client kept silent
        line.received, line.ended = self._received, self._ended

    # -- what the line says

    def _received(self, data: bytes) -> None:
        self._buffer += data
        if self._in_tls:
            self._board.trusted((self._host, self._port))
        self._sort()

    def _ended(self, error: OSError | None) -> None:
        del error
        self._settle()
        if self._rival is not None:
            self._rival.abort()
        if self._in_tls:
            self._turned_down(said=False)
        self._line.abort()

    def _sort(self) -> None:
        """Decide by the first bytes, as soon as they suffice."""
        data = self._buffer
        if data[0] == TLS_HANDSHAKE and not self._in_tls:
            try:
                hello = read_hello(data)
            except NotTlsError:
                self._not_http()
                return
            if hello is not None:
                self._settle()
                self._begin_tls(hello)
        elif not self._host:
            self._converse()
        elif data.startswith(
            PREFACE
        ):  # also from a client that knows no HTTP/1.1 and does not mind what ALPN agreed on
            self._relay()
        elif self._is_sure:
            if not PREFACE.startswith(data):
                self._converse()
        elif _HTTP_LINE.match(data):
            self._converse()
        elif not PREFACE.startswith(data) and not _MAYBE_HTTP.match(data):
            self._not_http()

    def _settle(self) -> None:
        """The client has spoken: stop waiting for it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._dialing is not None:
            self._dialing.cancel()
            self._dialing = None

    # -- HTTP

    def _converse(self) -> None:
        self._settle()
        if self._rival is not None:
            self._rival.abort()
        target = Target("https" if self._in_tls else "http", self._host, self._port) if self._host else None
        connect = None if self._host else self._connect
        conversation = Conversation(
            self._board,
            self._line,
            self._connection,
            target=target,
            locate=partial(address, self._board),
            on_connect=connect,
        )
        data, self._buffer = self._buffer, b""
        if data:
            conversation.received(data)

    def _relay(self) -> None:
        self._settle()
        if self._rival is not None:
            self._rival.abort()
        target = Target("https" if self._in_tls else "http", self._host, self._port)
        Relay(self._board, self._line, self._connection, target, first=self._buffer)

    # -- CONNECT

    def _connect(self, head: bytes, rest: bytes) -> None:
        board, line = self._board, self._line
        place = split_host_port(head.split(b" ", 2)[1].decode("latin-1"))
        if place is None:
            line.send(b"HTTP/1.1 400 Playhead\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            line.close(drain=True)
            return
        by_hook = header(head.lower(), b"playhead-route") == b"hook"
        self._connection.route = Route.HOOK if by_hook else Route.PROXY
        line.received, line.ended = self._received, self._ended
        line.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        if board.is_self(*place):
            self._buffer = rest
            self._converse()
            return
        self._host, self._port = place
        self._buffer = rest
        reason = board.blind_reason(*place)
        if reason:
            self._tunnel(reason)
            return
        self._await()
        if rest:
            self._sort()

    def _await(self) -> None:
        after_s = OFFLINE_SILENCE_S if self._board.offline else SILENCE_S
        self._timer = self._board.loop.call_later(after_s, self._kept_silent)

    def _kept_silent(self) -> None:
        self._timer = None
        if self._buffer:
            self._not_http()  # the beginning of a request, and no more
        elif self._board.offline:
            # clients open connections ahead of need (undici does): where HTTP is on the tape, an idle one is left be
            if not self._board.expects(self._host, self._port):
                self._tunnel(NOT_HTTP)
        else:
            self._dialing = self._board.spawn(self._invite())

    async def _invite(self) -> None:
        """Open the world's end too: if the server speaks first, this is a tunnel; if the client does, nothing is lost."""
        try:
            rival = await self._reach()
        except (UnreachedError, PlayheadError, OSError, ValueError):
            return  # the client may still speak, and is then told in its own terms
        self._dialing = None
        self._rival = rival

        def spoke(data: bytes) -> None:
            rival.pause()
            rival.put_back(data)
            self._join(rival, NOT_HTTP)

        def ended(_error: OSError | None) -> None:
            rival.abort()
            self._board.report(Uncaptured(self._host, self._port, NOT_HTTP, 0))
            self._line.close()

        rival.received, rival.ended = spoke, ended
        rival.resume()

    # -- TLS

    def _begin_tls(self, hello: ClientHello) -> None:
        board = self._board
        if not self._host:
            self._connection.route = Route.HOOK
            if not hello.server_name:
                board.report(Uncaptured("", 443, NO_NAME, 0))
                self._line.reset()
                return
            self._port = 443
        self._host = hello.server_name or self._host
        reason = board.blind_reason(self._host, self._port)
        if not reason and hello.protocols and not _HTTP_PROTOCOLS.intersection(hello.protocols):
            reason = NOT_HTTP
        if reason:
            self._tunnel(reason)
            return
        try:
            context = board.authority.server_context(self._host)
        except (PlayheadError, OSError, ValueError):
            self._tunnel(NO_CERTIFICATE)
            return
        if self._rival is not None:
            self._rival.abort()
            self._rival = None
        first, self._buffer = self._buffer, b""
        self._line.secure(context, self._secured, server_side=True, first=first)

    def _secured(self, error: Exception | None) -> None:
        if error is not None:
            self._turned_down(said=isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError))
            self._line.abort()
            return
        self._in_tls = self._connection.tls = True
        protocol = self._line.protocol
        if protocol == "h2":
            self._board.trusted((self._host, self._port))
            self._relay()
        elif protocol is not None:
            self._is_sure = True
        else:
            self._await()

    def _turned_down(self, *, said: bool) -> None:
        place = (self._host, self._port)
        if self._board.distrusted(place, said=said):
            self._board.report(Uncaptured(*place, PINNED, 0))
        elif not said and not self._board.is_trusted(place):
            self._board.report(Uncaptured(*place, TLS_LEFT, 0))

    # -- blind

    def _not_http(self) -> None:
        if not self._host:
            self._converse()  # which says what this port is
            return
        self._tunnel(NOT_HTTP)

    def _tunnel(self, reason: str) -> None:
        self._settle()
        board = self._board
        if board.offline and reason != ALLOWED:
            if not board.rules.is_live(self._host, self._port):
                board.report(Uncaptured(self._host, self._port, BLOCKED, 0))
                self._line.reset()
                return
            reason = ALLOWED
        if self._rival is not None:
            self._join(self._rival, reason)
            return
        self._line.pause()
        board.spawn(self._open(reason))

    async def _open(self, reason: str) -> None:
        try:
            world = await self._reach()
        except (UnreachedError, PlayheadError, OSError, ValueError):
            self._board.report(Uncaptured(self._host, self._port, reason, 0))
            self._line.reset()
            return
        self._join(world, reason)

    async def _reach(self) -> Line:
        # Inside TLS that we took off, TLS is put on again; otherwise the bytes carry whatever the client wants.
        target = Target("https", self._host, self._port)
        return await self._board.dialer.reach(target, protocol="" if self._in_tls else None, tunnel=True)

    def _join(self, world: Line, reason: str) -> None:
        self._settle()
        if self._line.is_closed:
            world.abort()
            return
        board, host, port = self._board, self._host, self._port
        if self._in_tls:
            board.found_opaque((host, port))
        board.keep(world)
        first, self._buffer = self._buffer, b""
        Tunnel(self._line, world, lambda count: board.report(Uncaptured(host, port, reason, count)), first=first)
