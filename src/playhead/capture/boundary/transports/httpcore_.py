"""httpcore and httpcore2, below httpx and httpx2: connections whose bytes this process's own wire carries.

In the place of a connection's stream stands one that asks the tape. The library's own `_connect`, with its retries, TLS and
proxies, runs when the first request is written, so that a connection that fails is a recorded answer to that request.
HTTP/2 is not offered to servers then, as it is not by the engine.
"""

# ruff: noqa: ASYNC109  the shape of a stream of httpcore
from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active
from playhead.capture.boundary.wire import Broken, Pipe
from playhead.core.events import Ending
from playhead.core.tape import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.capture.boundary.patches import Patches

READ_SIZE = 65_536
_SCHEMES = {"ws": "http", "wss": "https"}
_PAST = "HTTP/2 without HTTP/1.1"
_SOCKS = "through a SOCKS proxy"


def patch(patches: Patches, module: Any) -> None:
    """Patch `_sync.connection` or `_async.connection`, just imported."""
    errors = _errors(module)
    if hasattr(module, "AsyncHTTPConnection"):
        patches.wrap(module.AsyncHTTPConnection, "_connect", lambda real: _aconnecting(real, errors))
    else:
        patches.wrap(module.HTTPConnection, "_connect", lambda real: _connecting(real, errors))


def patch_kept(patches: Patches, module: Any) -> None:
    """Patch `http11` or `http2` of either, just imported: no kept connection from before the recording is used again."""
    for name, kind in vars(module).items():
        if name.endswith("Connection") and "has_expired" in vars(kind):
            patches.wrap(kind, "has_expired", _expiring)


def _expiring(real: Callable[..., bool]) -> Callable[..., bool]:
    def has_expired(self: Any) -> bool:
        is_older = active.carrying() is not None and not isinstance(self._network_stream, _Carried) and self.is_idle()
        return is_older or real(self)

    return has_expired


def patch_socks(patches: Patches, module: Any) -> None:
    """Patch `_sync.socks_proxy` or `_async.socks_proxy`, just imported: what goes that way is said, and not recorded."""
    errors = _errors(module)
    if hasattr(module, "AsyncSocks5Connection"):
        patches.wrap(module.AsyncSocks5Connection, "handle_async_request", lambda real: _apast(real, errors))
    else:
        patches.wrap(module.Socks5Connection, "handle_request", lambda real: _past(real, errors))


def _errors(module: Any) -> Any:
    return sys.modules[module.__name__.partition(".")[0] + "._exceptions"]


def _connecting(real: Callable[..., Any], errors: Any) -> Callable[..., Any]:
    def _connect(self: Any, request: Any) -> Any:
        wire = active.carrying()
        if wire is None or (not self._http1 and _goes_past(self._origin, _PAST, errors)):
            return real(self, request)
        self._http2 = False
        return Stream(Pipe(wire, _target(self._origin)), lambda: real(self, request), errors)

    return _connect


def _aconnecting(real: Callable[..., Any], errors: Any) -> Callable[..., Any]:
    async def _connect(self: Any, request: Any) -> Any:
        wire = active.carrying()
        if wire is None or (not self._http1 and _goes_past(self._origin, _PAST, errors)):
            return await real(self, request)
        self._http2 = False
        return AsyncStream(Pipe(wire, _target(self._origin)), lambda: real(self, request), errors)

    return _connect


def _past(real: Callable[..., Any], errors: Any) -> Callable[..., Any]:
    def handle_request(self: Any, request: Any) -> Any:
        if active.carrying() is not None:
            _goes_past(request.url.origin, _SOCKS, errors)
        return real(self, request)

    return handle_request


def _apast(real: Callable[..., Any], errors: Any) -> Callable[..., Any]:
    async def handle_async_request(self: Any, request: Any) -> Any:
        if active.carrying() is not None:
            _goes_past(request.url.origin, _SOCKS, errors)
        return await real(self, request)

    return handle_async_request


def _goes_past(origin: Any, reason: str, errors: Any) -> bool:
    """Say so; true while recording. In a replay nothing goes past: raises the library's ConnectError."""
    wire = active.carrying()
    assert wire is not None  # noqa: S101  its callers have seen to it
    host = origin.host.decode("ascii", "replace")
    wire.went_past(host, reason)
    if not wire.live:
        raise errors.ConnectError(f"Playhead replays no call to {host} {reason}")
    return True


def _target(origin: Any) -> Target:
    scheme = origin.scheme.decode("ascii")
    return Target(_SCHEMES.get(scheme, scheme), origin.host.decode("ascii").strip("[]"), origin.port)


