"""Websockets of any library: what is received comes in its order, and as much is received as was.

A receive is a passed call (decision 017): the library's own runs in a replay too, on the connection that the player answers. How
it ended is noted, so that in a replay one that gave nothing, because it was cancelled or took too long, takes nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active, loops
from playhead.capture.boundary.transports import passed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

KIND = "websocket"
"""The kind of the values that say how receives ended."""
GOT, RAISED, LATE, CANCELLED = range(4)
_BOX = "_playhead_received"


def _noted(found: int | None = None) -> int:
    """How the next receive of this lane ended: told by `found` while recording, by the tape in a replay."""
    tape = active.tape
    assert tape is not None  # noqa: S101  its callers have seen to it
    ended: int = tape.value(active.current(), KIND, lambda: found)
    return ended


def is_recording() -> bool:
    """Whether what is received now is written down; else it is the recording's."""
    return active.tape is not None and active.tape.live


def _box(connection: Any) -> deque[Any]:
    """What came of this connection and was not given to anybody: its receiver was cancelled at just that time."""
    box: deque[Any] = connection.__dict__.setdefault(_BOX, deque())
    return box


async def received(
    connection: Any, name: str, receive: Callable[[], Awaitable[Any]], given_up: Callable[[], object] = bool
) -> Any:
    """What `receive()` gives, a task's. `given_up()` does in a replay what a receive leaves behind that was cancelled or too
    late."""
    if active.is_live():
        return await receive()
    box = _box(connection)

    async def fetch() -> None:
        if not box:
            box.append(await receive())

    if not is_recording():
        return await _received_again(_noted(), name, fetch, box, given_up)
    ended = CANCELLED
    try:
        await loops.acall(passed.PIECE, name, b"", fetch, is_passed=True)
        ended = GOT
        return box.popleft()
    except TimeoutError:
        ended = LATE
        raise
    except Exception:
        ended = RAISED
        raise
    finally:
        _noted(ended)


async def _received_again(
    ended: int, name: str, fetch: Callable[[], Awaitable[None]], box: deque[Any], given_up: Callable[[], object]
) -> Any:
    from asyncio import Event  # here: threads that talk need none of it

    async def nothing() -> None:
        try:
            if ended == LATE:
                raise TimeoutError
            await Event().wait()  # until it is cancelled
        finally:
            given_up()

    await loops.acall(passed.PIECE, name, b"", nothing if ended in (LATE, CANCELLED) else fetch, is_passed=True)
    return box.popleft()


def received_here(name: str, receive: Callable[[], Any], receive_late: Callable[[], Any]) -> Any:
    """The same, a thread's. `receive_late()` raises as a receive does that took too long."""
    if active.is_live():
        return receive()
    if not is_recording():
        return passed.call(name, receive_late if _noted() == LATE else receive, passed.PIECE)
    ended = RAISED
    try:
        got = passed.call(name, receive, passed.PIECE)
        ended = GOT
    except TimeoutError:
        ended = LATE
        raise
    finally:
        _noted(ended)
    return got


async def done(name: str, do: Callable[[], Awaitable[Any]]) -> Any:
    """What else a task does with a websocket and waits for: it is sent, or closed."""
    return await loops.acall(passed.PIECE, name, b"", do, is_passed=True)


def done_here(name: str, do: Callable[[], Any]) -> Any:
    """The same, by a thread."""
    return passed.call(name, do, passed.PIECE)
