"""An engine in a thread, a tape that passes everything through and remembers it, and raw servers and clients.

Tests drive real sockets with blocking calls; nothing waits by sleeping.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import uvloop

from playhead.capture.wire import certificates
from playhead.capture.wire.authority import Authority
from playhead.capture.wire.engine import Engine, Uncaptured
from playhead.capture.wire.rules import UpstreamRules
from playhead.capture.wire.upstream import Upstream
from playhead.core.events import Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.SelectorEventLoop}
RESET = struct.pack("ii", 1, 0)


@dataclass
class Seen:
    """What a tape saw of one exchange."""

    exchange: object
    head: bytes
    body: bytes = b""
    reads: list[bytes] = field(default_factory=list)
    ending: Ending | None = None
    detail: str = ""
    whole_request: bool = False
    protocol: str = ""
    reused: bool | None = None

    @property
    def answer(self) -> bytes:
        return b"".join(self.reads)


class PassingTape:
    """A tape that asks the world and hands everything on, keeping a note of it."""

    def __init__(self, world) -> None:
        self.world = world
        self.seen: list[Seen] = []
        self.changed = threading.Condition()

    def begin(self, exchange, head, caller):
        seen = Seen(exchange, head)
        self.seen.append(seen)
        return PassingTurn(self, seen, caller)

    def tell(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def wait(self, condition: Callable[[], bool], timeout: float = 60) -> None:
        """Block until a note makes the condition true."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout), "the tape never saw it"


class PassingTurn:
    """One exchange of a PassingTape."""

    def __init__(self, tape, seen, caller) -> None:
        self.tape, self.seen, self.caller = tape, seen, caller
        self.asking = tape.world.ask(seen.exchange, seen.head, Ear(self))

    def feed(self, data):
        self.seen.body += data
        self.asking.feed(data)

    def end(self):
        self.seen.whole_request = True
        self.asking.end()

    def abandon(self):
        self.asking.abort()
        self.seen.ending = Ending.ABANDONED
        self.tape.tell()

    def hold(self, *, holding):
        self.asking.hold(holding=holding)


class Ear:
    """The Answering of a PassingTurn."""

    def __init__(self, turn) -> None:
        self.turn = turn

    def answered(self, data, *, last):
        self.turn.seen.reads.append(data)
        self.turn.caller.deliver(data)
        if last:
            self.ended(Ending.COMPLETE)
        else:
            self.turn.tape.tell()

    def ended(self, how, detail=""):
        self.turn.seen.ending, self.turn.seen.detail = how, detail
        self.turn.caller.finish(how)
        self.turn.tape.tell()

    def reached(self, address, *, reused):
        self.turn.seen.reused = reused

    def upgraded(self, protocol):
        self.turn.seen.protocol = protocol

    def crowded(self, *, crowded):
        self.turn.caller.hold(holding=crowded)


class ScriptedTape:
    """A tape that answers from a function `(exchange, head, caller)`, with no world behind it."""

    def __init__(self, answer) -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.abandoned = threading.Event()

    def begin(self, exchange, head, caller):
        self.heads.append(head)
        self.answer(exchange, head, caller)
        return self

    def feed(self, data): ...
    def end(self): ...
    def hold(self, *, holding): ...

    def abandon(self):
        self.abandoned.set()


