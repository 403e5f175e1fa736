"""Which lane of this process sends on which connection, told to the engine out of band: nothing is added to requests.

A file of 65,536 entries, one for each local port: u64 mark of the lane, u32 number of the call in whose course it asks (0
= none), u32 1 where a transport gives the answer its place in the order. The process writes the entry before it sends the bytes, so the engine that reads them finds it there;
only sockets that lead to the engine count.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active
from playhead.core.boundary import lane_mark

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playhead.capture.boundary.patches import Patches
    from playhead.core.boundary import Lane
    from playhead.core.tape import Asker

FILE = "askers"
_ENTRY = struct.Struct("<QII")
_PORTS = 65_536
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def make(folder: Path) -> None:
    """Make the file, empty. Raises OSError."""
    fd = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.ftruncate(fd, _PORTS * _ENTRY.size)
    os.close(fd)


def who_asks(process: str) -> Asker:
    """Who sends now, for one that hears it in this process."""
    from playhead.core.tape import Asker  # here and below: it loads what neither a launcher nor most agents need

    return Asker(lane_mark(process, active.current().path), *_on_whose_behalf())


def _on_whose_behalf() -> tuple[int, bool]:
    """The number of the call in whose course something is sent, 0 outside of any; and whether a transport gives the answer
    its place in the order."""
    within = active.within.get()
    orders = active.orders.get() or (within is not None and within.is_passed)
    return 0 if within is None or orders else within.number, orders  # a passed call is that very request


class Askers:
    """The engine's side."""

    def __init__(self, folder: Path | None) -> None:
        from playhead.core.tape import Asker

        self._asker = Asker
        self._fd = -1
        if folder is not None and (folder / FILE).exists():
            self._fd = os.open(folder / FILE, os.O_RDONLY | os.O_CLOEXEC)

    def of(self, port: int) -> Asker | None:
        """Who sends from that local port; None when no hook said so."""
        if self._fd < 0:
            return None
        mark, within, orders = _ENTRY.unpack(os.pread(self._fd, _ENTRY.size, port * _ENTRY.size))
        return self._asker(mark, within, bool(orders)) if mark else None

    def close(self) -> None:
        """Give the file back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Announcer:
    """The agent's side: patches the ways on which bytes leave a socket. `failed` hears once that an entry could not be
    written, as on a disk that is full; what is sent from there on has the lane of its process."""

    def __init__(
        self, folder: Path | str, process: str, engine_port: int, failed: Callable[[OSError], None] = lambda _: None
    ) -> None:
        self._fd = os.open(f"{folder}{os.sep}{FILE}", os.O_RDWR | os.O_CLOEXEC)
        self._process = process
        self._engine_port = engine_port
        self._failed = failed
        self._marks: dict[str, int] = {}
        self._ours: dict[int, tuple[int, int, int, int]] = {}  # descriptor -> (local port, and the entry last written)

    def of_process(self, process: str) -> None:
        """The process is another one now: it was forked."""
        self._process = process
        self._marks.clear()
        self._ours = {fd: (port, 0, 0, 0) for fd, (port, *_) in self._ours.items()}

    def install(self, patches: Patches, socket: Any) -> None:
        """Patch the module `socket`; `ssl` has its own ways out and is patched by `install_tls` once it is there."""
        for name in ("connect", "connect_ex"):
            patches.wrap(socket.socket, name, self._connecting)
        for name in ("send", "sendall", "sendmsg"):
            patches.wrap(socket.socket, name, self._sending)

    def install_tls(self, patches: Patches, ssl: Any) -> None:
        """Patch `ssl.SSLSocket`, which writes to its descriptor without the methods of its socket. Its `sendall` asks `send`, or
        without TLS that of a socket."""
        for name in ("send", "write"):
            patches.wrap(ssl.SSLSocket, name, self._sending)

    def _connecting(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def connect(sock: Any, address: Any) -> Any:
            if isinstance(address, tuple) and address[1] == self._engine_port and address[0] in _LOOPBACK:
                self._ours[sock.fileno()] = (0, 0, 0, 0)
            else:
                self._ours.pop(sock.fileno(), None)
            return real(sock, address)

        return connect

    def _sending(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def send(sock: Any, *arguments: Any) -> Any:
            tape = active.tape
            if tape is not None and sock.fileno() in self._ours:
                lane = active.current()
                tape.leaving(lane)
                self._announce(sock, lane)
            return real(sock, *arguments)

        return send

    def _announce(self, sock: Any, lane: Lane) -> None:
        mark = self._marks.get(lane.path)
        if mark is None:
            mark = self._marks[lane.path] = lane_mark(self._process, lane.path)
        number, orders = _on_whose_behalf()
        fd = sock.fileno()
        port, *before = self._ours[fd]
        if [mark, number, orders] != before:
            port = port or sock.getsockname()[1]
            try:
                os.pwrite(self._fd, _ENTRY.pack(mark, number, orders), port * _ENTRY.size)
            except OSError as error:  # never the agent's fault
                self._engine_port = -1
                self._ours.clear()
                self._failed(error)
                return
            self._ours[fd] = (port, mark, number, orders)
