"""Agents in this very process, recorded and replayed with their HTTP carried in it: no launcher, no engine, no proxy."""

from __future__ import annotations

import concurrent.futures.thread
import itertools
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import httpcore
import httpcore2

from playhead.capture.boundary import active, executors, loops, threads, transports
from playhead.capture.boundary.patches import Patches, known
from playhead.capture.boundary.wire import resume
from playhead.cassette.opening import open_recording
from playhead.core.redact import Redactor
from playhead.journal.agent import AgentRecorder
from playhead.journal.processes import segment_path
from playhead.journal.segment import SegmentWriter
from playhead.journal.store import Store
from playhead.matching.masks import Masks, RunFacts
from playhead.player.agent import AgentPlayer, Script
from playhead.runs.carried import SEGMENT, PlayedWire, RecordedWire
from playhead.runs.launcher import ExitStatus
from playhead.runs.recording import LauncherSegment
from playhead.sessions.header import Header

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playhead.capture.boundary.wire import Wire
    from playhead.core.boundary import BoundaryTape
    from playhead.sessions.model import Recording

_IMPORTED = concurrent.futures.thread, httpcore, httpcore2  # loaded late, and what is not there yet is not patched here
_numbers = itertools.count(1)


class Carried:
    """One session in a store of its own. `durability` as `playhead record` has it."""

    def __init__(self, root: Path, *, durability: str = "write") -> None:
        self.store = Store.open(root)
        self.durability = durability
        self.id = f"{next(_numbers):016x}"
        self.troubles: list[str] = []
        self.halts: list[str] = []
        self.said: list[dict[str, Any]] = []  # by the player of the agent's own boundaries
        self.done: dict[str, Any] = {}  # what the wire said at its end

    @property
    def recording(self) -> Recording:
        return open_recording(self.store.path(self.id))

    @property
    def stored(self) -> bytes:
        """Every byte that the session has on disk."""
        path = self.store.path(self.id)
        return b"".join(each.read_bytes() for each in (path.iterdir() if path.is_dir() else [path]))

    def record(self, run: Callable[[], Any], *, seal: bool = True) -> Any:
        """What `run()` returns, recorded."""
        folder = self.store.begin(self.id)
        header = Header(self.id, time.time_ns(), [sys.executable], os.getcwd(), durability=self.durability)  # noqa: PTH109
        launcher = LauncherSegment(folder, header, Redactor(), playhead="x")
        wired = SegmentWriter(
            folder / f"{SEGMENT}.seg", SEGMENT, durability=self.durability, playhead="x", resume=resume
        )
        tape = AgentRecorder(SegmentWriter(segment_path(folder, "0"), "agent-0", playhead="x"), Redactor)
        wire = RecordedWire(wired, redactor=Redactor(), trouble=self.troubles.append)
        try:
            return self._on(tape, wire, run)
        finally:
            wired.close()
            launcher.close(ExitStatus(0, None, 0.1))
            if seal:
                self.store.seal(self.id, wait=True)

    def replay(self, run: Callable[[], Any], *, strict: bool = True) -> Any:
        """What `run()` returns, answered from the recording."""
        recording = self.recording
        tape = AgentPlayer(Script(recording.inside["0"]), Redactor, self.said.append)
        facts = RunFacts(time.time_ns())
        wire = PlayedWire(
            recording,
            self.store.root,
            redactor=Redactor(),
            facts=facts,
            masks=Masks(),
            strict=strict,
            halt=self.halts.append,
        )
        return self._on(tape, wire, run)

    def _on(self, tape: BoundaryTape, wire: Wire, run: Callable[[], Any]) -> Any:
        patches = Patches()
        known.clear()
        for module in (threads, executors, loops, transports):
            module.install(patches, lambda name, patch: patch(sys.modules[name]) if name in sys.modules else None)
        active.begin(tape)
        active.wire = wire
        try:
            wire.check()
            return run()
        finally:
            self.done = wire.finish()
            active.end()
            tape.close()
            patches.undo()
            known.clear()
