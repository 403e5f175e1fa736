"""What a process on a tape is, whoever put it there: its segment or its script, the boundaries in place, what becomes of it
in a fork. `runs.agent` does that for a process that the launcher started, `runs.embedded` for a block of a program.

Standard library only, and of Playhead only what is free of other packages: the agent's environment is not ours.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from playhead import __version__
from playhead.capture.boundary import active
from playhead.capture.boundary.patches import Patches
from playhead.core import compact
from playhead.core.clock import monotonic_ns
from playhead.journal.disk import SystemDisk
from playhead.journal.processes import segment_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from playhead.capture.boundary.wire import Wire
    from playhead.core.boundary import Lane
    from playhead.core.events import Event
    from playhead.core.redact import Redactor
    from playhead.journal.agent import AgentRecorder
    from playhead.journal.segment import SegmentWriter
    from playhead.player.agent import AgentPlayer

    WhenImported = Callable[[str, Callable[[Any], None]], None]

BOUNDARIES = {
    "clock": "",
    "dates": "datetime",
    "chance": "",
    "machine": "",
    "files": "",
    "folders": "",
    "programs": "",
    "siblings": "multiprocessing",
    "signals": "signal",
    "sleep": "",
    "threads": "",
    "locks": "",
    "queues": "queue",
    "executors": "concurrent.futures._base",
    "graphs": "concurrent.futures._base",  # LangGraph imports that earlier
    "loops": "",
    "accepted": "",
    "transports": "",
}
"""The modules of `capture.boundary` that a process on a tape installs, in this order: at once, or when it imports that
module, to start no later than it must."""

OBSERVING = "observe"
"""Name of a file in the folder of a replay: its processes collect divergences and go on."""

_CLAIMS_AT_MOST = 10_000


class Taped:
    """This process on a tape. `mode` is `record` or `replay`, `folder` where its segment goes or where the recorded ones lie,
    `seed` what its randomness is drawn from; `redact` and `durability` are those of the run. With `in_part` only what comes
    of the calling context is on it."""

    def __init__(
        self,
        mode: str,
        folder: str,
        process: str,
        when_imported: WhenImported,
        *,
        seed: str,
        redact: str,
        durability: str,
        in_part: bool = False,
    ) -> None:
        self.mode = mode
        self.folder = folder
        self.process = process
        self.when_imported = when_imported
        self.seed = seed
        self.redact = redact
        self.durability = durability
        self.in_part = in_part
        self.wire: Wire | None = None  # where its HTTP goes, unless an engine carries that
        self.patches = Patches()
        self.tape: AgentRecorder | AgentPlayer
        self._recorder: AgentRecorder | None = None
        self._forks = 0
        self._children = 0
        self._again: frozenset[str] | None = None
        self._report: int | None = None
        self._open()

    def _open(self) -> None:
        self.tape = self._open_recorder() if self.mode == "record" else self._open_player()
        self._children = 0

    def _open_recorder(self) -> AgentRecorder:
        from playhead.journal.agent import AgentRecorder

        self.process, writer = _claim(self.process, self._writer)
        self._recorder = AgentRecorder(writer, self._redactor, self._failed)
        return self._recorder

    def _open_player(self) -> AgentPlayer:
        from playhead.journal.records import read_segment
        from playhead.player.agent import AgentPlayer, Script

        self.process, self._report = _claim(self.process, self._reporter)
        events: list[Event] = []
        if os.path.exists(self._segment(self.process)):  # noqa: PTH110
            with open(self._segment(self.process), "rb") as file:  # noqa: PTH123
                events = read_segment(file.read(), segment_name(self.process)).events
        player: type[AgentPlayer] = AgentPlayer
        if os.path.exists(os.path.join(self.folder, OBSERVING)):  # noqa: PTH110, PTH118
            from playhead.player.observing import AgentObserver

            player = AgentObserver
        return player(Script(events), self._redactor, self._say, self.left)

    def left(self) -> None:
        """The replay has left its tape."""

    def _redactor(self) -> Redactor:
        from playhead.core.redact import Redactor, credential_arguments, credential_values

        is_on = self.redact != "off"
        values = [*credential_values(os.environ), *credential_arguments(sys.argv)] if is_on else ()
        return Redactor(extra_values=values, bodies=is_on, personal=self.redact == "pii")

    def _segment(self, process: str) -> str:
        return os.path.join(self.folder, f"{segment_name(process)}.seg")  # noqa: PTH118

    def _writer(self, process: str) -> SegmentWriter:
        from playhead.journal.segment import SegmentWriter

        return SegmentWriter(
            self._segment(process),
            segment_name(process),
            durability=self.durability,
            playhead=__version__,
            by_hand=True,
            disk=_Unlocked(),
        )

    def _reporter(self, process: str) -> int:
        return os.open(
            os.path.join(self.folder, f"report-{process}.jsonl"),  # noqa: PTH118
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC,
            0o600,
        )

    def _say(self, facts: dict[str, Any]) -> None:
        if self._report is not None:
            os.write(self._report, compact.dump({"at_ns": monotonic_ns(), **facts}).encode() + b"\n")

    def _failed(self, error: OSError) -> None:
        """Leave a mark that needs no room: the launcher says that the recording is incomplete."""
        self._leave("failed", error.strerror or str(error))

    def _leave(self, kind: str, text: str) -> None:
        """Leave a line for the launcher. Never raises: without one, the reader finds a segment that has no end."""
        try:
            fd = os.open(f"{self.folder}{os.sep}{self.process}.{kind}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(fd, f"{text}\n".encode())
            os.close(fd)
        except OSError:
            pass

    def begin(self) -> Lane:
        """From here on what this context does is on the tape, once the boundaries are in place."""
        active.seed = self.seed
        lane = active.begin(self.tape, self.process, in_part=self.in_part)
        os.register_at_fork(before=self._before_fork, after_in_child=self._forked)  # before those of the boundaries
        active.children_by(self.name_child, self._runs_again)
        active.say_by(lambda text: self._leave("said", text))
        if self.wire is not None:
            active.carry_by(self.wire)
        return lane

    def install(self) -> None:
        """Put the boundaries in place, those of modules that are not imported yet when they are."""
        for name, module in BOUNDARIES.items():
            if module:
                self.when_imported(module, partial(self._install, name))
            else:
                self._install(name)

        real_exit = os._exit

        def exit_now(status: int) -> None:
            self.close()
            real_exit(status)

        self.patches.put(os, "_exit", exit_now)

    def _install(self, name: str, _module: Any = None) -> None:
        module = f"playhead.capture.boundary.{name}"
        __import__(module)  # `importlib` takes a millisecond of every start
        sys.modules[module].install(self.patches, self.when_imported)

    def name_child(self) -> str:
        """The name of the next program that is started."""
        self._children += 1
        return f"{self.process}.{self._children}"

    def _runs_again(self, process: str) -> bool:
        if self._again is None:
            with open(os.path.join(self.folder, "again"), encoding="ascii") as file:  # noqa: PTH118, PTH123
                self._again = frozenset(file.read().split())
        return process in self._again

    def close(self) -> None:
        """What is on the tape ends: write what waits in memory."""
        if active.whole is self.tape:
            active.end()
            self.tape.close()

    def _before_fork(self) -> None:
        self._forks += 1
        self.write_out()

    def write_out(self) -> None:
        """Another process is about to act on what this one has read."""
        if self._recorder is not None and active.whole is self.tape:
            self._recorder.flush()

    def _forked(self) -> None:
        if active.whole is not self.tape:
            return
        if self._recorder is not None:
            self._recorder.forget()
        self.process = f"{self.process}.f{self._forks}"
        self._forks = 0
        try:
            self._open()
        except OSError:
            active.end()
            return
        self.forked()

    def forked(self) -> None:
        """In a forked child, whose tape is open."""
        active.begin(self.tape, self.process, in_part=self.in_part)
        if self.wire is None:
            return
        if self.wire.live:
            active.say(f"process {self.process} is a fork: its HTTP is not recorded")
        else:
            active.carry_by(self.wire)  # it asks what it has of the recording, and no network


class _Unlocked(SystemDisk):
    """A child that outlives the run must not keep it from being sealed."""

    def create(self, path: Path | str) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _claim(process: str, make: Callable[[str], Any]) -> tuple[str, Any]:
    """A name that no other process of the run has, and what `make` makes of it: children of a program that is no Python
    share theirs, and are told apart by the order of their start."""
    for count in range(1, _CLAIMS_AT_MOST):
        name = process if count == 1 else f"{process}+{count}"
        try:
            return name, make(name)
        except FileExistsError:
            continue
    raise FileExistsError(process)
