"""JSON bodies that grow: of a body that begins like an earlier one, only what is new is parsed.

An agent's request is an object with one long array, and the next request has that array with more at its end. Parsing and
serialising all of it at every step would cost the square of the steps.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from playhead.cassette.payload import STYLES, as_json, serialise

if TYPE_CHECKING:
    from collections.abc import Iterable


class Grown(NamedTuple):
    """A body that is a JSON object: its value, the style that gives its bytes, and where its long array's elements end."""

    raw: bytes
    value: dict[str, Any]
    style: str
    key: str
    start: int  # behind the bracket that opens the array
    ends: list[int]


def grown(body: bytes, base: Grown | None, prefix: int) -> Grown | None:
    """`body` as an object; the same elements as in `base`, of which it has the first `prefix` bytes, are the same
    objects. None for what is no such object, or has no array."""
    try:
        if base is not None:
            found = _carried_on(body, base, prefix)
            if found is not None:
                return found
        return _parsed(body)
    except (ValueError, RecursionError):
        return None


def _parsed(body: bytes) -> Grown | None:
    shown = as_json(body) if body.startswith(b"{") else None
    value = shown["json"] if shown is not None else None
    if shown is None or not isinstance(value, dict):
        return None
    style = shown.get("style", "compact")
    (comma, colon), _ = STYLES[style]
    best, at = ("", 0, 0), 1
    for key, each in value.items():
        at += len(serialise(key, style)) + len(colon)
        size = len(serialise(each, style))
        if isinstance(each, list) and size > best[2]:
            best = (key, at + 1, size)
        at += size + len(comma)
    key, start, size = best
    if not size:
        return None
    return Grown(body, value, style, key, start, _ends(value[key], style, start))


def _ends(elements: Iterable[Any], style: str, start: int) -> list[int]:
    comma = len(STYLES[style][0][0])
    sizes = (len(serialise(each, style)) + comma for each in elements)
    return [end - comma for end in accumulate(sizes, initial=start)][1:]


def _carried_on(body: bytes, base: Grown, prefix: int) -> Grown | None:
    """The body, when whole elements of the base's array are in the common prefix. Cutting them out of it must leave JSON
    that serialises to the same bytes: then the whole does."""
    comma = STYLES[base.style][0][0].encode()
    count = bisect_right(base.ends, prefix)
    if count and not body.startswith(comma, base.ends[count - 1]):
        count -= 1  # its element goes on, or is the last
    if not count or not body.startswith(comma, base.ends[count - 1]):
        return None
    rest = base.ends[count - 1] + len(comma)
    cut = body[: base.start] + body[rest:]
    value = json.loads(cut.decode())
    if not isinstance(value, dict) or serialise(value, base.style) != cut:
        return None
    fresh = value.get(base.key)
    if not isinstance(fresh, list) or not fresh:
        return None
    ends = base.ends[:count] + _ends(fresh, base.style, rest)
    value[base.key] = base.value[base.key][:count] + fresh
    return Grown(body, value, base.style, base.key, base.start, ends)
