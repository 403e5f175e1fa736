"""aiohttp's connections, whose bytes this process's own wire carries: the errors that it would raise of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary.transports.asyncio_transport import Transport
from playhead.capture.boundary.transports.sockets import system_error
from playhead.capture.boundary.wire import UNREACHED, Pipe
from playhead.core.events import Ending
from playhead.core.tape import Target

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from playhead.capture.boundary.transports.asyncio_transport import Ear
    from playhead.capture.boundary.wire import Broken, Wire


def connected(connector: Any, wire: Wire, request: Any, wait: Any, connect: Callable[[], Awaitable[Any]]) -> Any:
    """A `ResponseHandler` on a connection of the wire's, for that request; `wait` is its `ClientTimeout`, `connect` the
    library's own way to get one."""
    if request.proxy:
        connector._update_proxy_auth_header_and_build_proxy_req(request)  # noqa: SLF001  before its head is written
    url = request.url
    protocol = connector._factory()  # noqa: SLF001
    pipe = Pipe(wire, Target("https" if request.is_ssl() else "http", (url.host or "").strip("[]"), url.port))

    async def dial(ear: Ear) -> Any:
        async with asyncio.timeout(wait.connect or None):
            made = await connect()
        transport, made.transport = made.transport, None
        transport.set_protocol(ear)
        return transport

    protocol.connection_made(Connection(pipe, protocol, dial, request))
    return protocol


class Connection(Transport):
    """One connection, with aiohttp's own errors."""

    def __init__(self, pipe: Pipe, protocol: Any, connect: Callable[[Ear], Awaitable[Any]], request: Any) -> None:
        super().__init__(pipe, protocol, connect, is_tls=request.is_ssl())
        self._key, self._url = request.connection_key, request.url

    def _error(self, broken: Broken) -> Exception:
        """The error that aiohttp would raise."""
        from aiohttp import client_exceptions as errors

        if broken.how not in UNREACHED:
            return system_error(broken)
        error = system_error(broken)
        if broken.how is Ending.TIMEOUT:
            return self._late()
        kind = type(error).__name__
        if kind == "gaierror" and hasattr(errors, "ClientConnectorDNSError"):
            return errors.ClientConnectorDNSError(self._key, error)
        if kind == "SSLCertVerificationError":
            return errors.ClientConnectorCertificateError(self._key, error)
        if broken.how is Ending.REJECTED:
            return errors.ClientConnectorSSLError(self._key, error)
        return errors.ClientConnectorError(self._key, error)

    def _late(self) -> Exception:
        from aiohttp import client_exceptions as errors

        kind = getattr(errors, "ConnectionTimeoutError", errors.ServerTimeoutError)
        return kind(f"Connection timeout to host {self._url}")

    def _fail(self, error: Exception) -> None:
        """The connection is no more: what the library raised in connecting is what its client is to see."""
        if self._is_lost:
            return
        if isinstance(error, TimeoutError) and type(error) is TimeoutError:
            error = self._late()
        if type(error).__module__.startswith("aiohttp"):
            self._protocol.set_exception(error)
            self._lose(None)
        else:
            self._lose(error)
