"""Addresses: how people point at sessions and steps.

SESSION is an id, a unique prefix of at least 4 digits, a name (the newest of that name), `last`, `last~N`, or a path
to a recording. A step is `SESSION:STEP`.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from playhead.core.clock import rfc3339
from playhead.core.ids import is_id_prefix, is_name, shown
from playhead.errors import SessionNotFound, UsageError
from playhead.sessions.index import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from playhead.journal.catalogue import Row
    from playhead.journal.store import Store

_LAST = re.compile(r"last(?:~(\d{1,9}))?\Z")
_STEP = re.compile(r"(?P<session>.+):(?P<step>[^:/\\]*)\Z", re.DOTALL)


class Found(NamedTuple):
    """A recording: its file or folder, its id when it is in the store, and a remark about how it was chosen."""

    path: Path
    id: str = ""
    remark: str = ""


def split_step(address: str) -> tuple[str, int | None]:
    """`SESSION[:STEP]` -> session, step. Raises UsageError when STEP is no positive number."""
    match = _STEP.match(address)
    if match is None or _exists(Path(address)):
        return address, None
    step = match["step"]
    if not step.isascii() or not step.isdigit() or len(step) > 9 or int(step) < 1:
        raise UsageError(
            f"{step[:20]!r} is no step.",
            code="bad-step",
            where=address,
            expected="SESSION:STEP with STEP a number from 1",
            todo=f"playhead inspect {match['session']} lists the steps",
        )
    return match["session"], int(step)


def find(store: Store, address: str) -> Found:
    """The one recording under an address. Raises SessionNotFound with candidates."""
    if "/" in address or address.endswith((".tape", ".rw", ".tape.d", ".age")):
        path = Path(address)
        if _exists(path):
            return Found(path)
        raise SessionNotFound("There is no such file.", code="session-not-found", where=address, todo="playhead list")
    with catalogue(store) as index:
        if match := _LAST.match(address):
            back = int(match[1] or 0)
            rows = index.newest(limit=1, offset=back)
            if rows:
                return Found(store.path(rows[0].id), rows[0].id)
            raise _unknown(address, index.newest(limit=5))
        rows = index.newest(name=address) if is_name(address) else []
        if rows:
            remark = ""
            if len(rows) > 1:
                remark = f"{len(rows)} sessions are named {address}; this is the newest, {shown(rows[0].id)}"
            return Found(store.path(rows[0].id), rows[0].id, remark)
        rows = index.newest(prefix=address, limit=6) if is_id_prefix(address) else []
        if len(rows) == 1:
            return Found(store.path(rows[0].id), rows[0].id)
        if rows:
            raise SessionNotFound(
                f"{address} could be any of several sessions.",
                code="session-ambiguous",
                where=str(store.sessions),
                seen=_candidates(rows),
                todo="give more digits of the id",
            )
        # a session whose header cannot be read has no row: it is found by its file, so that it can be removed
        files = [session for session in store.ids() if is_id_prefix(address) and session.startswith(address)]
        if len(files) == 1:
            return Found(store.path(files[0]), files[0])
        raise _unknown(address, index.newest(limit=1000))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long to be one
        return False


def _unknown(address: str, rows: list[Row]) -> SessionNotFound:
    close = difflib.get_close_matches(address, {w for r in rows for w in (r.name, shown(r.id)) if w}, n=5, cutoff=0.5)
    near = [r for r in rows if r.name in close or shown(r.id) in close][:5] or rows[:5]
    return SessionNotFound(
        f"There is no session {address}.",
        code="session-not-found",
        expected="an id, a prefix of at least 4 digits, a name, last, last~N or a file",
        seen=_candidates(near) if near else "an empty store",
        todo="playhead list" if near else "record one: playhead record -- CMD",
    )


def _candidates(rows: Iterable[Row]) -> str:
    return "; ".join(f"{shown(r.id)} {r.name} {rfc3339(r.created_ns)}".replace("  ", " ") for r in rows)
