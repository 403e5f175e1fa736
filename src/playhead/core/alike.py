"""How far two texts, or two runs of bytes, are the same from either end: halves compared as a whole, at memory's speed."""

from __future__ import annotations

from typing import AnyStr


def common_front(a: AnyStr, b: AnyStr) -> int:
    """How long a beginning they share."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def common_back(a: AnyStr, b: AnyStr, limit: int) -> int:
    """How long an end they share, at most `limit`, which is no longer than either."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if a[len(a) - middle : len(a) - low] == b[len(b) - middle : len(b) - low]:
            low = middle
        else:
            high = middle - 1
    return low
