"""Opens sessions for people's own code: `playhead.open`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from playhead.journal.store import Store, default_root
from playhead.sessions.address import find
from playhead.sessions.reader import read_recording
from playhead.sessions.session import Session

if TYPE_CHECKING:
    from pathlib import Path


def open_session(address: str = "last", *, store: Path | None = None) -> Session:
    """The session under an address: an id, a prefix, a name, `last`, `last~N` or a path.

    Raises SessionNotFound, DamagedRecording or IncompatibleRecording.
    """
    found = find(Store.open(store or default_root(os.environ)), address)
    return Session(read_recording(found.path))
