"""`time.sleep` of the agent's own code: a call that is answered with nothing, or with what the handler of a signal raised
in it. A replay does not wait; what happened before the lane woke up has happened before."""

from __future__ import annotations

import sys
import time

from playhead.capture.boundary import active
from playhead.capture.boundary.patches import Patches, asks_for_agent
from playhead.core import compact
from playhead.core.boundary import Call, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.core.boundary import BoundaryTape

_NOTHING = Outcome(raised=False, body=b"null")
_FOREVER_S = 1e9


def install(patches: Patches, when_imported: Any) -> None:  # noqa: ARG001
    """Wrap `time.sleep`."""
    patches.wrap(time, "sleep", _sleep)


def _sleep(real: Callable[[Any], None]) -> Any:
    def sleep(seconds: Any, /) -> None:
        tape = active.tape
        if tape is None or active.inside.get() or not asks_for_agent():
            return real(seconds)
        if not isinstance(seconds, (int, float)) or not 0 <= seconds < _FOREVER_S:
            return real(seconds)  # raises, or is a number of another library
        call = Call(active.current(), "sleep", "time.sleep", compact.dump(seconds).encode())
        tape.ask(call)
        if tape.live:
            outer = sys.exception()
            token = active.inside.set(True)
            try:
                real(seconds)
            except BaseException as error:
                active.inside.reset(token)
                tape.settle(call, _raised(error, outer))
                raise
            active.inside.reset(token)
            tape.settle(call, _NOTHING)
        else:
            outcome = tape.settle(call, None)
            if outcome.raised:
                _raise(tape, call, outcome)
        return None

    return sleep


def _raised(error: BaseException, outer: BaseException | None) -> Outcome:
    """Out of the sleep: a time-out by SIGALRM, a Ctrl-C."""
    from playhead.capture.boundary.calls import raised

    return raised(error, outer)


def _raise(tape: BoundaryTape, call: Call, outcome: Outcome) -> None:
    from playhead.capture.boundary.calls import given

    given(tape, call, outcome)
