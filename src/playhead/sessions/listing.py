"""What came and what went between two listings of a folder.

The listing that the catalogue was last compared with stands beside it, with the number of rows that there were:

    varint rows | varint length of the rest | names, each behind a `/`

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

from playhead.journal.columns import Cursor, varint
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
        data = path.read_bytes()
        cursor = Cursor(data)
        rows, length = cursor.varint(), cursor.varint()
    except (OSError, ValueError):
        return None
    names = data[cursor.at :]
    return Remembered(rows, names) if len(names) == length and names.startswith(b"/") else None


def remember(path: Path, listing: Remembered) -> None:
    """Write a listing there. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:  # over what was there: to free megabytes and take them again costs milliseconds
        file.write(varint(listing.rows) + varint(len(listing.names)) + listing.names)
        file.truncate()


def moved(before: bytes, now: bytes) -> tuple[set[str], set[str]]:
    """Ids of sessions that only `now` names, and that only `before` does (see Store.listing)."""
    first = before.rfind(b"/", 0, _alike(before, now) + 1)
    before, now = before[max(0, first) :], now[max(0, first) :]
    alike = _alike_at_end(before, now)
    last = before.find(b"/", len(before) - alike)  # of the names that are alike, the first whole one
    alike = len(before) - last if last >= 0 else 0
    old, new = ids_in(before[: len(before) - alike]), ids_in(now[: len(now) - alike])
    return new - old, old - new


def _alike(one: bytes, two: bytes) -> int:
    """How many bytes two texts begin with in common. Halves are compared as a whole, at the speed of memory."""
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == two[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _alike_at_end(one: bytes, two: bytes) -> int:
    """How many they end with in common."""
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        if one[len(one) - middle : len(one) - low] == two[len(two) - middle : len(two) - low]:
            low = middle
        else:
            high = middle - 1
    return low
