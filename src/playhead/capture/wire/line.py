"""A line: one TCP connection, plain or under TLS, driven by the event loop's readiness callbacks.

Owned sockets and a sans-I/O TLS object instead of asyncio transports, because the wire must do what those hide: send
at once, reset a connection through TLS, look at first bytes before deciding what speaks, and see every read alone.
It works the same on uvloop and on the standard selector loop. One event loop, one thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import ssl
import struct
import sys
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

READ_SIZE = 64 * 1024
READS_AT_ONCE = 8  # before other lines get their turn
RECORD_SIZE = 16 * 1024  # the most one TLS record holds
CROWDED = 256 * 1024  # unsent bytes above which the owner is asked to stop
ROOMY = 64 * 1024  # and below which it may go on
LINGER_S = 2.0  # how long a line that has sent everything waits for its peer to end too
STALL_S = 60.0  # how long a closing line waits for a peer that takes nothing of what is still to be sent
_LINGER_NOT = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close() sends RST
_SIOCOUTQNSD = 0x894B  # linux/sockios.h: bytes in the send queue that were not sent yet
_HALF, _CLOSE, _DRAIN, _RESET = "half", "close", "drain", "reset"  # what happens once everything is sent
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


def _nobody_reads(_data: bytes) -> None:
    """What a line does with bytes that nobody waits for."""


def _nobody_hears(_error: OSError | None) -> None:
    """What a line does with an end that nobody waits for."""


def _nobody_cares(_crowded: bool) -> None:  # noqa: FBT001 - the shape of a callback
    """What a line does with back-pressure that nobody feels."""


def tune(sock: socket.socket) -> None:
    """Make a fresh TCP socket fit for relaying: non-blocking, no Nagle, no inheritance."""
    sock.setblocking(False)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Line:
    """One connection. Its owner sets the callbacks and may swap them at any time:

    `received(data)`   bytes as one read brought them (one TLS record at most, under TLS)
    `ended(error)`     the peer closed (None) or the connection failed; the owner then calls `close` or `abort`
    `crowded(flag)`    True: more than CROWDED bytes wait to be sent; False: they are sent
    `gone()`           the socket is closed; called once
    """

    __slots__ = (
        "_acks",
        "_closing",
        "_done",
        "_early",
        "_failure",
        "_fd",
        "_incoming",
        "_is_crowded",
        "_loop",
        "_news",
        "_outgoing",
        "_over",
        "_paused",
        "_reads_on",
        "_recv",
        "_secured",
        "_send",
        "_size",
        "_sock",
        "_timer",
        "_tls",
        "_unsent",
        "_watching",
        "crowded",
        "ended",
        "gone",
        "is_closed",
        "received",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, *, quick_ack: bool = False) -> None:
        """Take over `sock` (connected, tuned). Nothing is read before `resume`."""
        self._loop, self._sock, self._fd = loop, sock, sock.fileno()
        self._recv, self._send = sock.recv, sock.send
        self._tls: ssl.SSLObject | None = None
        self._incoming = self._outgoing = None  # type: ssl.MemoryBIO | None
        self._secured = False
        self._done: Callable[[Exception | None], None] | None = None
        self._unsent: deque[bytes | memoryview] = deque()
        self._size = 0
        self._watching = self._is_crowded = self._over = self.is_closed = False
        self._paused = True
        self._closing = ""
        self._timer: asyncio.TimerHandle | None = None
        self._acks = quick_ack and _QUICKACK is not None
        self._early = b""
        self._failure: OSError | None = None
        self._news: select.poll | None = None
        self._reads_on = not isinstance(loop, asyncio.BaseEventLoop)
        self.received: Callable[[bytes], None] = _nobody_reads
        self.ended: Callable[[OSError | None], None] = _nobody_hears
        self.crowded: Callable[[bool], None] = _nobody_cares
        self.gone: Callable[[], None] | None = None
        if self._acks:
            self.acknowledge()

    @property
    def peer(self) -> str:
        """`address:port` of the other end; empty once it is gone."""
        try:
            address = self._sock.getpeername()
        except OSError:
            return ""
        return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"

    # -- reading

    def resume(self) -> None:
        """Read, or read on; what was held back is handed over before this returns."""
        if not self._paused or self.is_closed:
            return
        self._paused = False
        if not self._over:
            self._loop.add_reader(self._fd, self._readable)
        if self._early:
            data, self._early = self._early, b""
            self.received(data)
        elif self._secured and self._incoming.pending:  # type: ignore[union-attr]
            self._decrypt()

    def put_back(self, data: bytes) -> None:
        """Hold bytes that were read too far, for whoever resumes the (paused, plain) line."""
        self._early = data

    def pause(self) -> None:
        """Stop reading. Of a plain line nothing is held back, of a TLS line whole records may be."""
        if not self._paused:
            self._paused = True
            if not self._over:
                self._loop.remove_reader(self._fd)

    def acknowledge(self) -> None:
        """Have the kernel acknowledge at once what came. The flag is not sticky (Linux); elsewhere a no-op."""
        if self._acks:
            try:  # noqa: SIM105 - on every read
                self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)  # type: ignore[arg-type]
            except OSError:
                pass

    def has_news(self) -> bool:
        """Whether bytes, an end or an error wait unread: an idle keep-alive line with news must not be used."""
        news = self._news
        if news is None:  # kept, and no `recv` that looks: it would raise for every line that is fit for use
            news = self._news = select.poll()
            news.register(self._fd, select.POLLIN)
        return bool(news.poll(0))

    def _readable(self) -> None:
        if not self._reads_on:
            self._read()
            return
        # uvloop calls back once for a socket in error and then forgets it: whatever waits behind the first read, and
        # the error itself, must be fetched now. Of all else it tells again.
        for _ in range(READS_AT_ONCE):
            size = self._read()
            if not size or self._paused or (size < READ_SIZE and not self._is_in_error()):
                return
        self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self._paused:
            self._readable()

    def _read(self) -> int:
        """One read and what follows from it; how many bytes it brought."""
        try:
            data = self._recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._end(error)
            return 0
        if self._acks:
            self.acknowledge()
        if not data:
            self._end(None)
            return 0
        if self._tls is None:
            self.received(data)
        else:
            self._incoming.write(data)  # type: ignore[union-attr]
            if self._secured or self._shake():
                self._decrypt()
        return len(data)

    def _is_in_error(self) -> bool:
        """Whether the socket is in error, which the kernel tells once; what came before it can still be read. To ask costs a
        third of a read that finds nothing."""
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._failure = OSError(code, os.strerror(code))
        return code != 0

    def _end(self, error: OSError | None) -> None:
        self.pause()
        self._over = True
        error = error or self._failure
        if self._closing not in {"", _HALF}:
            if error is not None or not self._unsent:
                self.abort()
        elif self._done is not None:
            self._shaken(error or ConnectionAbortedError("closed during the TLS handshake"))
        else:
            self.ended(error)

    # -- TLS

    def secure(
        self,
        context: ssl.SSLContext,
        done: Callable[[Exception | None], None],
        *,
        server_side: bool,
        name: str | None = None,
        first: bytes = b"",
    ) -> None:
        """Put TLS on the line. `first` are bytes already read from it. `done(None)` or `done(error)` is called once,
        and before any decrypted byte is handed to `received`."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(incoming, outgoing, server_side=server_side, server_hostname=name)
        self._incoming, self._outgoing, self._done = incoming, outgoing, done
        if first or self._early:
            incoming.write(self._early + first)
            self._early = b""
        self.resume()
        if self._shake():
            self._decrypt()

    @property
    def protocol(self) -> str | None:
        """The protocol agreed on by ALPN; None without."""
        return None if self._tls is None else self._tls.selected_alpn_protocol()

    @property
    def certificate(self) -> dict[str, object]:
        """The peer's verified certificate as `ssl.SSLObject.getpeercert` gives it."""
        return dict(self._tls.getpeercert() or {}) if self._tls is not None else {}

    def _shake(self) -> bool:
        try:
            self._tls.do_handshake()  # type: ignore[union-attr]
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except (ssl.SSLError, ValueError) as error:
            self._flush()  # the alert
            self._shaken(error)
            return False
        self._secured = True
        self._flush()
        self._shaken(None)
        return not self._paused

    def _shaken(self, error: Exception | None) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(error)

    def _decrypt(self) -> None:
        incoming, read = self._incoming, self._tls.read  # type: ignore[union-attr]
        while not self._paused:
            try:
                data = read(RECORD_SIZE)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._flush()
                self._end(ConnectionAbortedError(f"TLS: {error.reason or error}"))
                return
            if not data:
                self._end(None)
                return
            self.received(data)
            if not incoming.pending:  # type: ignore[union-attr]
                break
        if not self.is_closed and self._outgoing.pending:  # type: ignore[union-attr]
            self._flush()  # a key update or a late alert

    def _flush(self) -> None:
        data = self._outgoing.read()  # type: ignore[union-attr]
        if data:
            self._transmit(data)

    # -- writing

    def send(self, data: bytes) -> None:
        """Send now what the kernel takes, the rest when it can. Never blocks; after a failure, does nothing."""
        if self.is_closed or self._closing:
            return
        tls = self._tls
        if tls is None:
            self._transmit(data)
            return
        try:
            sent = tls.write(data)
            while sent < len(data):
                sent += tls.write(memoryview(data)[sent:])
        except ssl.SSLError:
            return  # the read side hears of it
        self._transmit(self._outgoing.read())  # type: ignore[union-attr]

    def _transmit(self, data: bytes) -> None:
        size = len(data)
        if not self._unsent:
            try:
                count = self._send(data)
            except (BlockingIOError, InterruptedError):
                count = 0
            except OSError as error:
                self._failed(error)
                return
            if count == size:
                return
            self._unsent.append(memoryview(data)[count:])
            self._size = size - count
            self._watching = True
            self._loop.add_writer(self._fd, self._writable)
        else:
            self._unsent.append(data)
            self._size += size
        if self._size > CROWDED and not self._is_crowded:
            self._is_crowded = True
            self.crowded(True)

    def _writable(self) -> None:
        unsent = self._unsent
        try:
            while unsent:
                piece = unsent[0]
                count = self._send(piece)
                self._size -= count
                if count == len(piece):
                    unsent.popleft()
                else:
                    unsent[0] = memoryview(piece)[count:]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._failed(error)
            unsent.clear()
            self._size = 0
        if not unsent:
            self._unwatch()
        if self._is_crowded and self._size < ROOMY:
            self._is_crowded = False
            self.crowded(False)
        if not unsent and self._closing:
            self._all_sent()

    def _failed(self, error: OSError) -> None:
        # What the peer sent before it went is still to be read, and the read side hears of the end; but a reset is
        # told only once, and this was it.
        if error.errno == errno.ECONNRESET:
            self._failure = error

    def _unwatch(self) -> None:
        if self._watching:
            self._watching = False
            self._loop.remove_writer(self._fd)

    # -- ending

    def finish_writing(self) -> None:
        """Close our direction after what was sent, and go on reading (a half-close)."""
        self._leave(_HALF)

    def close(self, *, drain: bool = False) -> None:
        """Close in order once everything is sent. `drain`: then read off what the peer is still sending, for at most
        LINGER_S, because closing over unread bytes would reset the connection and lose the answer."""
        self._leave(_DRAIN if drain else _CLOSE)

    def reset(self) -> None:
        """Abort with a TCP reset once the peer has been sent everything."""
        self._leave(_RESET)

    def abort(self) -> None:
        """Close at once; unsent bytes are dropped."""
        if self.is_closed:
            return
        self.is_closed = True
        self.pause()
        self._unwatch()
        if self._timer is not None:
            self._timer.cancel()
        self._sock.close()
        self._unsent.clear()
        self.received, self.ended, self.crowded, self._done = _nobody_reads, _nobody_hears, _nobody_cares, None
        if self.gone is not None:
            gone, self.gone = self.gone, None
            gone()

    def _leave(self, how: str) -> None:
        if self.is_closed or self._closing not in {"", _HALF}:
            return
        if how != _RESET and self._secured and self._closing != _HALF:
            self._say_goodbye()
        self._closing = how
        if how != _HALF:
            self.received = _nobody_reads
            self._timer = self._loop.call_later(STALL_S, self._stalled, self._size)
        if not self._unsent:
            self._all_sent()

    def _say_goodbye(self) -> None:
        # Only to have the close_notify written; the peer's own need not come.
        with contextlib.suppress(ssl.SSLError, OSError, ValueError):
            self._tls.unwrap()  # type: ignore[union-attr]
        self._flush()

    def _all_sent(self) -> None:
        if self.is_closed:
            return
        if self._closing == _RESET:
            # A reset overtakes what the kernel has not sent yet (the peer's window is full): the peer would see less
            # than was delivered. `_timer` bounds the wait.
            if self._unsent_by_kernel():
                self._loop.call_later(0.001, self._all_sent)
            else:
                self._give_up()
        elif self._closing == _CLOSE or self._over:
            self.abort()
        else:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)
            if self._closing == _DRAIN:
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = self._loop.call_later(LINGER_S, self._give_up)
                self._tls, self._secured = None, False  # what still comes is thrown away undecrypted
                self.resume()

    def _stalled(self, unsent: int) -> None:
        if self._size in {0, unsent}:
            self._give_up()
        else:
            self._timer = self._loop.call_later(STALL_S, self._stalled, self._size)

    def _give_up(self) -> None:
        if self._closing == _RESET:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.abort()

    def _unsent_by_kernel(self) -> int:
        if sys.platform != "linux":
            return 0
        import fcntl

        try:
            return int.from_bytes(fcntl.ioctl(self._fd, _SIOCOUTQNSD, bytes(4)), sys.byteorder)
        except OSError:
            return 0
