"""Lanes beside the order: values that a replay finds by a name, whoever comes for them and when."""

from __future__ import annotations

import os
from _thread import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from playhead.core.boundary import BoundaryTape


class Aside:
    """Such a lane, of whichever tape this process is on. `mutex` is to be held around every use: threads share it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._tape: BoundaryTape | None = None
        self._values: dict[str, list[Any]] = {}
        self.mutex = RLock()
        os.register_at_fork(after_in_child=self.mutex._at_fork_reinit)  # type: ignore[attr-defined]  # noqa: SLF001  as `threading` does

    def of(self, tape: BoundaryTape, name: str) -> list[Any]:
        """What that tape has under the name, in the order in which it was written; while recording, what was kept. Who takes
        one away does so for all."""
        self._turn_to(tape)
        return self._values.get(name, [])

    def write(self, tape: BoundaryTape, name: str, value: Any) -> None:
        """Put it on the tape, of a recording."""
        self._turn_to(tape)
        tape.value(self._lane, name, lambda: value)

    def keep(self, tape: BoundaryTape, name: str, value: Any) -> None:
        """The same, and have it from now on."""
        self.write(tape, name, value)
        self._values[name] = [value]

    def _turn_to(self, tape: BoundaryTape) -> None:
        if tape is self._tape:
            return
        self._tape, self._lane, self._values = tape, tape.lane(self._path), {}
        values = self._lane.values
        for name, value in zip(values[::2], values[1::2], strict=True):
            self._values.setdefault(name, []).append(value)
