"""What the transports share: a passed call of a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active
from playhead.core.boundary import Call, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

KIND = "http"
_NOTHING = Outcome(raised=False, body=b"")


def call(name: str, do: Callable[[], Any]) -> Any:
    """A request of a thread: `do()` brings its answer, in a replay too; it is let go in its order."""
    tape = active.tape
    if tape is None or active.inside.get():
        return do()
    asked = Call(active.current(), KIND, name, is_passed=True)
    tape.ask(asked)
    inside = active.inside.set(True)
    try:
        return do()
    finally:
        active.inside.reset(inside)
        tape.settle(asked, _NOTHING)
