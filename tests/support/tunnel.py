"""The least that clients' hooks need of an engine: CONNECT, SNI and absolute-form, tunnelled blind to a model server.

For testing the environment and the hooks alone. Nothing is intercepted, so TLS clients trust the model server's CA."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from tests.support.model_server import ModelServer


@dataclass(frozen=True, slots=True)
class Asked:
    """One connection: `way` is connect, sni, absolute or origin; `authority` is `host:port` as the client gave it."""

    way: str
    authority: str
    head: bytes = b""


class Tunnel:
    """Runs in a thread between `start` and `stop`. Every target is the model server, its TLS side for TLS bytes."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self.asked: list[Asked] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tunnel", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def ways(self) -> set[str]:
        return {asked.way for asked in self.asked}

    def _run(self) -> None:
        listening = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = listening.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._shut(listening))
            self._loop.close()

    async def _shut(self, listening: asyncio.Server) -> None:
        listening.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._enter(reader, writer)
        writer.close()

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(65536)
        if first[:1] == b"\x16":
            self.asked.append(Asked("sni", f"{server_name(first)}:443"))
        elif first.startswith(b"CONNECT "):
            while b"\r\n\r\n" not in first:
                first += await reader.read(65536)
            head, _, first = first.partition(b"\r\n\r\n")
            self.asked.append(Asked("connect", head.split(b" ")[1].decode(), head))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            first = first or await reader.read(65536)
        else:
            target = first.split(b" ", 2)[1].decode()
            self.asked.append(Asked("absolute" if "://" in target else "origin", target, first))
        if not first:
            return
        port = self._server.tls_port if first[:1] == b"\x16" else self._server.port
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
        upstream_writer.write(first)
        try:
            await asyncio.gather(_pump(reader, upstream_writer), _pump(upstream_reader, writer))
        finally:
            upstream_writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


def server_name(hello: bytes) -> str:
    """The SNI of a ClientHello record (RFC 8446 section 4.1.2, RFC 6066 section 3); empty when there is none."""
    at = 9 + 34  # record and handshake headers; version and random
    at += 1 + hello[at]  # session id
    at += 2 + int.from_bytes(hello[at : at + 2])  # cipher suites
    at += 1 + hello[at]  # compression methods
    end = at + 2 + int.from_bytes(hello[at : at + 2])
    at += 2
    while at + 4 <= end:
        kind, length = int.from_bytes(hello[at : at + 2]), int.from_bytes(hello[at + 2 : at + 4])
        if kind == 0:
            size = int.from_bytes(hello[at + 7 : at + 9])
            return hello[at + 9 : at + 9 + size].decode()
        at += 4 + length
    return ""
