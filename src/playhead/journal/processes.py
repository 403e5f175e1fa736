"""The segments of the agent's own processes: their names, and writing one again from its events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from playhead.core.events import EventKind
from playhead.journal.disk import SystemDisk
from playhead.journal.segment import SegmentWriter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from playhead.core.events import Event

_PREFIX = "agent-"
_PROCESS = re.compile(r"[0-9][0-9.+f]{0,199}")


def process_of(segment: str) -> str:
    """The process whose segment has that name; "" for those of launcher and engine, and for what names no process."""
    name = segment.removeprefix(_PREFIX)
    return name if name != segment and _PROCESS.fullmatch(name) else ""


def segment_name(process: str) -> str:
    """The name of a process's segment. Raises ValueError for what no process is called: names become those of files."""
    if _PROCESS.fullmatch(process) is None:
        raise ValueError("no name of a process")
    return f"{_PREFIX}{process}"


def segment_path(folder: Path, process: str) -> Path:
    """Where a process of that name writes. Raises ValueError."""
    return folder / f"{segment_name(process)}.seg"


def write_events(folder: Path, process: str, events: Iterable[Event]) -> None:
    """Write a process's segment again, as it was: with an end if it had one. Raises OSError, ValueError."""
    path = segment_path(folder, process)
    writer = SegmentWriter(path, path.stem, durability="off", disk=_Passing())
    is_whole = False
    for event in events:
        if event.kind is EventKind.CLOSED:
            is_whole = True
        elif event.kind is not EventKind.SEGMENT:
            writer.append(event.kind, event.subject, event.body, meta=event.meta, flags=event.flags, t_ns=event.t_ns)
    if is_whole:
        writer.close()
    else:
        writer.settle()
        writer.forget()


class _Passing(SystemDisk):
    """For a file that is sealed at once or that nobody needs after the run."""

    def sync(self, fd: Any) -> None:
        """Nothing of it is to survive a power cut."""
