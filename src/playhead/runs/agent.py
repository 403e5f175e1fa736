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

from playhead.capture.boundary import active
from playhead.core import compact
from playhead.runs.taped import Taped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from playhead.capture.boundary.alarm import Alarm
    from playhead.capture.boundary.askers import Announcer
    from playhead.runs.taped import WhenImported


class Agent(Taped):
    """A process that the launcher, or an agent of it, started: on its tape whole, from before its first line to its end."""

    def __init__(self, mode: str, folder: str, process: str, when_imported: WhenImported) -> None:
        self._announcer: Announcer | None = None
        self._alarm: Alarm | None = None
        super().__init__(
            mode,
            folder,
            process,
            when_imported,
            seed=os.environ.get("PLAYHEAD_SEED", ""),
            redact=os.environ.get("PLAYHEAD_REDACT", "secrets"),
            durability=os.environ.get("PLAYHEAD_DURABILITY", "write"),
        )
        os.environ["PLAYHEAD_PROCESS"] = f"{self.process}.0"

    def left(self) -> None:
        from playhead.runs import leaving

        leaving.see_to_the_end()

    def start(self) -> None:
        """Everything the agent does from here on is on the tape."""
        self.begin()
        self._announce()
        if self.mode == "replay":
            from playhead.runs import leaving

            leaving.install(self.patches)
        atexit.register(self.close)
        atexit.register(self.patches.over)  # which comes first, then
        self.install()
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

    def forked(self) -> None:
        os.environ["PLAYHEAD_PROCESS"] = f"{self.process}.0"
        if self._announcer is not None:
            self._announcer.of_process(self.process)
        super().forked()

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
        if self._alarm is not None:
            self._alarm.close()
        super().close()

    def _heard(self, event: str, _arguments: tuple[Any, ...]) -> None:
        """Audit events: a child gets a name of its own, and what it is given has been written; a process that is replaced
        writes first."""
        if event in ("os.posix_spawn", "os.spawn"):
            os.environ["PLAYHEAD_PROCESS"] = self.name_child()
            self.write_out()
        elif event in ("subprocess.Popen", "os.system"):
            self.write_out()
        elif event == "os.exec" and active.tape is not None:
            os.environ["PLAYHEAD_PROCESS"] = self.process
            self.close()


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
