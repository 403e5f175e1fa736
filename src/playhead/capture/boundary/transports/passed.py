"""What the transports share: a passed call of a thread, and the lengths of pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active
from playhead.core.boundary import REFUSED, REQUEST, Call, Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

PIECE = "http.piece"
ENDED, BROKE = -1, -2
"""Lengths that are none."""
_NOTHING = Outcome(False, b"")


def call(name: str, do: Callable[[], Any], kind: str = REQUEST) -> Any:
    """A request of a thread: `do()` brings its answer, in a replay too; it is let go in its order."""
    tape = active.tape
    if tape is None or active.inside.get():
        return do()
    asked = Call(active.current(), kind, name, is_passed=True)
    tape.ask(asked)
    inside, orders = active.inside.set(True), active.orders.set(True)
    try:
        return do()
    finally:
        active.orders.reset(orders)
        active.inside.reset(inside)
        tape.settle(asked, _NOTHING)


def see_to(name: str) -> None:
    """A library is used: this process's own wire, if it has one, must hear what goes through it."""
    wire = active.wire
    if wire is not None and name not in wire.checked:
        from playhead.capture.boundary.transports import canary  # here: once for each library

        canary.see_to(wire, name)


def is_refused(headers: Any) -> bool:
    """Whether an answer is the player's own, to a request that the recording does not have: its body has no recorded pieces,
    and those of the answer in whose place it stands are passed over."""
    if REFUSED not in headers:
        return False
    tape = active.tape
    lane = active.current()
    while tape is not None and tape.is_next(lane, PIECE):
        piece_length()
    return True


def piece_length(found: Callable[[], int] | None = None) -> int:
    """The length of the next piece of a body in this lane; ENDED when there is none, BROKE when reading it raised. While
    recording, `found` tells it; in a replay nobody needs to."""
    tape = active.tape
    assert tape is not None  # noqa: S101  its callers have seen to it
    length: int = tape.value(active.current(), PIECE, found or int)
    return length


def pieces(source: Iterator[bytes]) -> Iterator[bytes]:
    """A body of a thread, in its recorded pieces."""
    rest = b""
    while True:
        if active.is_live():
            piece = next(source, None)
        elif active.tape is not None and active.tape.live:
            piece = _noted(source)
        else:
            wanted = piece_length()
            while wanted < 0 or len(rest) < wanted:
                more = next(source, None)
                if more is None:
                    break
                rest = b"" if wanted == BROKE else rest + more
            piece, rest = _cut(rest, wanted)
        if piece is None:
            return
        yield piece


def _noted(source: Iterator[bytes]) -> bytes | None:
    length = BROKE
    try:
        piece = next(source, None)
        length = ENDED if piece is None else len(piece)
    finally:
        piece_length(lambda: length)
    return piece


def _cut(rest: bytes, wanted: int) -> tuple[bytes | None, bytes]:
    """The piece of that length and what is behind it; None for the end."""
    if not rest:
        return None, b""
    length = len(rest) if wanted < 0 else wanted
    return rest[:length], rest[length:]


async def apieces(
    name: str, read: Callable[[], Awaitable[bytes | None]], acall: Callable[..., Awaitable[Any]]
) -> AsyncIterator[bytes]:
    """A body of a task, in its recorded pieces, each let go in its order. `read` brings some more, None at the end;
    `acall` is that of `loops`."""
    rest = b""
    while True:
        if active.is_live():
            piece = await read()
        elif active.tape is not None and active.tape.live:
            piece = await noted(acall(PIECE, name, b"", read, is_passed=True))
        else:
            wanted = piece_length()
            rest = await acall(PIECE, name, b"", _filling(rest, wanted, read), is_passed=True)
            piece, rest = _cut(rest, wanted)
        if piece is None:
            return
        yield piece


async def noted(reading: Awaitable[bytes | None]) -> bytes | None:
    """What is read, its length written down; also that reading it raised, or was cancelled."""
    length = BROKE
    try:
        piece = await reading
        length = ENDED if piece is None else len(piece)
    finally:
        piece_length(lambda: length)
    return piece


def _filling(rest: bytes, wanted: int, read: Callable[[], Awaitable[bytes | None]]) -> Callable[[], Awaitable[bytes]]:
    """Reads on until there is as much as wanted; to the end, or until reading raises, where that was recorded."""

    async def fill() -> bytes:
        have = rest
        while wanted < 0 or len(have) < wanted:
            more = await read()
            if more is None:
                break
            have = b"" if wanted == BROKE else have + more
        return have

    return fill