class Rig:
    """One engine on a loop of its own thread. `close` ends both."""

    def __init__(self, authority, rules=None, *, tape=None, offline=False, loop="asyncio") -> None:
        self.reports: list[Uncaptured] = []
        self.reported = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self._ready = threading.Event()
        self._stop: Callable[[], object] | None = None
        self._arguments = (authority, rules or UpstreamRules(), tape, offline)
        self._thread = threading.Thread(target=self._run, args=(loop,), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def _run(self, loop) -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        authority, rules, tape, offline = self._arguments
        world = None
        if tape is None:
            world = Upstream(rules)
            tape = PassingTape(world)
        self.tape = tape
        self.loop = asyncio.get_running_loop()
        self.engine = Engine(tape, authority=authority, rules=rules, report=self._report, offline=offline)
        stop = asyncio.Event()
        self._stop = lambda: self.loop.call_soon_threadsafe(stop.set)
        self.engine.listen(self._listener)
        self._ready.set()
        await stop.wait()
        await self.engine.close(grace_s=0.2)
        if world is not None:
            world.close()

    def _report(self, what: Uncaptured) -> None:
        with self.reported:
            self.reports.append(what)
            self.reported.notify_all()

    def wait_report(self, reason: str, timeout: float = 60) -> Uncaptured:
        """The first report with this reason, waited for."""
        with self.reported:
            found = self.reported.wait_for(lambda: [r for r in self.reports if r.reason == reason], timeout)
        assert found, f"no report {reason!r} among {self.reports}"
        return found[0]

    def call(self, function, *args):
        """Run a function on the engine's loop and wait for its result."""

        async def run():
            return function(*args)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    @property
    def seen(self) -> list[Seen]:
        """What the tape saw, once the loop has finished what it was at."""
        if self._thread.is_alive():
            self.call(lambda: None)
        return self.tape.seen

    def close(self) -> None:
        if self._thread.is_alive():
            self._stop()
            self._thread.join(60)
            assert not self._thread.is_alive()
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    # -- clients

    def connect(self) -> socket.socket:
        """A plain connection to the engine."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def tunnel(self, host: str, port: int, *, extra: bytes = b"") -> socket.socket:
        """A connection that has asked for `host:port` by CONNECT."""
        sock = self.connect()
        sock.sendall(b"CONNECT %s:%d HTTP/1.1\r\nHost: x\r\n%s\r\n" % (host.encode(), port, extra))
        assert read_head(sock).startswith(b"HTTP/1.1 200")
        return sock

    def tls(self, host: str, port: int, trust: Path, *, protocols=("http/1.1",), name: str | None = None):
        """A TLS connection to `host` through CONNECT."""
        return client_tls(self.tunnel(host, port), name or host, trust, protocols)


def client_tls(sock, name, trust, protocols=("http/1.1",)):
    """TLS over a connected socket, trusting only the file `trust`."""
    context = ssl.create_default_context(cafile=str(trust))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context.wrap_socket(sock, server_hostname=name)


def read_head(sock) -> bytes:
    """Bytes up to the blank line, read one at a time so that nothing behind it is taken."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        if not piece:
            break
        data += piece
    return data


def read_exactly(sock, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sock.recv(min(65536, count - len(data)))
        if not piece:
            break
        data += piece
    return data


def read_all(sock) -> bytes:
    """Everything until the peer closes."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def read_answer(sock) -> bytes:
    """One answer framed by Content-Length."""
    head = read_head(sock)
    lower = head.lower()
    at = lower.find(b"content-length:")
    length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return head + read_exactly(sock, length)


def read_request(sock) -> bytes:
    """One request framed by Content-Length; empty at the end of the connection."""
    return read_answer(sock)


def is_reset(sock) -> bool:
    """Whether what comes next is a TCP reset; asked below TLS, whose Python module reports it as an end of file."""
    raw = socket.socket(fileno=sock.detach()) if isinstance(sock, ssl.SSLSocket) else sock
    raw.settimeout(60)
    with contextlib.closing(raw):
        try:
            return raw.recv(65536) != b"" and is_reset(raw)
        except ConnectionResetError:
            return True


def reset(sock) -> None:
    """Close with a TCP reset."""
    raw = sock
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    if isinstance(sock, ssl.SSLSocket):
        raw = socket.socket(fileno=sock.detach())
    raw.close()


class Server:
    """A raw server; each connection is given to `serve(sock)` in a thread of its own."""

    def __init__(self, serve, *, context: ssl.SSLContext | None = None) -> None:
        self._serve, self._context = serve, context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.accepted = 0
        self.errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            thread = threading.Thread(target=self._handle, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _handle(self, sock) -> None:
        sock.settimeout(60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            self._open.append(sock)
            with contextlib.closing(sock):
                self._serve(sock)
        except (OSError, ssl.SSLError) as error:
            self.errors.append(error)
            sock.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(60)
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)

    def __enter__(self):
        return self

    def __exit__(self, *exc) -> None:
        self.close()


def answering(*answers: bytes):
    """A serve function: one answer to each request of a connection, in order, the last one for all further."""

    def serve(sock) -> None:
        turn = 0
        while read_request(sock):
            sock.sendall(answers[min(turn, len(answers) - 1)])
            turn += 1

    return serve


class Echo:
    """A serve function that answers a request with its own bytes, and keeps them."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    def __call__(self, sock) -> None:
        while request := read_request(sock):
            self.requests.append(request)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request) + request)


@dataclass
class World:
    """The certificates of a test world: its root, and server contexts for any name."""

    directory: Path
    root: Path
    _authority: tuple[bytes, bytes]
    _key: bytes

    @classmethod
    def make(cls, directory: Path) -> World:
        key = certificates.new_key()
        pem = certificates.sign_authority(key)
        root = directory / "world.pem"
        root.write_bytes(pem)
        return cls(directory, root, (pem, key), certificates.new_key())

    def context(self, host: str = "localhost", *, protocols=("http/1.1",)) -> ssl.SSLContext:
        pem, _ = certificates.sign_leaf(host, authority=self._authority, key=self._key)
        path = self.directory / f"{host}.pem"
        path.write_bytes(self._key + pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


@contextlib.contextmanager
def closing_all(*things) -> Iterator[None]:
    try:
        yield
    finally:
        for thing in things:
            thing.close()


def make_authority(directory: Path) -> Authority:
    return Authority.open(directory)
