"""What gc does: which sessions are too old or too many, and what killed processes left lying about."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from playhead.core.clock import wall_ns
from playhead.errors import PlayheadError
from playhead.journal.contents import read_contents
from playhead.journal.held import is_being_written
from playhead.journal.placing import GONE, clear_away, remove_hidden
from playhead.journal.store import OPEN, SEALED, segments

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from playhead.journal.catalogue import Catalogue
    from playhead.journal.store import Store

_ABANDONED_NS = 3600 * 10**9  # a half-written file this old has nobody left who would finish it


@dataclass(frozen=True, slots=True)
class Held:
    """A session and the bytes its files take."""

    id: str
    name: str
    created_ns: int
    size: int


def held(store: Store, index: Catalogue) -> list[Held]:
    """All sessions that nobody is writing, oldest first. One that cannot be read counts as old as its file."""
    known = {row[0]: (row[1] or "", row[2]) for row in index.read("SELECT id, name, created_ns FROM sessions")}
    out = []
    for session in store.ids():
        with contextlib.suppress(PlayheadError, OSError):
            if store.is_being_written(session):
                continue
            path = store.path(session)
            name, created_ns = known.get(session) or ("", path.stat().st_mtime_ns)
            out.append(Held(session, name, created_ns, _size(path)))
    return sorted(out, key=lambda each: (each.created_ns, each.id))


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(entry.stat().st_size for entry in os.scandir(path))
    return path.stat().st_size


def superfluous(sessions: list[Held], *, before_ns: int | None, max_size: int | None) -> list[Held]:
    """Those begun before a moment, and of the rest the oldest until all that stays takes at most `max_size` bytes."""
    old = [each for each in sessions if before_ns is not None and each.created_ns < before_ns]
    rest = sessions[len(old) :]
    size = sum(each.size for each in rest)
    surplus = []
    for each in rest:
        if max_size is None or size <= max_size:
            break
        surplus.append(each)
        size -= each.size
    return [*old, *surplus]


def leftovers(store: Store) -> list[str]:
    """Sessions whose recorder was killed before it sealed them, undamaged: each can become one file."""
    found = []
    for session in store.ids():
        folder = store.folder(session)
        with contextlib.suppress(PlayheadError, OSError):
            if store.file(session).exists() or store.is_being_written(session):
                continue
            contents = read_contents(folder)
            if contents.segments and not contents.damage and not contents.being_written:
                found.append(session)
    return sorted(found)


def half_written(store: Store) -> list[Path]:
    """What killed processes left beside the sessions, and nothing else holds: files that were being sealed, folders
    that were being taken in or cleared away, the parts of what is one file already, and recordings without a byte."""
    found = []
    for entry in os.scandir(store.sessions):
        with contextlib.suppress(OSError, PlayheadError):
            path = store.sessions / entry.name
            if entry.name.startswith(".") and SEALED in entry.name:
                if entry.name.endswith(GONE) or wall_ns() - _changed_ns(path) > _ABANDONED_NS:
                    found.append(path)
            elif entry.name.endswith(OPEN) and entry.is_dir(follow_symlinks=False):
                done = store.file(entry.name.removesuffix(OPEN)).exists()
                empty = not any(part.stat().st_size for part in segments(path))
                old = done or (empty and wall_ns() - _changed_ns(path) > _ABANDONED_NS)
                if old and not any(map(is_being_written, segments(path))):
                    found.append(path)
    return sorted(found)


def clear(paths: Iterable[Path]) -> None:
    """Clear away what `half_written` named. What cannot be stays."""
    for path in paths:
        with contextlib.suppress(OSError):
            if path.name.startswith("."):
                remove_hidden(path)
            else:
                clear_away(path)


def _changed_ns(path: Path) -> int:
    """When a file, or the youngest in a folder, was last written."""
    inner = [each.stat().st_mtime_ns for each in os.scandir(path)] if path.is_dir() else []
    return max(path.lstat().st_mtime_ns, *inner, 0)
