"""Bytes on their way between the child's standard streams and ours: unchanged, unbuffered, never blocking.

A pump holds one piece at most and reads the next only when that one has gone, so a slow reader slows the writer, as
it would without us.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import sys
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from playhead.core.clock import monotonic_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_READ_SIZE = 65536
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR

# When the command has ended, everything it wrote is in the pipes already. A process it left behind may hold them open
# for ever, so what is there is drained and then reading stops: after this long without a byte, this long spent waiting,
# or this much read. Such a process meets a broken pipe from then on.
_QUIET_NS = 100_000_000
_WAITED_NS = 2_000_000_000
_READ_AFTER_END = 1 << 20


class Input(NamedTuple):
    """A piece of recorded standard input, b"" at its end, and how many bytes of output had come `after` which it was
    read (0: give it at once)."""

    data: bytes
    after: int = 0


class Wish(NamedTuple):
    """A descriptor and the poll events somebody waits for."""

    fd: int
    events: int


class Flow(Protocol):
    """What the launcher turns in its loop."""

    is_output: bool

    def wishes(self) -> list[Wish]:
        """What to poll for."""

    def turn(self, ready: dict[int, int]) -> None:
        """Move what can move; `ready` maps descriptors to poll's answer."""

    def close(self) -> None:
        """Stop for good."""


class Sink:
    """Where bytes go: `fd`, or nowhere (None). Writes what fits now and never blocks, though `fd` may be shared with
    other processes, whose view of it must not change (so O_NONBLOCK is not set on it). Once a write has failed the
    sink is broken, `error` says why, and everything more is dropped."""

    def __init__(self, fd: int | None, *, at_end: Callable[[], object] | None = None) -> None:
        self.is_broken = False
        self.error: OSError | None = None
        self._at_end = at_end
        self._own: int | None = None
        self._socket: socket.socket | None = None
        self._limit = _READ_SIZE
        self._must_ask = False
        self.fd = fd
        if fd is None or not os.get_blocking(fd):
            return
        mode = os.fstat(fd).st_mode
        if stat.S_ISSOCK(mode):
            self._socket = socket.socket(fileno=os.dup(fd))
        elif not stat.S_ISREG(mode):
            self._open_again(fd)

    def _open_again(self, fd: int) -> None:
        """A description of our own of the same pipe or terminal, which may be non-blocking; else small careful writes."""
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
                self.fd = self._own
                return
        self._limit = select.PIPE_BUF  # poll promises room for so much
        self._must_ask = True

    def write(self, data: bytes) -> int:
        """Write as much as fits. Returns how many bytes are dealt with: all of them when the reader has gone."""
        if self.fd is None or self.is_broken:
            return len(data)
        try:
            if self._socket is not None:
                return self._socket.send(data, socket.MSG_DONTWAIT)
            if self._must_ask and not _has_room(self.fd):
                return 0
            return os.write(self.fd, data[: self._limit])
        except BlockingIOError:
            return 0
        except OSError as error:  # a closed pipe, a terminal that hung up, a full disk
            self.is_broken, self.error = True, error
            return len(data)

    def end(self) -> None:
        """Say that nothing follows."""
        if self._at_end is not None:
            self._at_end()
            self._at_end = None
            self.is_broken = True

    def close(self) -> None:
        """Close what was opened here; `fd` itself is the caller's."""
        if self._own is not None:
            os.close(self._own)
            self._own, self.fd = None, None
        if self._socket is not None:
            self._socket.close()
            self._socket, self.fd = None, None


