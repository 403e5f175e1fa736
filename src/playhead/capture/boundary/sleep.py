"""`time.sleep` of the agent's own code: a call that is answered with nothing. A replay does not wait; what happened
before the lane woke up has happened before."""

from __future__ import annotations

import time

from playhead.capture.boundary import active
from playhead.capture.boundary.patches import Patches, asks_for_agent
from playhead.core import compact
from playhead.core.boundary import Call, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

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
            real(seconds)
            tape.settle(call, _NOTHING)
        else:
            tape.settle(call, None)
        return None

    return sleep
