"""websockets, its client for threads: messages in their order, on connections of which this process's own wire carries the bytes.

The library reads in a thread of its own, which sleeps on a descriptor. In the place of its socket stands a Line, whose
descriptor is readable when the tape has something; while recording a second thread brings what the world says.
"""

from __future__ import annotations

import _thread
import os
import select
import socket
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active
from playhead.capture.boundary.transports import messages, passed
from playhead.capture.boundary.transports.sockets import failed_dial, system_error
from playhead.capture.boundary.transports.websockets_ import DATA, name_of
from playhead.capture.boundary.wire import LOCK, Broken, Pipe
from playhead.core.tape import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.capture.boundary.patches import Patches
    from playhead.capture.boundary.wire import Wire

READ_SIZE = 65_536
_PAST = "a websocket on a socket of the program's own"

_librarys: ContextVar[bool] = ContextVar("playhead_librarys", default=False)
"""Set in the threads of the library."""


def patch(patches: Patches, module: Any) -> None:
    """Patch `websockets.sync.client`, just imported."""
    if hasattr(module, "reconnect"):
        for name, make in (
            ("connect", _ordered),
            ("open_connection", _own),
            ("open_socket", _opening),
            ("enable_tls", _securing),
        ):
            patches.wrap(module.reconnect, name, make)
    else:  # before 17
        _patch_function(patches, module)
    for name, make in (
        ("handshake", _handshaking),
        ("recv_events", _apart),
        ("keepalive", _apart),
        ("recv", _receiving),
        ("send", _sending),
        ("close", _closing),
    ):
        if hasattr(module.ClientConnection, name):  # before 15 nothing was kept alive
            patches.wrap(module.ClientConnection, name, make)


def _patch_function(patches: Patches, module: Any) -> None:
    """`connect` was a function, which a program has under names of its own where it was imported before a block began."""
    real = module.connect
    patches.wrap(module, "connect", _at_once)
    for other in list(sys.modules.values()):
        for name, value in list(getattr(other, "__dict__", {}).items()):
            if value is real:
                patches.put(other, name, module.connect)


def _ordered(real: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: Any) -> Any:
        passed.see_to("websockets sync")
        return passed.call(f"GET {self.ws_uri.host}", lambda: real(self))

    return connect


def _own(real: Callable[..., Any]) -> Callable[..., Any]:
    """A socket that the program made itself is not carried: said, and in a replay refused."""

    def open_connection(self: Any, deadline: Any) -> Any:
        wire = active.carrying()
        if wire is not None and self.sock is not None:
            _goes_past(wire, self.ws_uri.host)
        return real(self, deadline)

    return open_connection


def _goes_past(wire: Wire, host: str) -> None:
    wire.went_past(host, _PAST)
    if not wire.live:
        raise ConnectionRefusedError(f"Playhead replays no websocket to {host} on such a socket")


def _at_once(real: Callable[..., Any]) -> Callable[..., Any]:
    """All of it was one function before 17. It takes a socket, which is the Line; what makes that secure leaves it as it is; and
    the library's own socket is had by asking it for a connection that is none."""

    def connect(uri: str, **options: Any) -> Any:
        from websockets.uri import parse_uri

        passed.see_to("websockets sync")
        parsed = parse_uri(uri)
        return passed.call(f"GET {parsed.host}", lambda: _connected(real, uri, parsed, options))

    return connect


def _connected(real: Callable[..., Any], uri: str, parsed: Any, options: dict[str, Any]) -> Any:
    wire = active.carrying()
    if wire is not None and options.get("sock") is not None:
        _goes_past(wire, parsed.host)
        wire = None
    if wire is None:
        return real(uri, **options)
    pipe = Pipe(wire, Target("https" if parsed.secure else "http", parsed.host, parsed.port))
    line = Line(pipe, lambda: real(uri, **{**options, "create_connection": _Bare}).socket)
    given = {**options, "sock": line}
    if given.get("unix"):
        given.pop("path", None)
    if parsed.secure:
        given["ssl_context" if "ssl_context" in options else "ssl"] = line
    return real(uri, **given)