class Pump:
    """One direction of one stream: what `source` gives is reported, then written to `sink`.

    `close_source` is called when the sink's reader has gone (so that the child meets a broken pipe, as it would have
    without us) and by `close`; `may_read` is asked before each wait.
    """

    def __init__(
        self,
        source: int,
        sink: Sink,
        report: Callable[[bytes], None],
        *,
        is_output: bool,
        close_source: Callable[[], object] | None = None,
        may_read: Callable[[], bool] | None = None,
    ) -> None:
        self.is_output = is_output
        self._source, self._sink, self._report = source, sink, report
        self._close_source, self._may_read = close_source, may_read
        self._pending = b""
        self._is_reading = True
        self._moved_ns = monotonic_ns()
        self._after_end: _AfterEnd | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing will be read any more and nothing is left to write."""
        return not self._is_reading and not self._pending

    def wishes(self) -> list[Wish]:
        """Room in the sink while a piece is held, else data in the source."""
        if self._pending and self._sink.fd is not None:
            return [Wish(self._sink.fd, select.POLLOUT)]
        if self._is_reading and (self._may_read is None or self._may_read()):
            return [Wish(self._source, select.POLLIN)]
        return []

    def turn(self, ready: dict[int, int]) -> None:
        """Write what is held; read a piece if there is one."""
        if self._pending:
            self._flush()
        elif self._is_reading and ready.get(self._source, 0) & _READABLE:
            self._read()
        if self._after_end is not None and not self._pending and self._after_end.is_over(self._moved_ns):
            self._is_reading = False

    def command_ended(self) -> None:
        """From now on reading stops when the source stays silent; see _QUIET_NS."""
        self._after_end = self._after_end or _AfterEnd()

    def close(self) -> None:
        """Stop reading, drop what is held."""
        self._is_reading = False
        self._pending = b""
        self._sink.close()
        if self._close_source is not None:
            self._close_source()
            self._close_source = None

    def _read(self) -> None:
        try:
            data = os.read(self._source, _READ_SIZE)
        except BlockingIOError:
            return
        except OSError:  # the last process of the pty has gone, our terminal hung up, our input is a directory
            data = b""
        self._report(data)
        if not data:
            self._is_reading = False
            self._sink.end()
            return
        if self._after_end is not None:
            self._after_end.read += len(data)
        self._pending = data
        self._flush()

    def _flush(self) -> None:
        self._pending = self._pending[self._sink.write(self._pending) :]
        self._moved_ns = monotonic_ns()
        if self._sink.is_broken and self._close_source is not None:
            self.close()
        elif self._sink.is_broken and not self.is_output:
            self._is_reading = False


class _AfterEnd:
    """The patience left for a source whose command has ended. Time spent waiting for the sink does not count."""

    def __init__(self) -> None:
        self.read = 0
        self._waited_ns = 0
        self._last_ns = self._began_ns = monotonic_ns()

    def is_over(self, moved_ns: int) -> bool:
        now = monotonic_ns()
        since = max(self._last_ns, moved_ns)
        self._waited_ns += max(0, now - since)
        self._last_ns = now
        silent_ns = now - max(self._began_ns, moved_ns)
        return silent_ns > _QUIET_NS or self._waited_ns > _WAITED_NS or self.read > _READ_AFTER_END


# Recorded input waits for the output it followed: a prompt that flushes typed-ahead keys would lose it, and a server
# that stops at the end of its input would stop early. Output may differ in length within masks, so nearly enough will
# do once the child rests; and what never comes must not hang the run.
_NEARLY = 0.9
_NEARLY_SLACK = 64
_REST_NS = 100_000_000
_LONGEST_REST_NS = 10_000_000_000


class Feed:
    """Recorded standard input for the child, each piece when its time has come. `rests` tells whether the child does."""

    is_output = False

    def __init__(
        self, inputs: Iterable[Input], sink: Sink, report: Callable[[bytes], None], rests: Callable[[], bool]
    ) -> None:
        self._inputs = deque(inputs)
        self._sink, self._report, self._rests = sink, report, rests
        self._pending = b""
        self._seen = 0
        self._resting_since_ns: int | None = None

    def saw_output(self, count: int) -> None:
        """The child wrote `count` bytes."""
        self._seen += count
        self._resting_since_ns = None

    @property
    def is_waiting(self) -> bool:
        """Whether a piece is held back, so that `turn` must be called now and then."""
        return bool(self._inputs) and not self._pending and not self._sink.is_broken

    def wishes(self) -> list[Wish]:
        """Room in the sink while a piece is on its way."""
        return [Wish(self._sink.fd, select.POLLOUT)] if self._pending and self._sink.fd is not None else []

    def turn(self, ready: dict[int, int]) -> None:  # noqa: ARG002 - the sink is asked, not the poll
        """Write what is held; begin the next pieces that are due."""
        while not self._sink.is_broken:
            if self._pending:
                self._pending = self._pending[self._sink.write(self._pending) :]
                if self._pending:
                    return
            if not self._inputs or not self._is_due(self._inputs[0].after):
                return
            data = self._inputs.popleft().data
            self._report(data)
            if not data:
                self._sink.end()
                return
            self._pending = data

    def close(self) -> None:
        """Give nothing more."""
        self._inputs.clear()
        self._pending = b""

    def _is_due(self, after: int) -> bool:
        if self._seen >= after:
            return True
        now = monotonic_ns()
        if not self._rests():
            self._resting_since_ns = None
            return False
        self._resting_since_ns = self._resting_since_ns or now
        rested_ns = now - self._resting_since_ns
        is_nearly = self._seen >= after * _NEARLY - _NEARLY_SLACK
        return rested_ns >= (_REST_NS if is_nearly else _LONGEST_REST_NS)


def inputs_of(pieces: Iterable[tuple[int, bytes]]) -> list[Input]:
    """The recorded input of a session, from its (fd, bytes) of the standard streams in recorded order."""
    seen = 0
    inputs = []
    for fd, data in pieces:
        if fd == 0:
            inputs.append(Input(data, seen))
        else:
            seen += len(data)
    return inputs


def _has_room(fd: int) -> bool:
    asking = select.poll()
    asking.register(fd, select.POLLOUT)
    return bool(asking.poll(0))
