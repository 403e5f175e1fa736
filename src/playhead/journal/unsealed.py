"""Sessions that nobody sealed, because their recorder was killed: sealed in passing by the next one that ends."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from playhead.core.clock import wall_ns
from playhead.journal.contents import read_contents
from playhead.journal.store import OPEN, SEGMENT

if TYPE_CHECKING:
    from playhead.journal.store import Store

LEVEL = 3  # of zstd: nobody must wait for the last percent of another session; `gc` may recompress it
BYTES = 8 << 20  # of segments, for one command: a tenth of a second or two at that level
_YOUNG_NS = 5_000_000_000  # a folder may be seen before its first writer has locked its first file


def seal_leftovers(store: Store, *, at_most_bytes: int = BYTES) -> list[str]:
    """Seal what killed recorders left in parts, smallest first. Returns the ids of the sessions sealed; what is
    damaged, being written, or cannot be read or written stays as it is. Never raises for a session's sake."""
    found = []
    for folder in store.sessions.glob(f"*{OPEN}"):
        with contextlib.suppress(OSError):
            files = [each.stat() for each in folder.glob(f"*{SEGMENT}")]
            if files and wall_ns() - max(f.st_mtime_ns for f in files) > _YOUNG_NS:
                found.append((sum(f.st_size for f in files), folder))
    sealed = []
    for size, folder in sorted(found):
        if size > at_most_bytes:
            break
        at_most_bytes -= size
        session = folder.name.removesuffix(OPEN)
        with contextlib.suppress(Exception):  # whatever is wrong with it, it is not ours to stumble over
            contents = read_contents(folder)
            if not contents.damage and not contents.being_written and any(s.events for s in contents.segments):
                store.seal(session, level=LEVEL)
                sealed.append(session)
    return sealed
