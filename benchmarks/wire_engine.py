"""What the wire engine alone costs: direct calls and calls through it, interleaved in one run.

    python benchmarks/wire_engine.py [--rounds N] [--calls N] [--loop uvloop|asyncio] [--profile]

Three processes besides this one: a raw TLS upstream, the engine before a tape that writes every read to a file and
then hands it on, and raw clients. POST 2.9 kB -> 1.2 kB JSON over kept-alive TLS. All share the machine's cores, so
read the ratios; absolute rates are floors. Prints one line a figure, beside its target from the design.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

REQUEST_BYTES, ANSWER_BYTES = 2900, 1200
CHUNKS, CHUNK_GAP_S = 100, 0.005
HOST = "localhost"


# -- the upstream: its own process


def upstream(port_file: Path, certificate: Path) -> None:
    """Answers POST at once; GET /stream with CHUNKS chunks, each carrying the time it was sent."""
    import uvloop

    body = json.dumps({"id": "x", "text": "a" * (ANSWER_BYTES - 100)}).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    class Served(asyncio.Protocol):
        def __init__(self) -> None:
            self.data = b""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: asyncio.Transport = transport  # type: ignore[assignment]

        def data_received(self, data: bytes) -> None:
            self.data += data
            while (end := self.data.find(b"\r\n\r\n")) >= 0:
                if self.data.startswith(b"GET"):
                    self.data = self.data[end + 4 :]
                    self.streaming = asyncio.get_running_loop().create_task(self.stream())
                elif len(self.data) >= end + 4 + REQUEST_BYTES:
                    self.data = self.data[end + 4 + REQUEST_BYTES :]
                    self.transport.write(answer)
                else:
                    return

        async def stream(self) -> None:
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for _ in range(CHUNKS):
                await asyncio.sleep(CHUNK_GAP_S)
                event = b"data: %020d %s\n\n" % (time.monotonic_ns(), b"t" * 60)
                self.transport.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.transport.write(b"0\r\n\r\n")

    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.set_alpn_protocols(["http/1.1"])
        server = await asyncio.get_running_loop().create_server(Served, "127.0.0.1", 0, ssl=context, backlog=512)
        _say(port_file, server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    uvloop.run(main())


# -- the engine: its own process


def engine(port_file: Path, directory: Path, root: Path, loop_name: str, profile: str) -> None:
    """The engine before a tape that writes each read before it hands it on. SIGTERM ends it; prints nothing."""
    import signal

    from playhead.capture.wire.authority import Authority
    from playhead.capture.wire.engine import Engine
    from playhead.capture.wire.rules import UpstreamRules
    from playhead.capture.wire.upstream import Upstream
    from playhead.core.events import Ending

    descriptor = os.open(directory / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    class Turn:
        __slots__ = ("asking", "caller", "ear")

        def __init__(self, world, exchange, head, caller) -> None:
            self.caller = caller
            os.writev(descriptor, (b"> %d\n" % exchange.number, head))
            self.asking = world.ask(exchange, head, Ear(self))

        def feed(self, data) -> None:
            os.writev(descriptor, (b"+\n", data))
            self.asking.feed(data)

        def end(self) -> None:
            self.asking.end()

        def abandon(self) -> None:
            self.asking.abort()

        def hold(self, *, holding) -> None:
            self.asking.hold(holding=holding)

    class Ear:
        __slots__ = ("turn",)

        def __init__(self, turn) -> None:
            self.turn = turn

        def answered(self, data, *, last) -> None:
            os.writev(descriptor, (b"< %d\n" % time.monotonic_ns(), data))
            self.turn.caller.deliver(data)
            if last:
                self.turn.caller.finish(Ending.COMPLETE)

        def ended(self, how, detail="") -> None:  # noqa: ARG002 - the port's shape
            self.turn.caller.finish(how)

        def reached(self, address, *, reused) -> None: ...
        def upgraded(self, protocol) -> None: ...

        def crowded(self, *, crowded) -> None:
            self.turn.caller.hold(holding=crowded)

    class Tape:
        def __init__(self, world) -> None:
            self.world = world

        def begin(self, exchange, head, caller):
            return Turn(self.world, exchange, head, caller)

    async def main() -> None:
        rules = UpstreamRules.read({}, upstream_ca=root)
        world = Upstream(rules)
        sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        running = Engine(Tape(world), authority=Authority.open(directory), rules=rules, report=lambda _what: None)
        running.listen(sock)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        _say(port_file, sock.getsockname()[1])
        await stop.wait()
        await running.close(grace_s=0.1)
        world.close()

    if loop_name == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    else:
        factory = asyncio.SelectorEventLoop
    profiler = None
    if profile:
        import cProfile

        profiler = cProfile.Profile()
        profiler.enable()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    if profiler is not None:
        profiler.disable()
        profiler.dump_stats(profile)


# -- the clients: their own process


def request(method: bytes = b"POST") -> bytes:
    """The request as a common client frames it."""
    fields = b"Host: localhost\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
    fields += b"User-Agent: Bench/1.0\r\nAuthorization: Bearer sk-000000000000000000000000\r\nX-Stainless-Lang: x\r\n"
    if method == b"GET":
        return b"GET /stream HTTP/1.1\r\n" + fields + b"\r\n"
    body = b'{"messages":[{"role":"user","content":"%s"}]}' % (b"a" * (REQUEST_BYTES - 46))
    body = body.ljust(REQUEST_BYTES)
    head = b"POST /v1/chat/completions HTTP/1.1\r\n" + fields
    return head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def connect(engine_port: int, port: int, trust: Path) -> ssl.SSLSocket:
    """A TLS connection to the upstream, direct (`engine_port` 0) or through the engine."""
    sock = socket.create_connection(("127.0.0.1", engine_port or port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if engine_port:
        sock.sendall(b"CONNECT %s:%d HTTP/1.1\r\n\r\n" % (HOST.encode(), port))
        while b"\r\n\r\n" not in sock.recv(4096):
            pass
    context = ssl.create_default_context(cafile=str(trust))
    context.set_alpn_protocols(["http/1.1"])
    return context.wrap_socket(sock, server_hostname=HOST)


def call(sock: ssl.SSLSocket, data: bytes) -> None:
    """One request and its whole answer."""
    sock.sendall(data)
    got = sock.recv(65536)
    end = got.find(b"\r\n\r\n") + 4
    at = got.find(b"Content-Length: ") + 16
    need = end + int(got[at : got.find(b"\r", at)]) - len(got)
    while need > 0:
        need -= len(sock.recv(65536))


def sequential(sock: ssl.SSLSocket, count: int) -> list[float]:
    """Seconds of each of `count` calls."""
    data, times = request(), []
    for _ in range(count):
        begin = time.perf_counter()
        call(sock, data)
        times.append(time.perf_counter() - begin)
    return times


def crowd(engine_port: int, port: int, trust: Path, connections: int, seconds: float) -> float:
    """Calls a second over many connections, from an event loop of raw TLS protocols."""
    import uvloop

    data = request()

    async def main() -> float:
        loop = asyncio.get_running_loop()
        context = ssl.create_default_context(cafile=str(trust))
        context.set_alpn_protocols(["http/1.1"])
        counter = [0]

        class Client(asyncio.Protocol):
            need = 0

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport: asyncio.Transport = transport  # type: ignore[assignment]
                self.transport.write(data)

            def data_received(self, got: bytes) -> None:
                if self.need <= 0:
                    end = got.find(b"\r\n\r\n") + 4
                    at = got.find(b"Content-Length: ") + 16
                    self.need = end + int(got[at : got.find(b"\r", at)])
                self.need -= len(got)
                if self.need <= 0:
                    counter[0] += 1
                    self.transport.write(data)

        clients = []
        for _ in range(connections):
            sock = socket.create_connection(("127.0.0.1", engine_port or port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if engine_port:
                sock.sendall(b"CONNECT %s:%d HTTP/1.1\r\n\r\n" % (HOST.encode(), port))
                while b"\r\n\r\n" not in sock.recv(4096):
                    pass
            sock.setblocking(False)
            transport, _ = await loop.create_connection(Client, sock=sock, ssl=context, server_hostname=HOST)
            clients.append(transport)
        await asyncio.sleep(0.3)
        before, begin = counter[0], time.perf_counter()
        await asyncio.sleep(seconds)
        rate = (counter[0] - before) / (time.perf_counter() - begin)
        for transport in clients:
            transport.abort()
        return rate

    return uvloop.run(main())


def stream(sock: ssl.SSLSocket) -> tuple[list[float], int]:
    """Delays of the chunks of one stream in seconds, and how many reads brought them."""
    sock.sendall(request(b"GET"))
    delays, reads, rest = [], 0, b""
    while True:
        data = sock.recv(65536)
        now = time.monotonic_ns()
        reads += 1
        rest += data
        while (at := rest.find(b"data: ")) >= 0 and len(rest) >= at + 26:
            delays.append((now - int(rest[at + 6 : at + 26])) / 1e9)
            rest = rest[at + 26 :]
        if rest.endswith(b"0\r\n\r\n"):
            return delays, reads


def _say(path: Path, port: int) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(str(port))
    temporary.rename(path)


# -- the run


def start(role: str, port_file: Path, *arguments: object) -> tuple[subprocess.Popen[bytes], int, float]:
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, __file__, "--role", role, str(port_file), *map(str, arguments)])
    while not port_file.exists():
        if process.poll() is not None:
            raise SystemExit(f"the {role} process ended")
        time.sleep(0.001)
    return process, int(port_file.read_text()), time.perf_counter() - begin


def cpu_s(pid: int) -> float:
    """Seconds on a processor, all threads, in nanosecond resolution (the first field of schedstat)."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def _rss_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def run(arguments: argparse.Namespace) -> None:
    """One interleaved run; prints the figures."""
    from playhead.capture.wire import certificates
    from playhead.capture.wire.authority import Authority

    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        key = certificates.new_key()
        root_pem, leaf_key = certificates.sign_authority(key), certificates.new_key()
        root, leaf = directory / "root.pem", directory / "leaf.pem"
        root.write_bytes(root_pem)
        leaf.write_bytes(leaf_key + certificates.sign_leaf(HOST, authority=(root_pem, key), key=leaf_key)[0])
        authority = Authority.open(directory / "authority")
        authority.server_context(HOST)
        (directory / "authority" / "journal").touch()

        served, port, _ = start("upstream", directory / "upstream.port", leaf)
        stack.callback(served.wait)
        stack.callback(served.terminate)
        proxy, engine_port, ready_s = start(
            "engine",
            directory / "engine.port",
            directory / "authority",
            root,
            arguments.loop,
            arguments.profile or "-",
        )
        stack.callback(proxy.wait)
        stack.callback(proxy.terminate)
        idle_mb = _rss_mb(proxy.pid)

        direct, through = connect(0, port, root), connect(engine_port, port, authority.certificate_path)
        sequential(direct, 50), sequential(through, 50)
        times: dict[str, list[float]] = {"direct": [], "engine": []}
        used_s = 0.0
        for _ in range(arguments.rounds):
            times["direct"] += sequential(direct, arguments.calls)
            before = cpu_s(proxy.pid)
            times["engine"] += sequential(through, arguments.calls)
            used_s += cpu_s(proxy.pid) - before
        p50 = {name: median(values) * 1000 for name, values in times.items()}
        print(f"direct p50                {p50['direct']:8.3f} ms")
        print(f"engine p50                {p50['engine']:8.3f} ms")
        print(f"added p50                 {p50['engine'] - p50['direct']:8.3f} ms   (target <= 0.25)")
        print(f"ratio                     {p50['engine'] / p50['direct']:8.2f} x    (target <= 4)")
        print(
            f"engine CPU / 1000 calls   {used_s / arguments.rounds / arguments.calls * 1000:8.3f} s    (target <= 0.20 with the recorder's 0.06)"
        )

        reads: dict[str, list[float]] = {}
        for label, sock in (("direct", direct), ("engine", through)):
            delays, count = stream(sock)
            reads[label] = [median(delays) * 1000, count]
        added = reads["engine"][0] - reads["direct"][0]
        print(f"stream chunk direct p50   {reads['direct'][0]:8.3f} ms in {reads['direct'][1]:.0f} reads")
        print(f"stream chunk engine p50   {reads['engine'][0]:8.3f} ms in {reads['engine'][1]:.0f} reads")
        print(f"stream added a chunk      {added:8.3f} ms   (target <= 0.25)")

        rates = {
            "direct": crowd(0, port, root, 50, arguments.seconds),
            "engine": crowd(engine_port, port, authority.certificate_path, 50, arguments.seconds),
        }
        print(f"50 connections, direct    {rates['direct']:8.0f} calls/s")
        print(f"50 connections, engine    {rates['engine']:8.0f} calls/s (target >= 3000)")
        print(f"ready                     {ready_s * 1000:8.0f} ms   (target <= 150)")
        print(f"idle memory               {idle_mb:8.0f} MB   (target <= 30)")
        direct.close()
        through.close()


def main() -> None:
    """Read the command line."""
    if sys.argv[1:2] == ["--role"]:
        role, port_file, *rest = sys.argv[2:]
        threading.current_thread().name = role
        if role == "upstream":
            with contextlib.suppress(KeyboardInterrupt):
                upstream(Path(port_file), Path(rest[0]))
        else:
            engine(Path(port_file), Path(rest[0]), Path(rest[1]), rest[2], "" if rest[3] == "-" else rest[3])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--profile", metavar="FILE", help="write a cProfile of the engine")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
