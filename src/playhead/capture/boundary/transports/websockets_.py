"""websockets, its asyncio client: messages in their order, on connections of which this process's own wire carries the bytes."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active, loops
from playhead.capture.boundary.transports import messages, passed
from playhead.core.boundary import REQUEST

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from playhead.capture.boundary.patches import Patches
    from playhead.capture.boundary.transports.asyncio_transport import Ear
    from playhead.capture.boundary.wire import Wire

_REASON = "a websocket"
DATA = (str, bytes, bytearray, memoryview)


def patch(patches: Patches, module: Any) -> None:
    """Patch `websockets.asyncio.client`, just imported."""
    is_old = not hasattr(module.connect, "open_tcp_connection")  # before 17
    patches.wrap(module.connect, "create_connection" if is_old else "open_tcp_connection", _connecting)
    patches.wrap(module.connect, "__await_impl__" if is_old else "connect", _ordered)
    connection = module.ClientConnection
    patches.wrap(connection, "handshake", _handshaking)
    patches.wrap(connection, "recv", _receiving)
    patches.wrap(connection, "send", _sending)
    patches.wrap(connection, "ping", _pinging)
    patches.wrap(connection, "close", _closing)
    patches.wrap(connection, "wait_closed", _closing)


def patch_legacy(patches: Patches, module: Any) -> None:
    """Patch `websockets.legacy.client`, just imported: that one of its went past is said, and a replay lets none out."""
    patches.wrap(module, "parse_uri", _said)


def _said(real: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse_uri(uri: str) -> Any:
        found = real(uri)
        wire = active.carrying()
        if wire is not None:
            wire.went_past(found.host, _REASON)
            if not wire.live:
                raise ConnectionRefusedError(f"Playhead replays no websocket to {found.host}")
        return found

    return parse_uri


def _ordered(real: Callable[..., Any]) -> Callable[..., Any]:
    async def connect(self: Any) -> Any:
        passed.see_to("websockets")
        return await loops.acall(REQUEST, f"GET {_uri(self).host}", b"", lambda: real(self), is_passed=True)

    return connect


def _uri(connecting: Any) -> Any:
    """Whither, taken apart: before 17 the library did that when it connected."""
    if hasattr(connecting, "ws_uri"):
        return connecting.ws_uri
    from websockets.uri import parse_uri

    return parse_uri(connecting.uri)


def _connecting(real: Callable[..., Any]) -> Callable[..., Any]:
    async def open_tcp_connection(self: Any) -> Any:
        wire = active.carrying()
        return await real(self) if wire is None else _carried(self, wire, real)

    return open_tcp_connection


def _carried(connecting: Any, wire: Wire, real: Callable[..., Any]) -> Any:
    from playhead.capture.boundary.transports.asyncio_transport import Transport
    from playhead.capture.boundary.wire import Pipe
    from playhead.core.tape import Target

    uri = _uri(connecting)
    factory = "factory" if hasattr(connecting, "factory") else "protocol_factory"  # the latter before 17

    async def dial(ear: Ear) -> Any:
        twin = copy(connecting)
        setattr(twin, factory, lambda _uri: ear)
        return (await real(twin)).real

    connection = getattr(connecting, factory)(uri)
    pipe = Pipe(wire, Target("https" if uri.secure else "http", uri.host, uri.port))
    connection.connection_made(Transport(pipe, connection, dial, is_tls=uri.secure))
    return connection


def _handshaking(real: Callable[..., Any]) -> Callable[..., Any]:
    """A connection that could not be had is an error of the system, and none of the handshake that was to follow."""

    async def handshake(self: Any, *args: Any, **options: Any) -> None:
        try:
            await real(self, *args, **options)
        except Exception:
            failed = getattr(self.transport, "failed", None)
            if failed is None:
                raise
            raise failed from None

    return handshake


def name_of(connection: Any) -> str:
    """What calls of that connection are named by."""
    protocol = connection.protocol
    uri = protocol.uri if hasattr(protocol, "uri") else protocol.wsuri  # the latter before 15
    return f"websocket {uri.host}"


def _receiving(real: Callable[..., Any]) -> Callable[..., Any]:
    async def recv(self: Any, *args: Any, **options: Any) -> Any:
        return await messages.received(self, name_of(self), lambda: real(self, *args, **options))

    return recv


def _sending(real: Callable[..., Any]) -> Callable[..., Any]:
    async def send(self: Any, message: Any, *args: Any, **options: Any) -> None:
        if isinstance(message, DATA):
            await messages.done(name_of(self), lambda: real(self, message, *args, **options))
        else:  # the agent's own code makes its pieces
            await real(self, message, *args, **options)

    return send


def _pinging(real: Callable[..., Any]) -> Callable[..., Any]:
    async def ping(self: Any, *args: Any, **options: Any) -> Any:
        waiter = await real(self, *args, **options)
        return waiter if active.is_live() else Pong(waiter, name_of(self))

    return ping


class Pong:
    """The future of a pong: who awaits it goes on in its order, with the latency that was measured."""

    def __init__(self, waiter: Any, name: str) -> None:
        self._waiter, self._name = waiter, name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._waiter, attribute)

    def __await__(self) -> Generator[Any, None, float]:
        return self._wait().__await__()

    async def _wait(self) -> float:
        async def wait() -> float:
            return await self._waiter  # type: ignore[no-any-return]

        latency = await messages.done(self._name, wait)
        return float(active.read(messages.KIND, lambda: latency))


def _closing(real: Callable[..., Any]) -> Callable[..., Any]:
    async def close(self: Any, *args: Any, **options: Any) -> None:
        await messages.done(name_of(self), lambda: real(self, *args, **options))

    return close
