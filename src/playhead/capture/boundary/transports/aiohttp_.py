"""aiohttp: heads and what is read of bodies, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active, loops
from playhead.capture.boundary.transports import passed
from playhead.core.boundary import REQUEST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from playhead.capture.boundary.patches import Patches


_LONG = 1e6  # seconds
_ABNORMAL = 1006
"""The code of a close that nobody said (RFC 6455 section 7.4.1)."""


def patch(patches: Patches, module: Any) -> None:
    """Patch `aiohttp.client`, just imported."""
    patches.wrap(module.ClientSession, "_request", _ordered)


def patch_connector(patches: Patches, module: Any) -> None:
    """Patch `aiohttp.connector`, just imported: connections of which this process's own wire carries the bytes."""
    for kind in (module.TCPConnector, module.UnixConnector):
        patches.wrap(kind, "_create_connection", _connecting)


def patch_websockets(patches: Patches, module: Any) -> None:
    """Patch `aiohttp.client_ws`, just imported."""
    response = module.ClientWebSocketResponse
    patches.wrap(response, "receive", _receiving)
    for name in ("send_frame", "send_str", "send_bytes", "close"):
        patches.wrap(response, name, _done)


def patch_kept(patches: Patches, module: Any) -> None:
    """Patch `aiohttp.client_proto`, just imported: no kept connection from before the recording is used again."""
    patches.wrap(module.ResponseHandler, "is_connected", _being_connected)


def _connecting(real: Callable[..., Any]) -> Callable[..., Any]:
    async def _create_connection(self: Any, request: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109
        wire = active.carrying()
        if wire is None:
            return await real(self, request, traces, timeout)
        from playhead.capture.boundary.transports import aiohttp_transport  # here: under an engine nobody needs it

        return aiohttp_transport.connected(self, wire, request, timeout, lambda: real(self, request, traces, timeout))

    return _create_connection


def _being_connected(real: Callable[..., bool]) -> Callable[..., bool]:
    def is_connected(self: Any) -> bool:
        if active.carrying() is None or self.transport is None:
            return real(self)
        from playhead.capture.boundary.transports.asyncio_transport import Transport

        return isinstance(self.transport, Transport) and real(self)

    return is_connected


def _ordered(real: Callable[..., Any]) -> Callable[..., Any]:
    async def request(self: Any, method: str, url: Any, **options: Any) -> Any:
        passed.see_to("aiohttp")
        if active.is_live():
            return await real(self, method, url, **options)
        name = f"{method} {getattr(url, 'host', None) or str(url).partition('://')[2].partition('/')[0]}"
        response = await loops.acall(REQUEST, name, b"", lambda: real(self, method, url, **options), is_passed=True)
        if not passed.is_refused(response.headers):
            response.content = Content(response.content, name)
        return response

    return request


def _name(websocket: Any) -> str:
    return f"websocket {websocket._response.url.host}"  # noqa: SLF001  it has no public place


def _receiving(real: Callable[..., Any]) -> Callable[..., Any]:
    async def receive(self: Any, timeout: float | None = None) -> Any:  # noqa: ASYNC109  as aiohttp has it
        from playhead.capture.boundary.transports import messages  # here: few who use aiohttp have websockets

        def given_up() -> None:
            self._close_code = _ABNORMAL

        # in a replay what was received comes, however long that takes
        wait = timeout if active.is_live() or messages.is_recording() else _LONG
        return await messages.received(self, _name(self), lambda: real(self, wait), given_up)

    return receive


def _done(real: Callable[..., Any]) -> Callable[..., Any]:
    async def do(self: Any, *args: Any, **options: Any) -> Any:
        from playhead.capture.boundary.transports import messages

        return await messages.done(_name(self), lambda: real(self, *args, **options))

    return do


class Content:
    """A `StreamReader` whose reads have an order. A read that gives what is there gives what was there."""

    def __init__(self, real: Any, name: str) -> None:
        self._real, self._name = real, name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._real, attribute)

    async def _exact(self, read: Callable[[], Any]) -> Any:
        """A read whose result does not depend on when bytes came."""
        if active.is_live():
            return await read()
        return await loops.acall(passed.PIECE, self._name, b"", read, is_passed=True)

    async def _some(self, read: Callable[[], Any]) -> bytes:
        """A read that gives what is there: as much as it was when it was recorded."""
        if active.is_live():
            data: bytes = await read()
            return data
        if active.tape is not None and active.tape.live:
            return await passed.noted(loops.acall(passed.PIECE, self._name, b"", read, is_passed=True)) or b""
        wanted = passed.piece_length()

        async def fill() -> bytes:
            while wanted == passed.BROKE:
                await read()
            parts = []
            left = wanted
            while left > 0:
                part = await self._real.read(left)
                if not part:
                    break
                parts.append(part)
                left -= len(part)
            return b"".join(parts) if wanted > 0 else await read()

        return await loops.acall(passed.PIECE, self._name, b"", fill, is_passed=True)  # type: ignore[no-any-return]

    async def read(self, n: int = -1) -> bytes:
        if n < 0:
            return await self._exact(lambda: self._real.read(n))  # type: ignore[no-any-return]
        return await self._some(lambda: self._real.read(n))

    async def readany(self) -> bytes:
        return await self._some(self._real.readany)

    async def readline(self, **options: Any) -> bytes:
        return await self._exact(lambda: self._real.readline(**options))  # type: ignore[no-any-return]

    async def readuntil(self, *args: Any, **options: Any) -> bytes:
        return await self._exact(lambda: self._real.readuntil(*args, **options))  # type: ignore[no-any-return]

    async def readexactly(self, n: int) -> bytes:
        return await self._exact(lambda: self._real.readexactly(n))  # type: ignore[no-any-return]

    async def readchunk(self) -> tuple[bytes, bool]:
        return await self._exact(self._real.readchunk)  # type: ignore[no-any-return]

    async def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        while data := await self.read(n):
            yield data

    async def iter_any(self) -> AsyncIterator[bytes]:
        while data := await self.readany():
            yield data

    async def iter_chunks(self) -> AsyncIterator[tuple[bytes, bool]]:
        while True:
            data, is_end = await self.readchunk()
            if not data and not is_end:
                return
            yield data, is_end

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while line := await self.readline():
            yield line
