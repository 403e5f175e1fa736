"""A connection of asyncio whose bytes this process's own wire carries.

In the place of a library's transport stands one that asks the tape. The library's own way to connect, with its names, TLS
and proxies, is gone when the first request is written, so that a connection that fails is a recorded answer to that request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary.stations import inside_context
from playhead.capture.boundary.transports.sockets import failed_dial, system_error
from playhead.capture.boundary.wire import Broken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from playhead.capture.boundary.wire import Pipe

READ_SIZE = 1 << 18


class Transport(asyncio.Transport):
    """One connection, as its protocol sees it. `connect` gets the library's own transport, which hears by the protocol that it
    is given. `failed` is why there is none, or no more."""

    def __init__(self, pipe: Pipe, protocol: Any, connect: Callable[[Ear], Awaitable[Any]], *, is_tls: bool) -> None:
        super().__init__()
        self._pipe = pipe
        self._protocol = protocol
        self._connect = connect
        self._is_tls = is_tls
        self.failed: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._context = inside_context()
        self._real: Any = None
        self._unsent: list[bytes] = []
        self._sender: asyncio.Task[None] | None = None
        self._is_woken = self._is_paused = self._is_closing = self._is_lost = False
        pipe.changed = self._wake

    # -- out

    def write(self, data: bytes | bytearray | memoryview) -> None:
        data = bytes(data)
        if not data or self._is_closing:
            return
        pipe = self._pipe
        try:
            pipe.write(data)
        except Broken:
            self._wake()  # the client hears of it when it reads
            return
        if not pipe.wire.live:
            self._wake()
        elif self._real is not None and self._sender is None and not pipe.wire.waits:
            self._real.write(data)
        else:
            self._unsent.append(data)
            if self._sender is None and (self._real is not None or not pipe.is_mid_request):
                self._sender = asyncio.Task(self._send(), loop=self._loop, context=self._context)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    async def _send(self) -> None:
        try:
            while self._unsent:
                await self._pipe.wire.asettle()
                if self._real is None:
                    await self._dial()
                unsent, self._unsent = self._unsent, []
                self._real.write(b"".join(unsent))
        except Exception as error:  # noqa: BLE001  whatever it is, the client is told
            self._fail(error)
        finally:
            self._sender = None

    async def _dial(self) -> None:
        try:
            self._real = await self._connect(Ear(self, self._pipe, self._protocol))
        except Exception as error:
            self._pipe.unreached(*failed_dial(error))
            raise
        if self._is_closing:
            self._real.abort()
        address = self._real.get_extra_info("peername")
        self._pipe.reached(f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address or ""))

    # -- in

    def _wake(self) -> None:
        """There is something for the client; it gets it from the loop, as it would from a socket."""
        if not self._is_woken and not self._loop.is_closed():
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._pump, context=self._context)

    def _pump(self) -> None:
        self._is_woken = False
        while not self._is_paused and not self._is_closing:
            try:
                data = self._pipe.take(READ_SIZE)
            except Broken as broken:
                self._fail(self._error(broken))
                return
            if data is None:
                return
            if data:
                self._protocol.data_received(data)
            else:
                self._protocol.eof_received()
                self._lose(None)

    def _error(self, broken: Broken) -> Exception:
        """The error that the library would raise."""
        return system_error(broken)

    def _fail(self, error: Exception) -> None:
        """The connection is no more: what was raised in connecting is what its client is to see."""
        self.failed = self.failed or error
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if not self._is_lost:
            self._is_lost = self._is_closing = True
            self._pipe.leave()
            if self._real is not None:
                self._real.close()
            self._protocol.connection_lost(error)

    # -- the rest

    def close(self) -> None:
        self._end(abort=False)

    def abort(self) -> None:
        self._end(abort=True)

    def _end(self, *, abort: bool) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._pipe.leave()
        if self._sender is not None:
            self._sender.cancel()
        if self._real is not None:
            self._real.abort() if abort else self._real.close()
        if not self._loop.is_closed():
            self._loop.call_soon(self._lose, None, context=self._context)

    def is_closing(self) -> bool:
        return self._is_closing or self._pipe.is_stale

    def pause_reading(self) -> None:
        self._is_paused = True
        if self._real is not None:
            self._real.pause_reading()

    def resume_reading(self) -> None:
        self._is_paused = False
        if self._real is not None and not self._real.is_closing():
            self._real.resume_reading()
        self._wake()

    def is_reading(self) -> bool:
        return not self._is_paused

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if self._real is not None:
            return self._real.get_extra_info(name, default)
        return True if name == "sslcontext" and self._is_tls else default

    def get_protocol(self) -> Any:
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._unsent)) + (0 if self._real is None else self._real.get_write_buffer_size())

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return (0, 0) if self._real is None else self._real.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if self._real is not None:
            self._real.set_write_buffer_limits(high, low)

    def can_write_eof(self) -> bool:
        return False


class Ear(asyncio.Protocol):
    """Hears the library's own connection, which it has as `real` once it is made."""

    real: Any = None

    def __init__(self, transport: Transport, pipe: Pipe, client: Any) -> None:
        self._transport, self._pipe, self._client = transport, pipe, client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.real = transport

    def data_received(self, data: bytes) -> None:
        if self._pipe.is_gone:
            self._client.data_received(data)
        else:
            self._pipe.heard(data)

    def eof_received(self) -> bool:
        self._pipe.heard(b"")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if isinstance(error, OSError):
            self._pipe.lost(error)
        else:
            self._pipe.heard(b"")
        if self._pipe.is_gone:
            self._transport.abort()

    def pause_writing(self) -> None:
        self._client.pause_writing()

    def resume_writing(self) -> None:
        self._client.resume_writing()
