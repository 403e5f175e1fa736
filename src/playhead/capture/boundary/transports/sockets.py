"""http.client's connections, and those of urllib3, requests and botocore, whose bytes this process's own wire carries.

In the place of a connection's socket stands one that asks the tape. The library's own `connect`, with its TLS and its tunnel
through a proxy, runs when the first request is written, so that a connection that fails is a recorded answer to that
request.
"""

from __future__ import annotations

import errno
import io
import os
import re
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary.wire import Broken, Pipe
from playhead.core.events import Ending
from playhead.core.tape import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.capture.boundary.wire import Wire

_ERRNO = re.compile(r"\[Errno (-?\d+)\] (.*)", re.DOTALL)
_HTTPS = 443
_DIALING = "_playhead_dialing"


def is_dialing(connection: Any) -> bool:
    """Whether the library's own `connect` runs for us."""
    return _DIALING in vars(connection)


def put(connection: Any, wire: Wire, connect: Callable[[Any], None]) -> None:
    """Give a connection a socket of the wire's; `connect` is the library's own way."""
    host = getattr(connection, "_tunnel_host", None) or connection.host
    port = getattr(connection, "_tunnel_port", None) or connection.port
    scheme = "https" if connection.default_port == _HTTPS else "http"
    connection.sock = Socket(Pipe(wire, Target(scheme, host.strip("[]"), port)), connection, connect)
    if hasattr(connection, "is_verified"):
        connection.is_verified = _will_verify(connection)


def _will_verify(connection: Any) -> bool:
    """Whether urllib3 will have verified the server, of which it would warn before the connection is there."""
    wanted = getattr(connection, "cert_reqs", None)
    context = getattr(connection, "ssl_context", None)
    if wanted is None and context is not None:
        return bool(context.verify_mode != ssl.CERT_NONE)
    return wanted not in (ssl.CERT_NONE, "CERT_NONE", "NONE")


def failed_dial(error: BaseException) -> tuple[Ending, str]:
    """How a connection that could not be had is recorded: in the words of the system's error below the library's."""
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    if isinstance(root, TimeoutError):
        return Ending.TIMEOUT, str(root)
    return Ending.REJECTED if isinstance(root, ssl.SSLError) else Ending.REFUSED, str(root)


def system_error(broken: Broken) -> OSError:
    """The system's error that was recorded."""
    text = str(broken)
    if broken.how is Ending.REJECTED:
        kind = ssl.SSLCertVerificationError if "CERTIFICATE_VERIFY_FAILED" in text else ssl.SSLError
        return kind(1, text)
    if broken.how is Ending.RESET:
        return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    found = _ERRNO.fullmatch(text)
    if found is None:
        return TimeoutError(text) if broken.how is Ending.TIMEOUT else ConnectionError(text)
    number = int(found[1])
    return socket.gaierror(number, found[2]) if number < 0 else OSError(number, found[2])


