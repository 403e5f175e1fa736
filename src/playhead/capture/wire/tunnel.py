"""A blind tunnel: bytes between a client and the world that are relayed and not looked at, only counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.capture.wire.line import Line


class Tunnel:
    """Two lines joined. A close of one direction closes that direction of the other line; a reset resets both.
    `over(bytes)` is called once, with what was relayed in both directions."""

    __slots__ = ("_bytes", "_open", "_over")

    def __init__(self, client: Line, world: Line, over: Callable[[int], None], *, first: bytes = b"") -> None:
        """Join the lines and read from both; `first` was already read from the client."""
        self._bytes, self._over, self._open = 0, over, 2
        self._join(client, world)
        self._join(world, client)
        if first:
            self._bytes += len(first)
            world.send(first)
        client.resume()
        world.resume()

    def _join(self, one: Line, other: Line) -> None:
        def received(data: bytes) -> None:
            self._bytes += len(data)
            other.send(data)

        def ended(error: OSError | None) -> None:
            self._open -= 1
            if error is not None:
                other.reset()
                one.abort()
            elif self._open == 0:
                other.close()
                one.close()
            else:
                other.finish_writing()

        def crowded(flag: bool) -> None:  # noqa: FBT001 - a callback of Line
            if flag:
                other.pause()
            else:
                other.resume()

        def gone() -> None:
            if left is not None:
                left()
            over, self._over = self._over, _counted
            over(self._bytes)
            other.abort()

        left, one.gone = one.gone, gone
        one.received, one.ended, one.crowded = received, ended, crowded


def _counted(_count: int) -> None:
    """A tunnel's end is reported once."""
