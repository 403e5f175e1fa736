"""What the launcher gives the Pythons of a run so that they are on a tape inside (runs.agent), and what they left behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playhead.capture.boundary import askers
from playhead.core.boundary import lane_mark
from playhead.errors import SetupError
from playhead.journal.processes import write_events
from playhead.runs.again import running_again
from playhead.sessions.call import lane_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from playhead.core.events import Event
    from playhead.sessions.header import Header
    from playhead.sessions.model import Recording

_HASH_SEEDS = 1 << 32
_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*(?:\.exe)?")


@dataclass(frozen=True, slots=True)
class Inner:
    """The seeds of a run: 32 hexadecimal digits for random numbers and ids, and PYTHONHASHSEED."""

    seed: str
    hash_seed: str

    @classmethod
    def drawn(cls, user: Mapping[str, str]) -> Inner:
        """New ones; the user's PYTHONHASHSEED if there is one."""
        own = user.get("PYTHONHASHSEED", "")
        return cls(secrets.token_hex(16), own if own.isdigit() else str(secrets.randbelow(_HASH_SEEDS)))

    @classmethod
    def of(cls, header: Header) -> Inner:
        """Those of a recording."""
        return cls(header.seed, header.hash_seed)

    def recording(self, folder: Path, *, durability: str, redact: str) -> dict[str, str]:
        """The variables of a run whose Pythons write into `folder`; none when the user has not put them on the tape."""
        if not is_wanted(os.environ):
            return {}
        return self._variables(f"record:{folder}", redact) | {"PLAYHEAD_DURABILITY": durability}

    def replaying(self, folder: Path, *, durability: str, redact: str) -> dict[str, str]:
        """The variables of a run whose Pythons are told what lies in `folder`."""
        return self._variables(f"replay:{folder}", redact) | {"PLAYHEAD_DURABILITY": durability}

    def _variables(self, tape: str, redact: str) -> dict[str, str]:
        return {
            "PLAYHEAD_TAPE": tape,
            "PLAYHEAD_PROCESS": "0",
            "PLAYHEAD_SEED": self.seed,
            "PLAYHEAD_REDACT": redact,
            "PYTHONHASHSEED": self.hash_seed,
        }


def is_wanted(user: Mapping[str, str]) -> bool:
    """Whether the inside of Pythons is to be recorded: unless PLAYHEAD_INSIDE=off."""
    return user.get("PLAYHEAD_INSIDE") != "off"


def without_hook(command: Sequence[str]) -> str:
    """The option by which a Python leaves out the hook that puts it on a tape: `-I`, `-E` or `-S`; "" when the command
    is no Python or has none of them."""
    if _PYTHON.fullmatch(Path(command[0]).name) is None:
        return ""
    for argument in command[1:]:
        if not argument.startswith("-") or argument in ("-", "-c", "-m") or argument.startswith("--"):
            break
        found = next((letter for letter in argument[1:] if letter in "IES"), "")
        if found:
            return f"-{found}"
    return ""


def troubles_inside(folder: Path) -> list[str]:
    """Why processes of the run stopped writing, in words, for each."""
    found = []
    for mark in sorted(folder.glob("*.failed")):
        why = mark.read_text("utf-8", "replace").rstrip()
        found.append(f"process {mark.stem} of the agent could not write its part: {why}"[:1000])
        mark.unlink(missing_ok=True)
    return found


def said_inside(folder: Path) -> list[str]:
    """What the Pythons of a run have to tell the user, each line once."""
    found: dict[str, None] = {}
    for mark in sorted(folder.glob("*.said")):
        found |= dict.fromkeys(mark.read_text("utf-8", "replace").splitlines())
        mark.unlink(missing_ok=True)
    return list(found)


def before_what_is_lost(events: Iterable[Event]) -> Iterator[Event]:
    """The records of a process up to the first that damage took: behind it, a lane would be told what it read later."""
    for due, event in enumerate(events):
        if event.seq != due:
            return
        yield event


@contextlib.contextmanager
def laid_out(recording: Recording) -> Iterator[Path | None]:
    """A folder with what the recorded processes are to be told; None when the recording has none. Raises SetupError."""
    if not recording.inside:
        yield None
        return
    with contextlib.ExitStack() as stack:
        try:
            folder = Path(tempfile.mkdtemp(prefix="playhead-"))
            stack.callback(_clear_away, folder, os.getpid())
            for process, events in recording.inside.items():
                write_events(folder, process, before_what_is_lost(events))
            (folder / "again").write_text("\n".join(sorted(running_again(recording))))
            askers.make(folder)
        except OSError as error:
            raise SetupError(
                "What the agent's processes are to be told cannot be laid out.",
                code="no-room",
                where=tempfile.gettempdir(),
                seen=error.strerror or str(error),
                todo="make room there, or name another folder in TMPDIR",
            ) from None
        yield folder


def _clear_away(folder: Path, owner: int) -> None:
    """Not in a fork of the process that made it."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def name_of_lane(recording: Recording, folder: Path | None, mark: int) -> str:
    """What people call a lane of a replay; one that the recording has not as its process says it, in that folder."""
    if folder is not None and mark not in recording.lane_names:
        for said in reports_inside(folder):
            if "lane" in said:
                process, path = said["process"], said["lane"]
                recording.lane_names[lane_mark(process, path)] = lane_label(process, path)
    return recording.lane_of_mark(mark)


def reports_inside(folder: Path) -> list[dict[str, Any]]:
    """What the Pythons of a replay said, line by line, each with the name of its process; a line that a kill cut off is
    left out."""
    found = []
    for path in sorted(folder.glob("report-*.jsonl")):
        found.append({"process": path.stem.removeprefix("report-"), "started": True})
        for line in path.read_bytes().splitlines():
            try:
                facts = json.loads(line)
            except ValueError:
                continue
            found.append({"process": path.stem.removeprefix("report-"), **facts})
    return found
