"""Servers that count who comes: the outside that a replay must not touch."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable


def pong(sock: socket.socket) -> None:
    """A cache's protocol in its smallest form: a line asked, a line answered, until the client goes."""
    while line := sock.recv(100):
        sock.sendall(b"-ERR what?\r\n" if not line.startswith(b"PING") else b"+PONG\r\n")


def greet(sock: socket.socket) -> None:
    """A server that speaks first."""
    sock.sendall(b"220 at your service\r\n")
    sock.recv(100)


def web(sock: socket.socket) -> None:
    """One HTTP answer."""
    sock.recv(65536)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


class Listener:
    """Accepts on `host`, counts in `came`, and has `serve(sock)` speak to each; a context manager."""

    def __init__(self, serve: Callable[[socket.socket], None] = web, *, host: str = "127.0.0.1") -> None:
        self.came = 0
        self._serve = serve
        self._sock = socket.create_server((host, 0))
        self.port = int(self._sock.getsockname()[1])
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._sock.close()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            self.came += 1
            threading.Thread(target=self._one, args=(sock,), daemon=True).start()

    def _one(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            self._serve(sock)


class Datagrams:
    """A UDP socket on 127.0.0.1 that somebody may send to; `waiting` reads what has come."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.setblocking(False)
        self.port = int(self._sock.getsockname()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def waiting(self) -> list[bytes]:
        """The datagrams that have arrived since the last call."""
        found = []
        while True:
            try:
                found.append(self._sock.recv(2048))
            except BlockingIOError:
                return found
