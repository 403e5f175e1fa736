"""Composition inside the agent's own process: started by the site hook before the agent's first line, when the launcher
has put the run on a tape.

    PLAYHEAD_TAPE      `record:FOLDER` or `replay:FOLDER`. While recording, every process writes its segment
                       `agent-PROCESS.seg` there; for a replay, the recorded ones lie there, and every process leaves its
                       `report-PROCESS.jsonl`
    PLAYHEAD_PROCESS   name of the process, by descent: `0`, its children `0.1`, `0.2`, its forks `0.f1`
    PLAYHEAD_SEED      32 hexadecimal digits: what randomness is drawn from

Standard library only, and of Playhead only what is free of other packages: the agent's environment is not ours.
"""

from __future__ import annotations

import atexit
import os
import sys
from functools import partial
from importlib import import_module

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

    from playhead.capture.boundary.alarm import Alarm
    from playhead.capture.boundary.askers import Announcer
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
    "sleep": "",
    "threads": "",
    "locks": "",
    "queues": "queue",
    "executors": "concurrent.futures._base",
    "loops": "",
    "accepted": "",
    "transports": "",
}
"""The modules of `capture.boundary` that a process on a tape installs, in this order: at once, or when it imports that
module, to start no later than it must."""

OBSERVING = "observe"
"""Name of a file in the folder of a replay: its processes collect divergences and go on."""

_CLAIMS_AT_MOST = 10_000