class Socket:
    """The socket of one connection, as far as HTTP clients use theirs."""

    def __init__(self, pipe: Pipe, connection: Any, connect: Callable[[Any], None]) -> None:
        self._pipe = pipe
        self._connection = connection
        self._connect = connect
        self._real: Any = None
        self._timeout = connection.timeout if isinstance(connection.timeout, (int, float)) else None
        self._held = b""  # written before there is a connection
        self._readers = 0
        self._is_closed = False

    @property
    def wire(self) -> Wire:
        """Whose it is."""
        return self._pipe.wire

    # -- out

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ARG002
        data = bytes(data)
        pipe = self._pipe
        try:
            pipe.write(data)
        except Broken as broken:
            raise self._unreached_again(broken) from None
        if pipe.wire.live:
            pipe.wire.settle()
            self._send(data)

    def send(self, data: Any, flags: int = 0) -> int:
        self.sendall(data, flags)
        return len(data)

    def _send(self, data: bytes) -> None:
        if self._real is None:
            self._held += data
            if data and self._pipe.is_mid_request:
                return
            self._dial()
            data, self._held = self._held, b""
        try:
            self._real.sendall(data)
        except TimeoutError:
            raise
        except OSError as error:
            self._pipe.lost(error)
            raise

    def _dial(self) -> None:
        connection = self._connection
        setattr(connection, _DIALING, True)
        connection.sock = None
        try:
            self._connect(connection)
        except BaseException as error:
            if isinstance(error, Exception):
                self._pipe.unreached(*failed_dial(error))
            raise
        finally:
            delattr(connection, _DIALING)
        self._real, connection.sock = connection.sock, self
        self._real.settimeout(self._timeout)
        address = self._real.getpeername()
        self._pipe.reached(f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address))

    def _unreached_again(self, broken: Broken) -> Exception:
        """The error that the library's `connect` would raise."""
        error = system_error(broken)
        errors = sys.modules.get("urllib3.exceptions")
        connection = self._connection
        if errors is None or not hasattr(connection, "is_verified") or isinstance(error, ssl.SSLError):
            return error
        again: Exception
        if isinstance(error, socket.gaierror) and hasattr(errors, "NameResolutionError"):
            again = errors.NameResolutionError(connection.host, connection, error)
        elif isinstance(error, TimeoutError):
            again = errors.ConnectTimeoutError(
                connection, f"Connection to {connection.host} timed out. (connect timeout={connection.timeout})"
            )
        else:
            again = errors.NewConnectionError(connection, f"Failed to establish a new connection: {error}")
        again.__cause__ = error
        return again

    # -- in

    def recv(self, size: int, flags: int = 0) -> bytes:  # noqa: ARG002
        pipe = self._pipe
        if self._held:
            self._send(b"")
        while True:
            try:
                data = pipe.take(size)
            except Broken as broken:
                raise system_error(broken) from None
            if data is not None:
                return data
            if self._real is None:  # the client waited for it in vain, or the recording ends here
                raise TimeoutError("timed out")
            try:
                data = self._real.recv(size)
            except TimeoutError:
                raise
            except OSError as error:
                pipe.lost(error)
                raise
            if pipe.is_gone:
                return data  # type: ignore[no-any-return]
            pipe.heard(data)
            pipe.wire.settle()

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        data = self.recv(size or len(buffer), flags)
        buffer[: len(data)] = data
        return len(data)

    def makefile(self, mode: str = "r", buffering: int | None = None, **_text: Any) -> Any:
        if mode != "rb":
            raise ValueError(f"a carried connection is read as bytes, not {mode!r}")
        self._readers += 1
        raw = _Reader(self)
        if buffering == 0:
            return raw
        return io.BufferedReader(raw, buffering if buffering and buffering > 0 else io.DEFAULT_BUFFER_SIZE)

    # -- the rest

    def settimeout(self, value: float | None) -> None:
        self._timeout = value
        if self._real is not None:
            self._real.settimeout(value)

    def gettimeout(self) -> float | None:
        return self._timeout

    def fileno(self) -> int:
        """What can be waited for: readable when there is something to read."""
        if self._is_closed:
            return -1
        if self._pipe.has_news:
            return _waits().ready
        return _waits().never if self._real is None else int(self._real.fileno())

    def shutdown(self, how: int) -> None:
        self._pipe.leave()
        if self._real is not None:
            self._real.shutdown(how)

    def close(self) -> None:
        self._is_closed = True
        self._end()

    def reader_closed(self) -> None:
        """A file made of it was closed."""
        self._readers -= 1
        self._end()

    def _end(self) -> None:
        """A socket is open until the last file made of it is closed, too."""
        if self._is_closed and self._readers <= 0:
            self._pipe.leave()
            if self._real is not None:
                self._real.close()

    def __getattr__(self, name: str) -> Any:
        """What else there is to ask of a connection, while recording."""
        if name.startswith("__") or not self._pipe.wire.live:
            raise AttributeError(name)
        if self._real is None:
            self._dial()
        return getattr(self._real, name)


class _Reader(io.RawIOBase):
    """What comes, as a file."""

    def __init__(self, sock: Socket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._sock.recv_into(buffer)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._sock.reader_closed()


class _Waits:
    """Two pipes for whoever polls: one that is always readable, one that never is."""

    def __init__(self) -> None:
        self.ready, end = os.pipe()
        os.close(end)
        self.never, self._end = os.pipe()


_made: list[_Waits] = []


def _waits() -> _Waits:
    if not _made:
        _made.append(_Waits())
    return _made[0]
