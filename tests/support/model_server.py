"""A model server for tests: every provider's wire shape on one loopback port, plain and TLS, with faults on demand.

    with ModelServer(tmp_path) as server:
        server.behave("slow prompt", Behaviour(delay=0.2))        # every request whose body contains the words
        server.behave("flaky", Behaviour(status=429, retry_after=0), Behaviour())   # first this, then that for good
        ...
        server.log[0].body                                         # bytes exactly as they came

A request may also carry its behaviour: header `x-model-server: delay=0.1; cut=3`, or `{{delay=0.1 cut=3}}` in its
prompt (for programs that can set nothing but a prompt). Answers are computed from the request, so equal requests get
equal answers, unless the server has a `seed`: then each answer ends in a number drawn in order of arrival.
`python -m tests.support.model_server --directory DIR` runs one as its own process and prints its ports as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import gzip
import hashlib
import json
import random
import re
import socket
import struct
import tempfile
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

from tests.support.authority import TestAuthority
from tests.support.model_answers import DONE, Answer, Reply, answer, prompt_of, tools_of

_DIRECTIVE = re.compile(r"\{\{([^{}]*)\}\}")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one request is answered. Times in seconds; `cut` and `reset` count flushed chunks (of a body that is not a
    stream: halves), 0 = before the head."""

    delay: float = 0.0  # before the first byte
    chunk_delay: float = 0.0  # between chunks
    flowing: int = 1  # so many chunks come without that delay
    hold: int = 0  # wait until so many requests with this number have arrived, then answer them shuffled
    gap: float = 0.0  # between the answers of a hold
    status: int = 200
    retry_after: float | None = None
    cut: int | None = None  # close after so many chunks, the body unfinished
    reset: int | None = None  # TCP reset after so many chunks
    gzip: bool = False
    close: bool = False  # Connection: close, and the body ends with it, without a length or a `[DONE]`
    text: str = ""  # say this instead
    calls: bool = True  # call the offered tools when the last message came from a person