class Agent:
    """This process on a tape."""

    def __init__(self, mode: str, folder: str, process: str, when_imported: WhenImported) -> None:
        self.mode = mode
        self.folder = folder
        self.process = process
        self.when_imported = when_imported
        self.patches = Patches()
        self.tape: AgentRecorder | AgentPlayer
        self._recorder: AgentRecorder | None = None
        self._forks = 0
        self._children = 0
        self._again: frozenset[str] | None = None
        self._report: int | None = None
        self._announcer: Announcer | None = None
        self._alarm: Alarm | None = None
        self._open()

    def _open(self) -> None:
        self.tape = self._open_recorder() if self.mode == "record" else self._open_player()
        os.environ["PLAYHEAD_PROCESS"] = f"{self.process}.0"
        self._children = 0

    def _open_recorder(self) -> AgentRecorder:
        from playhead.journal.agent import AgentRecorder

        self.process, writer = _claim(self.process, self._writer)
        self._recorder = AgentRecorder(writer, _redactor, self._failed)
        return self._recorder

    def _open_player(self) -> AgentPlayer:
        from playhead.journal.records import read_segment
        from playhead.player.agent import AgentPlayer, Script
        from playhead.runs import leaving

        self.process, self._report = _claim(self.process, self._reporter)
        events: list[Event] = []
        if os.path.exists(self._segment(self.process)):  # noqa: PTH110
            with open(self._segment(self.process), "rb") as file:  # noqa: PTH123
                events = read_segment(file.read(), segment_name(self.process)).events
        player: type[AgentPlayer] = AgentPlayer
        if os.path.exists(os.path.join(self.folder, OBSERVING)):  # noqa: PTH110, PTH118
            from playhead.player.observing import AgentObserver

            player = AgentObserver
        return player(Script(events), _redactor, self._say, leaving.see_to_the_end)

    def _segment(self, process: str) -> str:
        return os.path.join(self.folder, f"{segment_name(process)}.seg")  # noqa: PTH118

    def _writer(self, process: str) -> SegmentWriter:
        from playhead.journal.segment import SegmentWriter

        return SegmentWriter(
            self._segment(process),
            segment_name(process),
            durability=os.environ.get("PLAYHEAD_DURABILITY", "write"),
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

    def start(self) -> None:
        """Everything the agent does from here on is on the tape."""
        active.begin(self.tape, self.process)
        os.register_at_fork(before=self._before_fork, after_in_child=self._forked)  # before those of the boundaries
        active.children_by(self._name_child, self._runs_again)
        active.say_by(lambda text: self._leave("said", text))
        self._announce()
        if self.mode == "replay":
            from playhead.runs import leaving

            leaving.install(self.patches)
        atexit.register(self.close)  # after what boundaries have registered to be done at the end
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
        self._mind_leaks()

    def _mind_leaks(self) -> None:
        """Hear of what slips past the boundaries; name children; write before the process is replaced."""
        from playhead.capture.boundary import alarm

        try:
            workspace = os.getcwd()  # noqa: PTH109
        except OSError:
            workspace = os.sep
        leaks = self._alarm = alarm.Alarm(workspace, lambda facts: self._leave("slipped", compact.dump(facts)))
        first: dict[str, alarm.Hook] = dict.fromkeys(("subprocess.Popen", "os.system", "os.spawn"), self._heard)
        # the variables of a `posix_spawn` have been read when it is heard of
        last: dict[str, alarm.Hook] = dict.fromkeys(("os.posix_spawn", "os.exec"), self._heard)
        sys.addaudithook(alarm.hook(leaks, first, last))

    def _install(self, name: str, _module: Any = None) -> None:
        import_module(f"playhead.capture.boundary.{name}").install(self.patches, self.when_imported)

    def _announce(self) -> None:
        """Tell the engine which lane sends."""
        port = os.environ.get("PLAYHEAD_PORT", "")
        if not port.isdigit():
            return
        self.when_imported("socket", lambda module: self._announce_from(module, int(port)))

    def _announce_from(self, socket: Any, port: int) -> None:
        from playhead.capture.boundary.askers import Announcer

        try:
            announcer = self._announcer = Announcer(self.folder, self.process, port, self._failed)
        except OSError:
            return  # the run is over
        announcer.install(self.patches, socket)
        self.when_imported("ssl", lambda module: announcer.install_tls(self.patches, module))

    def close(self) -> None:
        """The process ends: write what waits in memory."""
        if self._alarm is not None:
            self._alarm.close()
        tape, active.tape = active.tape, None
        if tape is not None:
            tape.close()

    def _before_fork(self) -> None:
        self._forks += 1
        self._write_out()

    def _write_out(self) -> None:
        """Another process is about to act on what this one has read."""
        if self._recorder is not None and active.tape is not None:
            self._recorder.flush()

    def _forked(self) -> None:
        if active.tape is None:
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
        if self._announcer is not None:
            self._announcer.of_process(self.process)
        active.begin(self.tape, self.process)

    def _name_child(self) -> str:
        self._children += 1
        return f"{self.process}.{self._children}"

    def _runs_again(self, process: str) -> bool:
        if self._again is None:
            with open(os.path.join(self.folder, "again"), encoding="ascii") as file:  # noqa: PTH118, PTH123
                self._again = frozenset(file.read().split())
        return process in self._again

    def _heard(self, event: str, _arguments: tuple[Any, ...]) -> None:
        """Audit events: a child gets a name of its own, and what it is given has been written; a process that is replaced
        writes first."""
        if event in ("os.posix_spawn", "os.spawn"):
            os.environ["PLAYHEAD_PROCESS"] = self._name_child()
            self._write_out()
        elif event in ("subprocess.Popen", "os.system"):
            self._write_out()
        elif event == "os.exec" and active.tape is not None:
            os.environ["PLAYHEAD_PROCESS"] = self.process
            self.close()


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


def _redactor() -> Redactor:
    from playhead.core.redact import Redactor, credential_arguments, credential_values

    redact = os.environ.get("PLAYHEAD_REDACT", "secrets")
    values = [*credential_values(os.environ), *credential_arguments(sys.argv)] if redact != "off" else ()
    return Redactor(extra_values=values, bodies=redact != "off", personal=redact == "pii")


def start(when_imported: WhenImported) -> None:
    """Put this process on the tape that PLAYHEAD_TAPE names. Never raises: an agent that cannot be recorded inside still
    runs, and the launcher sees that a segment is missing."""
    mode, _, folder = os.environ.get("PLAYHEAD_TAPE", "").partition(":")
    if mode not in ("record", "replay"):
        return
    try:
        agent = Agent(mode, folder, os.environ.get("PLAYHEAD_PROCESS") or "0", when_imported)
    except OSError:
        return  # the run is over, and with it its folder
    agent.start()
