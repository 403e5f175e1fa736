"""The times of lines that libraries log (httpx says each request so), which an agent shows among its own.

How many a library logs may depend on how long things take, so they have no place among what a lane reads: they stand in a
lane of their own, each by the lane that logged. A replay gives them in turn, and reads the clock when there are no more.
"""

from __future__ import annotations

from playhead.capture.boundary import active
from playhead.capture.boundary.aside import Aside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from playhead.core.boundary import BoundaryTape

_times = Aside("logged")
"""By the path of the lane."""


def time_ns(tape: BoundaryTape, read: Callable[[], int]) -> int:
    """When a library logs a line in the lane that runs, in nanoseconds since the epoch."""
    path = active.current().path
    with _times.mutex:
        if tape.live:
            now = read()
            _times.write(tape, path, now)
            return now
        left: list[int] = _times.of(tape, path)
        return left.pop(0) if left else read()
