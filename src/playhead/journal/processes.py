"""The segments of the agent's own processes: their names, and writing one again from its events."""

from __future__ import annotations

from playhead.core import numbers
from playhead.journal.disk import SystemDisk
from playhead.journal.segment import SegmentWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Any

    from playhead.core.events import Event

_PREFIX = "agent-"
_LONGEST = 200


def _is_process(name: str) -> bool:
    """Whether a process may be called so: a digit, then digits and `.+f`."""
    return 0 < len(name) <= _LONGEST and name[0] in "0123456789" and not name.strip("0123456789.+f")


def process_of(segment: str) -> str:
    """The process whose segment has that name; "" for those of launcher and engine, and for what names no process."""
    name = segment.removeprefix(_PREFIX)
    return name if name != segment and _is_process(name) else ""


def segment_name(process: str) -> str:
    """The name of a process's segment. Raises ValueError for what no process is called: names become those of files."""
    if not _is_process(process):
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
        if event.kind == numbers.CLOSED:
            is_whole = True
        elif event.kind != numbers.SEGMENT:
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
