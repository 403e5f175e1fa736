"""A line on both event loops: what is read before an error, and whether a kept line may be used again."""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from playhead.capture.wire.line import READ_SIZE, READS_AT_ONCE, Line, tune
from tests.capture.wire.rig import LOOPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_MS = 20_000
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


@pytest.fixture
def loop(loop_name: str) -> Iterator[asyncio.AbstractEventLoop]:
    """Each loop that an engine may run on."""
    made: asyncio.AbstractEventLoop = LOOPS[loop_name]()
    yield made
    made.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP connection: ours, tuned for a line, and the peer's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer = socket.create_connection(listening.getsockname())
        ours, _ = listening.accept()
    tune(ours)
    with ours, peer:
        yield ours, peer


def _reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.close()


def _await(sock: socket.socket, event: int) -> None:
    """Return once the kernel has `event` for the socket."""
    poll = select.poll()
    poll.register(sock, event)
    while not any(found & event for _, found in poll.poll(PATIENCE_MS)):
        pass


def _read_to_end(loop: asyncio.AbstractEventLoop, ours: socket.socket) -> tuple[bytes, OSError | None]:
    """What a line gives of all that has come, and how it ended."""
    pieces: list[bytes] = []
    ended: asyncio.Future[OSError | None] = loop.create_future()

    async def read() -> OSError | None:
        line = Line(loop, ours)
        line.received, line.ended = pieces.append, ended.set_result
        line.resume()
        async with asyncio.timeout(PATIENCE_MS / 1000):
            error = await ended
        line.abort()
        return error

    error = loop.run_until_complete(read())
    return b"".join(pieces), error


@pytest.mark.parametrize("size", [1, READ_SIZE, READ_SIZE + 1, READS_AT_ONCE * READ_SIZE + 7])
def test_what_came_before_a_reset_is_read_and_the_reset_is_told(
    loop: asyncio.AbstractEventLoop, ends: tuple[socket.socket, socket.socket], size: int
) -> None:
    """Both wait when the loop first looks; uvloop tells of a socket in error once, and never again."""
    ours, peer = ends
    peer.setblocking(False)  # what the kernel does not take at once is not sent
    sent = bytes(range(256)) * (size // 256 + 1)
    peer.send(sent[:size])
    _reset(peer)
    _await(ours, select.POLLERR)
    data, error = _read_to_end(loop, ours)
    assert sent.startswith(data)
    assert data
    assert error is not None
    assert error.errno == errno.ECONNRESET


def test_an_orderly_end_is_no_error(loop: asyncio.AbstractEventLoop, ends: tuple[socket.socket, socket.socket]) -> None:
    """Bytes, then a FIN."""
    ours, peer = ends
    peer.sendall(b"all of it")
    peer.close()
    assert _read_to_end(loop, ours) == (b"all of it", None)


def _say(peer: socket.socket) -> None:
    peer.sendall(b"unasked")


@pytest.mark.parametrize("happens", [_say, socket.socket.close, _reset], ids=["bytes", "end", "reset"])
def test_a_kept_line_has_news_once_something_came(
    loop: asyncio.AbstractEventLoop,
    ends: tuple[socket.socket, socket.socket],
    happens: Callable[[socket.socket], None],
) -> None:
    """Asked twice, for the second question is asked of what the first has made."""
    ours, peer = ends
    line = Line(loop, ours)
    assert not line.has_news()
    assert not line.has_news()
    happens(peer)
    _await(ours, select.POLLIN)
    assert line.has_news()
    assert line.has_news()
    line.abort()
