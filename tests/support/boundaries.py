"""Boundaries on the two real tapes, in memory: a recording of what a function does, then replays of it."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import active
from playhead.capture.boundary.patches import Patches, known
from playhead.core.redact import Redactor
from playhead.journal.agent import AgentRecorder
from playhead.journal.processes import segment_path
from playhead.journal.records import read_segment
from playhead.journal.segment import SegmentWriter
from playhead.player.agent import AgentPlayer, Script
from playhead.player.observing import AgentObserver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextlib.contextmanager
def installed(*modules: Any) -> Iterator[Patches]:
    """Those modules of `capture.boundary` in place, for what is imported by then."""
    patches = Patches()
    known.clear()
    try:
        for module in modules:
            module.install(patches, lambda name, patch: patch(sys.modules[name]) if name in sys.modules else None)
        yield patches
    finally:
        active.end()
        patches.undo()
        known.clear()


class Taped:
    """One process's segment in a folder: recorded, then replayed as often as one likes."""

    def __init__(self, folder: Path, process: str = "0") -> None:
        self.path = segment_path(folder, process)
        self.process = process
        self.reports: list[dict[str, Any]] = []

    def record(self, run: Callable[[], Any]) -> Any:
        """What it returns, on a recorder."""
        tape = AgentRecorder(SegmentWriter(self.path, self.path.stem, durability="off", playhead="x"), Redactor)
        return self._on(tape, run)

    def replay(self, run: Callable[[], Any]) -> Any:
        """What it returns, on a player of what was recorded."""
        return self._on(AgentPlayer(Script(self.events()), Redactor, self.reports.append), run)

    def observe(self, run: Callable[[], Any]) -> Any:
        """What it returns, on a player that goes on after divergences."""
        self.reports.clear()
        return self._on(AgentObserver(Script(self.events()), Redactor, self.reports.append), run)

    def events(self) -> list[Any]:
        """What was written."""
        return list(read_segment(self.path.read_bytes(), self.path.stem).events)

    def _on(self, tape: Any, run: Callable[[], Any]) -> Any:
        active.begin(tape, self.process)
        try:
            return run()
        finally:
            active.end()
            tape.close()