class _Bare:
    """In the place of a connection: its socket alone."""

    def __init__(self, sock: Any, _protocol: Any, **_options: Any) -> None:
        self.socket = sock

    def handshake(self, *_arguments: Any) -> None:
        """The one who has the Line does it."""

    def start_keepalive(self) -> None:
        """As above."""


def _opening(real: Callable[..., Any]) -> Callable[..., Any]:
    def open_socket(self: Any, deadline: Any) -> Any:
        wire = active.carrying()
        if wire is None:
            return real(self, deadline)
        uri = self.ws_uri

        def dial() -> Any:
            sock = real(self, deadline)
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)  # as the library does with its own
            return self.enable_tls(sock, deadline) if uri.secure else sock

        return Line(Pipe(wire, Target("https" if uri.secure else "http", uri.host, uri.port)), dial)

    return open_socket


def _securing(real: Callable[..., Any]) -> Callable[..., Any]:
    def enable_tls(self: Any, sock: Any, deadline: Any) -> Any:
        return sock if isinstance(sock, Line) else real(self, sock, deadline)

    return enable_tls


def _handshaking(real: Callable[..., Any]) -> Callable[..., Any]:
    """A connection that could not be had is an error of the system, and none of the handshake that was to follow."""

    def handshake(self: Any, *args: Any, **options: Any) -> None:
        try:
            real(self, *args, **options)
        except Exception:
            failed = getattr(self.socket, "failed", None)
            if failed is None:
                raise
            raise failed from None

    return handshake


def _apart(real: Callable[..., Any]) -> Callable[..., Any]:
    """In a thread of the library, whose work is part of what the agent's calls do."""

    def run(self: Any) -> None:
        inside, librarys = active.inside.set(True), _librarys.set(True)
        try:
            real(self)
        finally:
            _librarys.reset(librarys)
            active.inside.reset(inside)

    return run


def _receiving(real: Callable[..., Any]) -> Callable[..., Any]:
    def recv(self: Any, timeout: float | None = None, *args: Any, **options: Any) -> Any:
        def receive() -> Any:
            # in a replay what was received comes, and nobody waits for what did not
            return real(self, timeout if active.tape is None or active.tape.live else None, *args, **options)

        def receive_late() -> Any:
            raise TimeoutError(f"timed out in {timeout:.1f}s")

        return messages.received_here(name_of(self), receive, receive_late)

    return recv


def _sending(real: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, message: Any, *args: Any, **options: Any) -> None:
        if isinstance(message, DATA):
            messages.done_here(name_of(self), lambda: real(self, message, *args, **options))
        else:  # the agent's own code makes its pieces
            real(self, message, *args, **options)

    return send


def _closing(real: Callable[..., Any]) -> Callable[..., Any]:
    def close(self: Any, *args: Any, **options: Any) -> None:
        messages.done_here(name_of(self), lambda: real(self, *args, **options))

    return close


