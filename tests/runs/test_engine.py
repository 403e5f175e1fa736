"""The engine process, whatever it serves."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from playhead.runs.engine import GARBAGE_AT, EngineProcess

if TYPE_CHECKING:
    from playhead.runs.engine import Control


class Collector:
    """A service that says what the engine's garbage collection is set to."""

    async def start(self, control: Control) -> None:
        self.kept = gc.get_freeze_count()

    def child_started(self, pid: int) -> None: ...

    async def finish(self) -> dict[str, Any]:
        return {"before": self.kept, "kept": gc.get_freeze_count(), "at": gc.get_threshold()[0]}


def test_nobody_looks_for_garbage_in_what_the_engine_began_with() -> None:
    """What stands when it is ready is never looked through again, and garbage is not looked for every few calls. The
    launcher, which forked it, is left as it was."""
    mine = gc.get_freeze_count(), gc.get_threshold()
    done = EngineProcess.start(Collector, keep=set()).finish()
    assert done is not None
    assert (done["before"], done["at"]) == (mine[0], GARBAGE_AT)
    assert done["kept"] > mine[0] + 1000
    assert (gc.get_freeze_count(), gc.get_threshold()) == mine
