"""Requests that had been made when an answer came: in a replay they are made before that answer comes, too.

A recorded answer takes its time, a played one takes none. An agent that asks several and gives up the others at the first
answer (a race, a hedged call, a time-out) would give them up before they have left it: where the recording has them
asked and abandoned, they would be missing. Whatever was asked before an answer came cannot be its consequence, so waiting
for it is no deadlock; and where it does not come of itself, the answer is let go and nothing is concluded from it here.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from playhead.core.clock import monotonic_ns

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from playhead.core.tape import Rest
    from playhead.player.script import Delivery, Part, Script

GIVEN_UP_AFTER_S = 1.0
"""At rest, and beyond the pause that the recorded agent made before it asked."""
LOOK_S = 0.05


class Beforehand:
    """Who was asked before what. `is_asked(part)` also of one whose caller waits to be told which of equals it is; `pump` is
    called when an answer need no longer wait."""

    def __init__(
        self,
        script: Script,
        rest: Rest,
        loop: Any,
        *,
        is_asked: Callable[[Part], bool],
        pump: Callable[[], None],
    ) -> None:
        # one that was cut off may have been given up for the very answer; who orders its own answers waits by itself
        at_wire = [part for part in script.parts if part.exchange.cut is None and not part.own]
        self._due = deque(sorted(at_wire, key=lambda part: part.exchange.opened_order))
        self._rest = rest
        self._loop = loop
        self._is_asked = is_asked
        self._script = script
        self._pump = pump
        self._timer: asyncio.TimerHandle | None = None
        self._rested_since = 0

    def holds(self, delivery: Delivery) -> bool:
        """Whether that release has to wait for a request; then `pump` is called again."""
        due = self._due
        while due and due[0].exchange.opened_order < delivery.order:
            part = due[0]
            if not (part.skipped or part.overdue or self._is_asked(part)):
                if self._timer is None:
                    self._rested_since = 0
                    self._timer = self._loop.call_later(LOOK_S, self._look, part)
                return True
            due.popleft()
        return False

    def close(self) -> None:
        """Nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, part: Part) -> None:
        self._timer = None
        if not self._due or self._due[0] is not part:
            return
        now = monotonic_ns()
        self._rested_since = (self._rested_since or now) if self._rest.resting(()) else 0
        if self._rested_since and (now - self._rested_since) / 1e9 >= GIVEN_UP_AFTER_S + self._script.pause_s(part):
            self._due.popleft()
            self._pump()
            return
        self._timer = self._loop.call_later(LOOK_S, self._look, part)
