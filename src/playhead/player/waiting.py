"""Who waits in a replay inside a process until it may go on: a thread for its turn, what came for a loop for its delivery.

Standard library only: this runs inside the user's agent.
"""

from __future__ import annotations

import _thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playhead.core.boundary import Outcome, Station


class Turn:
    """A thread that waits until it may act."""

    __slots__ = ("_lock", "ident", "kind")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.ident = _thread.get_ident()
        self._lock = _thread.allocate_lock()
        self._lock.acquire()

    def wait(self) -> None:
        """Until it is let go."""
        self._lock.acquire()

    def let_go(self) -> None:
        """With the player's mutex held."""
        if self._lock.locked():
            self._lock.release()


class Pending:
    """Something that has come and is not delivered yet."""

    __slots__ = ("deliver", "is_call", "outcome", "station")

    def __init__(
        self, deliver: Callable[[Outcome | None], None], outcome: Outcome | None, station: Station, *, is_call: bool
    ) -> None:
        self.deliver = deliver
        self.outcome = outcome
        self.station = station
        self.is_call = is_call


def is_free(lock: Any) -> bool:
    """Also for an RLock, which has no other way to say so."""
    return repr(lock).startswith("<unlocked")
