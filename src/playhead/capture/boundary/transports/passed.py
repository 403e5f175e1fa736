"""What the transports share: a passed call of a thread, and the lengths of pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active
from playhead.core.boundary import Call, Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

KIND = "http"
PIECE = "http.piece"
_NOTHING = Outcome(False, b"")


def call(name: str, do: Callable[[], Any]) -> Any:
    """A request of a thread: `do()` brings its answer, in a replay too; it is let go in its order."""
    tape = active.tape
    if tape is None or active.inside.get():
        return do()
    asked = Call(active.current(), KIND, name, is_passed=True)
    tape.ask(asked)
    inside, orders = active.inside.set(True), active.orders.set(True)
    try:
        return do()
    finally:
        active.orders.reset(orders)
        active.inside.reset(inside)
        tape.settle(asked, _NOTHING)


def piece_length(found: Callable[[], int] | None = None) -> int | None:
    """The length of the next piece of a body in this lane; -1 when it has ended. While recording, `found` tells it; in a
    replay nobody needs to. None when this lane is not on a tape."""
    tape = active.tape
    if tape is None or active.inside.get():
        return None
    length: int = tape.value(active.current(), PIECE, found or int)
    return length


def pieces(source: Iterator[bytes]) -> Iterator[bytes]:
    """A body of a thread, in its recorded pieces."""
    rest = b""
    while True:
        if active.tape is None or active.tape.live or active.inside.get():
            piece = next(source, None)
            piece_length(lambda: -1 if piece is None else len(piece))  # noqa: B023  called at once
            if piece is None:
                return
            yield piece
            continue
        wanted = piece_length()
        rest = _filled(rest, source, wanted)
        if not rest:
            return
        length = len(rest) if wanted is None or wanted < 0 else wanted
        piece, rest = rest[:length], rest[length:]
        yield piece


def _filled(rest: bytes, source: Iterator[bytes], wanted: int | None) -> bytes:
    """`rest` with what the source has, until it is as long as wanted; all of it when the recording had ended here."""
    while wanted is None or wanted < 0 or len(rest) < wanted:
        more = next(source, None)
        if more is None:
            break
        rest += more
    return rest


async def apieces(
    name: str, read: Callable[[], Awaitable[bytes | None]], acall: Callable[..., Awaitable[Any]]
) -> AsyncIterator[bytes]:
    """A body of a task, in its recorded pieces, each let go in its order. `read` brings some more, None at the end;
    `acall` is that of `loops`."""
    rest = b""
    while True:
        tape = active.tape
        if tape is None or active.inside.get():
            piece = await read()
        elif tape.live:
            piece = await acall(PIECE, name, b"", read, is_passed=True)
            found = -1 if piece is None else len(piece)
            piece_length(lambda: found)  # noqa: B023  called at once
        else:
            wanted = piece_length()
            have = rest

            async def fill(have: bytes = have, wanted: int | None = wanted) -> bytes:
                while wanted is None or wanted < 0 or len(have) < wanted:
                    more = await read()
                    if more is None:
                        break
                    have += more
                return have

            rest = await acall(PIECE, name, b"", fill, is_passed=True)
            length = len(rest) if wanted is None or wanted < 0 else wanted
            piece, rest = (rest[:length], rest[length:]) if rest else (None, b"")
        if piece is None:
            return
        yield piece