@dataclass(frozen=True, slots=True)
class Received:
    """One request, exactly as it came. `number` counts arrivals from 1, `connection` accepted connections from 1;
    `raw_body` has the framing (chunk sizes) that `body` has not."""

    number: int
    connection: int
    head: bytes
    body: bytes
    raw_body: bytes
    at: float
    tls: bool

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode("latin1")

    @property
    def path(self) -> str:
        return self.head.split(b" ", 2)[1].decode("latin1")

    def header(self, name: str) -> str:
        """The value of the first header called `name`, or empty."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.decode("latin1").lower() == name.lower():
                return value.strip().decode("latin1")
        return ""

    @property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty when it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def prompt(self) -> str:
        return _DIRECTIVE.sub("", prompt_of(self.json)).strip()


class ModelServer:
    """Runs in a thread of its own between `start` and `stop` (or as a context manager)."""

    def __init__(
        self, directory: Path | None = None, *, seed: int | None = None, authority: TestAuthority | None = None
    ) -> None:
        if authority is None and directory is not None:
            authority = TestAuthority(directory)
        self.authority = authority
        self.log: list[Received] = []
        self.port = self.tls_port = 0
        self.open_connections = self.aborted = self.connections = 0
        self._script: list[tuple[str, list[Behaviour]]] = []
        self._dice = random.Random(seed)
        self._seeded = seed is not None
        self._held: dict[int, list[asyncio.Future[float]]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="model-server", daemon=True)
        self._ready = threading.Event()
        self._arrived = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"https://127.0.0.1:{self.tls_port}"

    @property
    def pem(self) -> Path:
        """The CA that vouches for the TLS side."""
        if self.authority is None:
            raise RuntimeError("this model server has no TLS side: give it a directory")
        return self.authority.pem

    @property
    def hits(self) -> int:
        return len(self.log)

    def behave(self, words: str, *behaviours: Behaviour) -> None:
        """Requests whose body contains `words` are answered by `behaviours` in turn, the last one for good."""
        self._script.append((words, list(behaviours)))

    def wait_for(self, count: int, timeout: float = 60.0) -> None:
        """Return when `count` requests have arrived."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.log) >= count, timeout):
                raise TimeoutError(f"{len(self.log)} of {count} requests arrived")

    def start(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # the server's own thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._shut())
            self._loop.close()

    async def _listen(self) -> None:
        plain = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.port = plain.sockets[0].getsockname()[1]
        self._servers = [plain]
        if self.authority is not None:
            context = self.authority.server_context()
            secure = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context, backlog=512)
            self.tls_port = secure.sockets[0].getsockname()[1]
            self._servers.append(secure)

    async def _shut(self) -> None:
        for server in self._servers:
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        connection = self.connections
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while await self._turn(reader, writer, connection):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.aborted += 1
        except asyncio.CancelledError:  # the server stops: what is still open breaks off
            writer.transport.abort()
        finally:
            self.open_connections -= 1
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> bool:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        tls = writer.get_extra_info("ssl_object") is not None
        draft = Received(0, connection, head, b"", b"", time.monotonic(), tls)
        if draft.header("expect").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, raw = await _read_body(reader, draft)
        request = dataclasses.replace(draft, number=len(self.log) + 1, body=body, raw_body=raw, at=time.monotonic())
        with self._arrived:
            self.log.append(request)
            self._arrived.notify_all()
        return await self._answer(request, self._behaviour(request), writer)

    def _behaviour(self, request: Received) -> Behaviour:
        text = request.body.decode("utf-8", "replace")
        for words, behaviours in self._script:
            if words in text:
                return behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
        directive = _DIRECTIVE.search(prompt_of(request.json)) if request.json else None
        return _parse(request.header("x-model-server") or (directive[1] if directive else ""))

    async def _answer(self, request: Received, behaviour: Behaviour, writer: asyncio.StreamWriter) -> bool:
        content = self._content(request, behaviour)
        if behaviour.hold:
            await self._wait_held(behaviour)
        if behaviour.delay:
            await asyncio.sleep(behaviour.delay)
        chunks = content.chunks
        if behaviour.close and chunks[-1] == DONE:
            chunks = chunks[:-1]  # at which a client may leave before the end of file has come
        if behaviour.gzip:
            chunks = [gzip.compress(b"".join(chunks), mtime=0)]
        head = _head(content, behaviour, chunks)
        framed = content.stream and not behaviour.close
        faulty = behaviour.cut if behaviour.reset is None else behaviour.reset
        if faulty is not None and not content.stream:
            whole = b"".join(chunks)
            chunks = [whole[: len(whole) // 2], whole[len(whole) // 2 :]]
        if faulty == 0:
            return _break_off(writer, reset=behaviour.reset is not None)
        writer.write(head)
        for sent, chunk in enumerate(chunks):
            if sent == faulty:
                return _break_off(writer, reset=behaviour.reset is not None)
            if sent >= behaviour.flowing and behaviour.chunk_delay:
                await asyncio.sleep(behaviour.chunk_delay)
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if framed else chunk)
            await writer.drain()
            if content.stream:
                await asyncio.sleep(0)  # one flush a chunk
        if framed:
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        return not behaviour.close and request.header("connection").lower() != "close"

    async def _wait_held(self, behaviour: Behaviour) -> None:
        waiting = self._held.setdefault(behaviour.hold, [])
        future: asyncio.Future[float] = self._loop.create_future()
        waiting.append(future)
        if len(waiting) >= behaviour.hold:
            self._held[behaviour.hold] = []
            order = list(range(len(waiting)))
            self._dice.shuffle(order)
            for rank, held in zip(order, waiting, strict=True):
                held.set_result(rank * behaviour.gap)
        await asyncio.sleep(await future)

    def _content(self, request: Received, behaviour: Behaviour) -> Answer:
        if behaviour.status >= 400:
            error = {
                "type": HTTPStatus(behaviour.status).phrase.lower().replace(" ", "_"),
                "message": "as the test asked",
            }
            return Answer("application/json", [json.dumps({"type": "error", "error": error}).encode()])
        if request.path == "/__log":
            held = {
                "hits": self.hits - 1,
                "prompts": [r.prompt for r in self.log[:-1]],
                "paths": [r.path for r in self.log[:-1]],
            }
            return Answer("application/json", [json.dumps(held).encode()])
        body = request.json
        reply = self._reply(request, behaviour)
        made = answer(request.path, body, reply) if request.method == "POST" else None
        if made is not None:
            return made
        echo = {"method": request.method, "path": request.path, "bytes": len(request.body)}
        echo["sha256"] = hashlib.sha256(request.body).hexdigest()
        return Answer("application/json", [json.dumps(echo).encode()])

    def _reply(self, request: Received, behaviour: Behaviour) -> Reply:
        prompt, offered = request.prompt, tools_of(request.json)
        said_by_tool = re.search(
            rb'"tool_result"|"role": ?"tool"|function_call_output|"toolResult"|functionResponse', request.body
        )
        if offered and behaviour.calls and not said_by_tool:
            return Reply("", tuple((name, {"query": prompt}) for name in offered))
        text = behaviour.text or f"I heard: {prompt} ({hashlib.sha256(prompt.encode()).hexdigest()[:8]})"
        return Reply(f"{text} {self._dice.randrange(10**9)}" if self._seeded else text)


async def _read_body(reader: asyncio.StreamReader, request: Received) -> tuple[bytes, bytes]:
    """The body and its bytes on the wire."""
    if request.header("transfer-encoding").lower() != "chunked":
        body = await reader.readexactly(int(request.header("content-length") or 0))
        return body, body
    body = raw = b""
    while True:
        size_line = await reader.readuntil(b"\r\n")
        size = int(size_line.split(b";")[0], 16)
        chunk = await reader.readexactly(size) if size else b""
        raw += size_line + chunk
        body += chunk
        if size:
            raw += await reader.readexactly(2)
            continue
        while True:
            trailer = await reader.readuntil(b"\r\n")
            raw += trailer
            if trailer == b"\r\n":
                return body, raw


def _head(content: Answer, behaviour: Behaviour, chunks: list[bytes]) -> bytes:
    lines = [
        f"HTTP/1.1 {behaviour.status} {HTTPStatus(behaviour.status).phrase}",
        f"Content-Type: {content.content_type}",
    ]
    if behaviour.gzip:
        lines.append("Content-Encoding: gzip")
    if behaviour.retry_after is not None:
        lines.append(f"Retry-After: {behaviour.retry_after:g}")
    lines += [f"{name}: {value}" for name, value in content.headers.items()]
    if behaviour.close:
        lines.append("Connection: close")
    elif content.stream:
        lines.append("Transfer-Encoding: chunked")
    else:
        lines.append(f"Content-Length: {sum(map(len, chunks))}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _break_off(writer: asyncio.StreamWriter, *, reset: bool) -> bool:
    """End the connection where it stands: close after what was written, or reset."""
    if reset:
        linger = struct.pack("ii", 1, 0)  # close() then sends RST instead of FIN
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
    return False


def _parse(text: str) -> Behaviour:
    """`delay=0.1; cut=3 gzip` as a Behaviour; a bare word means true."""
    kinds = {f.name: type(f.default) for f in dataclasses.fields(Behaviour)} | {
        "cut": int,
        "reset": int,
        "retry_after": float,
    }
    chosen: dict[str, Any] = {}
    for word in re.split(r"[;\s]+", text.strip()):
        name, has_value, value = word.partition("=")
        if name in kinds:
            chosen[name] = (
                kinds[name](value) if has_value and kinds[name] is not bool else value.lower() not in ("0", "false")
            )
    return Behaviour(**chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description="A model server for tests, as a process of its own.")
    parser.add_argument("--directory", type=Path, default=None, help="where the test CA is written")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    directory = options.directory or Path(tempfile.mkdtemp(prefix="model-server-"))
    with ModelServer(directory, seed=options.seed) as server:
        print(json.dumps({"port": server.port, "tls_port": server.tls_port, "pem": str(server.pem)}), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