class _Carried:
    """What streams of threads and of tasks share."""

    def __init__(self, pipe: Pipe, dial: Callable[[], Any], errors: Any) -> None:
        self._pipe = pipe
        self._dial = dial
        self._errors = errors
        self._real: Any = None
        self._held = b""  # written before there is a connection

    def _reached(self, stream: Any) -> None:
        self._real = stream
        address = stream.get_extra_info("server_addr")
        self._pipe.reached(f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address or ""))

    def _unreached(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            late = isinstance(error, self._errors.ConnectTimeout)
            self._pipe.unreached(Ending.TIMEOUT if late else Ending.REFUSED, str(error))

    def _broken(self, broken: Broken) -> Exception:
        """The library's own error for it."""
        names = {Ending.RESET: "ReadError", Ending.TIMEOUT: "ConnectTimeout"}
        return getattr(self._errors, names.get(broken.how, "ConnectError"))(str(broken))  # type: ignore[no-any-return]

    def _failed(self, error: Exception) -> None:
        """Reading or writing failed; of one that took too long the client is the judge."""
        if not isinstance(error, (self._errors.ReadTimeout, self._errors.WriteTimeout)):
            self._pipe.lost(OSError(str(error)))

    def _taken(self, max_bytes: int) -> bytes | None:
        """Some of what came; None when the real stream is to be read first. A replay has nothing more to come then: the
        client waited for it in vain, or the recording ends there."""
        try:
            data = self._pipe.take(max_bytes)
        except Broken as broken:
            raise self._broken(broken) from None
        if data is None and self._real is None:
            raise self._errors.ReadTimeout("timed out")
        return data

    def _put(self, buffer: bytes) -> bool:
        """The client writes; whether the real stream is to have it, once it is settled."""
        if not buffer:
            return False
        try:
            self._pipe.write(bytes(buffer))
        except Broken as broken:
            raise self._broken(broken) from None
        return self._pipe.wire.live

    def _keeps(self, data: bytes) -> bool:
        """Whether what is to be sent waits for more of the request, before there is a connection."""
        self._held += data
        return bool(data) and self._pipe.is_mid_request

    def _release(self) -> bytes:
        """What waited for the connection."""
        data, self._held = self._held, b""
        return data

    def _inner(self, server_hostname: str | None) -> Pipe:
        """What goes through a tunnel."""
        host, _, port = self._pipe.tunnel.rpartition(":")
        return Pipe(self._pipe.wire, Target("https", host.strip("[]") or server_hostname or "", int(port or 443)))

    def get_extra_info(self, info: str) -> Any:
        """What the library's own stream would say; of TLS nothing, since that is settled when something is written."""
        if info == "is_readable":
            return self._pipe.has_news or (self._real is not None and self._real.get_extra_info(info))
        return None if self._real is None or info == "ssl_object" else self._real.get_extra_info(info)


class Stream(_Carried):
    """A `NetworkStream` of a thread."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        pipe = self._pipe
        if self._held:
            self._send(b"", timeout)
        while True:
            data = self._taken(max_bytes)
            if data is not None:
                return data
            try:
                data = self._real.read(max_bytes, timeout)
            except Exception as error:
                self._failed(error)
                raise
            if pipe.is_gone:
                return data  # type: ignore[no-any-return]
            pipe.heard(data)
            pipe.wire.settle()

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._put(buffer):
            self._pipe.wire.settle()
            self._send(buffer, timeout)

    def _send(self, data: bytes, timeout: float | None) -> None:
        if self._real is None:
            if self._keeps(data):
                return
            try:
                self._reached(self._dial())
            except BaseException as error:
                self._unreached(error)
                raise
            data = self._release()
        try:
            self._real.write(data, timeout)
        except Exception as error:
            self._failed(error)
            raise

    def close(self) -> None:
        self._pipe.leave()
        if self._real is not None:
            self._real.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Stream:
        ssl_context.set_alpn_protocols(["http/1.1"])
        return Stream(
            self._inner(server_hostname),
            lambda: self._real.start_tls(ssl_context, server_hostname, timeout),
            self._errors,
        )


class AsyncStream(_Carried):
    """An `AsyncNetworkStream`."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        pipe = self._pipe
        if self._held:
            await self._send(b"", timeout)
        while True:
            data = self._taken(max_bytes)
            if data is not None:
                return data
            try:
                data = await self._real.read(max_bytes, timeout)
            except Exception as error:
                self._failed(error)
                raise
            if pipe.is_gone:
                return data  # type: ignore[no-any-return]
            pipe.heard(data)
            await pipe.wire.asettle()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._put(buffer):
            await self._pipe.wire.asettle()
            await self._send(buffer, timeout)

    async def _send(self, data: bytes, timeout: float | None) -> None:
        if self._real is None:
            if self._keeps(data):
                return
            try:
                self._reached(await self._dial())
            except BaseException as error:
                self._unreached(error)
                raise
            data = self._release()
        try:
            await self._real.write(data, timeout)
        except Exception as error:
            self._failed(error)
            raise

    async def aclose(self) -> None:
        self._pipe.leave()
        if self._real is not None:
            await self._real.aclose()

    async def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncStream:
        ssl_context.set_alpn_protocols(["http/1.1"])
        return AsyncStream(
            self._inner(server_hostname),
            lambda: self._real.start_tls(ssl_context, server_hostname, timeout),
            self._errors,
        )