class Line:
    """The socket of one connection, as far as the library uses its own. `failed` is why there is none."""

    family = None

    def wrap_socket(self, _line: Any, **_options: Any) -> Line:
        """As a context of TLS: what it dials is secure."""
        return self

    def setsockopt(self, *_option: Any) -> None:
        """The socket that is dialled has them."""

    def __init__(self, pipe: Pipe, dial: Callable[[], Any]) -> None:
        self.failed: OSError | None = None
        self._pipe = pipe
        self._dial = dial
        self._real: Any = None
        self._timeout: float | None = None
        self._past: list[bytes] = []  # what came when the recording was over
        self._ready, self._ring = os.pipe()
        self._is_rung = self._is_closed = False
        self._waiting = 0  # threads that wait for `_ready`
        pipe.changed = self._changed

    # -- out

    def sendall(self, data: Any) -> None:
        """The library sends."""
        data = bytes(data)
        pipe = self._pipe
        try:
            pipe.write(data, is_agents=not _librarys.get())
        except Broken as broken:
            self.failed = system_error(broken)
            raise self.failed from None
        if not pipe.wire.live:
            return
        pipe.wire.settle()
        if self._real is None:
            self._connect()
        try:
            self._real.sendall(data)
        except TimeoutError:
            raise
        except OSError as error:
            pipe.lost(error)
            raise

    def _connect(self) -> None:
        try:
            self._real = self._dial()
        except Exception as error:
            self.failed = error if isinstance(error, OSError) else None
            self._pipe.unreached(*failed_dial(error))
            raise
        self._real.settimeout(self._timeout)
        address = self._real.getpeername()
        self._pipe.reached(f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address))
        _thread.start_new_thread(self._listen, ())

    def _listen(self) -> None:
        """Bring what the world says, in a thread of ours."""
        active.inside.set(True)
        while True:
            try:
                data = self._real.recv(READ_SIZE)
            except TimeoutError:  # somebody who sends is in a hurry
                continue
            except OSError as error:
                self._pipe.lost(error)
                break
            if self._pipe.is_gone:
                with LOCK:
                    self._past.append(data)
                    self._changed()
            else:
                self._pipe.heard(data)
            if not data:
                break

    # -- in

    def _changed(self) -> None:
        """There is something to read; the lock is held."""
        if not self._is_rung and not self._is_closed:
            self._is_rung = True
            os.write(self._ring, b"!")

    def recv(self, size: int) -> bytes:
        """What came; the library has seen that there is something."""
        poll = select.poll()
        poll.register(self._ready, select.POLLIN)
        while True:
            with LOCK:
                if self._is_closed:
                    return b""
                data = self._past.pop(0) if self._past else self._taken(size)
                if self._is_rung and not self._past and (data is None or not self._pipe.has_news):
                    os.read(self._ready, 1)
                    self._is_rung = False
                if data is not None:
                    return data
                self._waiting += 1
            try:
                found = poll.poll(None if self._timeout is None else self._timeout * 1000)
            finally:
                with LOCK:
                    self._waiting -= 1
                    self._let_go()
            if not found:
                raise TimeoutError("timed out")

    def _taken(self, size: int) -> bytes | None:
        pipe = self._pipe
        try:
            data = pipe.take(size)
        except Broken as broken:
            raise system_error(broken) from None
        if data == b"" and pipe.is_gone and pipe.wire.live:
            return None  # the recording is over, and not the connection
        return data

    # -- the rest

    def fileno(self) -> int:
        """What can be waited for: readable when there may be something to read."""
        return -1 if self._is_closed else self._ready

    def settimeout(self, value: float | None) -> None:
        self._timeout = value
        if self._real is not None:
            self._real.settimeout(value)

    def getpeername(self) -> Any:
        return self._made().getpeername()

    def getsockname(self) -> Any:
        return self._made().getsockname()

    def _made(self) -> Any:
        if self._real is None:
            raise OSError(107, "no connection is made in a replay")
        return self._real

    def shutdown(self, how: int) -> None:
        if self._real is not None:
            self._real.shutdown(how)

    def close(self) -> None:
        with LOCK:
            if self._is_closed:
                return
            self._changed()  # whoever waits wakes up
            self._is_closed = True
            self._pipe.leave()
            self._let_go()
        if self._real is not None:
            try:
                self._real.shutdown(socket.SHUT_RDWR)  # whoever listens wakes up
            except OSError:
                """The world was faster."""
            self._real.close()

    def _let_go(self) -> None:
        """Close what is waited for, once nobody does: its number may then be that of something else. The lock is held."""
        if self._is_closed and not self._waiting:
            os.close(self._ready)
            os.close(self._ring)
