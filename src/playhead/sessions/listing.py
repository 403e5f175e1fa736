"""What came and what went between two listings of a folder.

The listing that the catalogue was last compared with stands beside it, with the number of rows that there were:

    rows, a blank, length of the rest, in decimal | names, each behind a `/`

It is not part of the database, where a change of its megabytes would have to be synced. It need not be true: one that is
torn, old or of another catalogue does not fit the rows.

File systems tell the names of a folder in an order that one name more or less does not change. So of two listings all
is alike but the part from the first difference to the last, which is short when little has moved: in a store of 100,000
sessions that saves the making of two sets of 100,000 names. On one that tells them in any order that part is everything,
and the answer the same.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from playhead.core.alike import common_back, common_front
from playhead.journal.store import ids_in

if TYPE_CHECKING:
    from pathlib import Path


class Remembered(NamedTuple):
    """A listing, and how many of its sessions the catalogue had rows of: all."""

    rows: int
    names: bytes


def recall(path: Path) -> Remembered | None:
    """What was last remembered there; None when that cannot be told."""
    try:
        said, slash, rest = path.read_bytes().partition(b"/")
        rows = int(said.partition(b" ")[0])
    except (OSError, ValueError):
        return None
    whole = said == b"%d %d" % (rows, len(slash + rest)) and slash
    return Remembered(rows, slash + rest) if whole else None


def remember(path: Path, listing: Remembered) -> None:
    """Write a listing there. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:  # over what was there: to free megabytes and take them again costs milliseconds
        file.write(b"%d %d" % (listing.rows, len(listing.names)) + listing.names)
        file.truncate()


def moved(before: bytes, now: bytes) -> tuple[set[str], set[str]]:
    """Ids of sessions that only `now` names, and that only `before` does (see Store.listing)."""
    first = max(0, before.rfind(b"/", 0, common_front(before, now) + 1))  # of the name in which they begin to differ
    before, now = before[first:], now[first:]
    alike = common_back(before, now, min(len(before), len(now)))
    last = before.find(b"/", len(before) - alike)  # of the first whole name that they end with in common
    alike = len(before) - last if last >= 0 else 0
    old, new = ids_in(before[: len(before) - alike]), ids_in(now[: len(now) - alike])
    return new - old, old - new
