"""Where two canonical requests differ first, and how alike they are.

Lists are aligned from both ends, so that one inserted or dropped element is named at its index instead of making every
later element look changed. Paths: `$.messages[2].content` in the body; `$.method`, `$.host`, `$.path`, `$.query.NAME`
and `$.headers.NAME` beside it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from playhead.matching.canonical import Node, Number, Opaque, body_node

if TYPE_CHECKING:
    from playhead.matching.fingerprint import Canonical

ABSENT = "(absent)"
_BEFORE, _AFTER = 36, 44  # characters of an excerpt on either side of the first difference
_PLAIN_NAME = re.compile(r"[A-Za-z_][\w\-]*")
_TOKEN_NUMBER = re.compile(r" #\d+⟩")
_SURROUNDINGS = (
    "method",
    "host",
    "asked-host",
    "path",
    "query",
    "headers",
    "kind",
)  # compared before the body, in this order


class Difference(NamedTuple):
    """The first difference. The excerpts start at the same character; `column` is the place in both of the first
    character that differs. `similarity` of the whole requests is 0 to 1."""

    path: str
    expected: str
    observed: str
    column: int
    similarity: float


class _Place(NamedTuple):
    path: str
    expected: Node
    observed: Node


class _Missing:
    """Stands for a member or element that one side lacks."""


_MISSING = _Missing()


def first_difference(expected: Canonical, observed: Canonical) -> Difference | None:
    """The first difference between a recorded and an observed request; None when they match. If only the counts of
    masks differ (a text that imitates a mask's token), the path is `$`."""
    if expected.fingerprint == observed.fingerprint:
        return None
    place = _request_difference(dict(expected.tree), dict(observed.tree))
    if place is None:
        return Difference("$", _counts(expected), _counts(observed), 0, similarity(expected, observed))
    before, after, column = _excerpts(place.expected, place.observed)
    return Difference(place.path, before, after, column, similarity(expected, observed))


def json_difference(expected: bytes, observed: bytes) -> Difference | None:
    """The first difference of two JSON documents (or texts); None when they say the same."""
    mine, theirs = body_node(expected, "application/json")[1], body_node(observed, "application/json")[1]
    place = _difference("$", mine, theirs)
    if place is None:
        return None
    before, after, column = _excerpts(place.expected, place.observed)
    return Difference(place.path, before, after, column, 0.0)


def similarity(one: Canonical, other: Canonical) -> float:
    """How much two requests have in common, 0 to 1 (Dice over shingles); 1 only for equal fingerprints. Both sides keep
    their shingles, so picking the nearest of many costs one set intersection each."""
    if one.fingerprint == other.fingerprint:
        return 1.0
    a, b = one.shingles, other.shingles
    return min(2 * len(a & b) / (len(a) + len(b) or 1), 0.999)


def _counts(side: Canonical) -> str:
    return ", ".join(f"{count} x {rule}" for rule, count in sorted(side.masks_used.items())) or "no mask used"


def _request_difference(expected: dict[str, Node], observed: dict[str, Node]) -> _Place | None:
    for name in _SURROUNDINGS:
        if name != "kind":
            found = _difference(f"$.{name}", expected.get(name, _MISSING), observed.get(name, _MISSING))
            if found is not None:
                return found
    found = _difference("$", expected.get("body", _MISSING), observed.get("body", _MISSING))
    if found is not None:
        return found
    for name in ("kind", "cut"):
        found = _difference(f"$.{name}", expected.get(name, _MISSING), observed.get(name, _MISSING))
        if found is not None:
            return found
    return None


def _difference(path: str, expected: Node, observed: Node) -> _Place | None:
    if expected == observed:
        return None
    if type(expected) is tuple and type(observed) is tuple:
        return _object_difference(path, expected, observed)
    if type(expected) is list and type(observed) is list:
        return _list_difference(path, expected, observed)
    return _Place(path, expected, observed)


def _object_difference(path: str, expected: Node, observed: Node) -> _Place | None:
    mine, theirs = _grouped(expected), _grouped(observed)
    changed = [name for name in mine if name in theirs and mine[name] != theirs[name]]
    gone = [name for name in mine if name not in theirs]
    new = [name for name in theirs if name not in mine]
    if gone or new:  # a missing or added member says more than what changed beside it
        name = min(gone + new)
        return _Place(_member(path, name), mine.get(name, [_MISSING])[0], theirs.get(name, [_MISSING])[0])
    for name in changed:
        before, after = mine[name], theirs[name]
        if len(before) == len(after) == 1:
            return _difference(_member(path, name), before[0], after[0])
        return _list_difference(_member(path, name), before, after)
    return _Place(path, expected, observed)  # the same members in another order of duplicates


def _grouped(node: Node) -> dict[str, list[Node]]:
    groups: dict[str, list[Node]] = {}
    for name, value in node:
        groups.setdefault(name, []).append(value)
    return groups


def _member(path: str, name: str) -> str:
    return f"{path}.{name}" if _PLAIN_NAME.fullmatch(name) else f"{path}[{json.dumps(name, ensure_ascii=False)}]"


def _list_difference(path: str, expected: list[Node], observed: list[Node]) -> _Place:
    shorter = min(len(expected), len(observed))
    start = next((at for at in range(shorter) if expected[at] != observed[at]), shorter)
    tail = 0
    while tail < shorter - start and expected[-1 - tail] == observed[-1 - tail]:
        tail += 1
    old, new = expected[start : len(expected) - tail], observed[start : len(observed) - tail]
    here = f"{path}[{start}]"
    if not old or (len(new) > len(old) and _moved(old[0], new)):
        return _Place(here, _MISSING, new[0])
    if not new or (len(old) > len(new) and _moved(new[0], old)):
        return _Place(here, old[0], _MISSING)
    return _difference(here, old[0], new[0]) or _Place(here, old[0], new[0])


def _moved(item: Node, others: list[Node]) -> bool:
    """Whether `item` stands later in `others`, the numbers of masked literals apart: they shift with an insertion."""
    plain = _TOKEN_NUMBER.sub("⟩", shown(item))
    at = next((at for at, other in enumerate(others) if _TOKEN_NUMBER.sub("⟩", shown(other)) == plain), 0)
    return at > 0


def _excerpts(expected: Node, observed: Node) -> tuple[str, str, int]:
    if type(expected) is type(observed) and isinstance(expected, str) and isinstance(observed, str):
        before, after = str(expected), str(observed)
        prefix = '"' if type(expected) is str else ""
    else:
        before, after, prefix = shown(expected), shown(observed), ""
    shorter = min(len(before), len(after))
    at = next((at for at in range(shorter) if before[at] != after[at]), shorter)
    start = max(0, at - _BEFORE)
    lead = "…" if start else prefix
    head = lead + _escaped(before[start:at])
    return head + _tail(before, at, prefix), head + _tail(after, at, prefix), len(head)


def _tail(text: str, at: int, quote: str) -> str:
    end = at + _AFTER
    return _escaped(text[at:end]) + ("…" if end < len(text) else quote)


def _escaped(text: str) -> str:
    """One line of printable characters: control characters as JSON escapes, so that a terminal stays as it is."""
    return "".join(c if c.isprintable() or c == " " else json.dumps(c)[1:-1] for c in text)


def shown(node: Node) -> str:
    """A node as compact JSON for people; what is absent as `(absent)`, bytes as `<N bytes ...>`."""
    if node is _MISSING or node is None:
        return ABSENT if node is _MISSING else "null"
    if isinstance(node, tuple):
        return "{" + ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {shown(value)}" for name, value in node) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(map(shown, node)) + "]"
    if isinstance(node, bool):
        return "true" if node else "false"
    if isinstance(node, Number):
        return str(node)
    if isinstance(node, Opaque):
        return f"<{len(node)} bytes {node[:16].encode('latin-1').hex()}{'…' if len(node) > 16 else ''}>"
    return json.dumps(node, ensure_ascii=False)
