"""What an edited program asked beside what was recorded, lane by lane: insertions do not cascade.

A longest common subsequence of the questions stands fast (Hunt and Szymanski, "A fast algorithm for computing longest common
subsequences", CACM 20, 1977). Beside it, the same question in another place is `reordered`, another question to the same
between the same neighbours is `changed`, and the rest is `missing` or `extra`. Standard library only.
"""

from __future__ import annotations

from bisect import bisect_left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

MOST_PAIRS = 1_000_000
"""Equal pairs that are weighed; beyond, a question that is asked again and again stands for its own turn only."""


class Asked:
    """One question of a lane: `name` is what is asked (kind, name), `signature` all of it, `facts` are the caller's."""

    __slots__ = ("facts", "name", "signature")

    def __init__(self, name: Any, signature: Any, facts: Any) -> None:
        self.name = name
        self.signature = signature
        self.facts = facts


Difference = tuple[str, str, "Asked | None", "Asked | None"]
"""Class, lane, the recorded question and the one that was asked."""


def differences(recorded: dict[str, list[Asked]], asked: dict[str, list[Asked]]) -> list[Difference]:
    """Every difference between the two, in order of lanes and places. Calls that moved from one lane to another are one
    difference, `reordered`: a task that is added in front renumbers all behind it."""
    lanes = {each: _Lane(recorded.get(each, []), asked.get(each, [])) for each in dict.fromkeys((*recorded, *asked))}
    lost: dict[Any, list[tuple[str, int]]] = {}
    for name, lane in lanes.items():
        for at in lane.gone:
            lost.setdefault(lane.recorded[at].signature, []).append((name, at))
    told: set[tuple[str, str]] = set()
    for name, lane in lanes.items():
        for place in list(lane.new):
            came = lost.get(lane.asked[place].signature)
            if came:
                origin, at = came.pop(0)
                lanes[origin].gone.remove(at)
                lane.new.remove(place)
                if (origin, name) not in told:
                    lane.again[place] = lanes[origin].recorded[at]
                told.add((origin, name))
    return [(kind, name, one, other) for name, lane in lanes.items() for kind, one, other in lane.told()]


class _Lane:
    """One lane: what stands fast in both, where else a question stands (`again`), and what is `gone` or `new`."""

    def __init__(self, recorded: list[Asked], asked: list[Asked]) -> None:
        self.recorded = recorded
        self.asked = asked
        self.common = longest([each.signature for each in recorded], [each.signature for each in asked])
        fast, stood = {i for i, _ in self.common}, {j for _, j in self.common}
        left: dict[Any, list[int]] = {}
        for at, each in enumerate(recorded):
            if at not in fast:
                left.setdefault(each.signature, []).append(at)
        self.again: dict[int, Asked] = {}
        self.new: list[int] = []
        moved = set()
        for place, each in enumerate(asked):
            if place in stood:
                continue
            if left.get(each.signature):
                moved.add(at := left[each.signature].pop(0))
                self.again[place] = recorded[at]
            else:
                self.new.append(place)
        self.gone = [at for at in range(len(recorded)) if at not in fast and at not in moved]

    def told(self) -> Iterator[tuple[str, Asked | None, Asked | None]]:
        """Its differences."""
        i = j = 0
        for next_i, next_j in [*self.common, (len(self.recorded), len(self.asked))]:
            gone = [at for at in self.gone if i <= at < next_i]
            for place in range(j, next_j):
                mine = self.asked[place]
                if place in self.again:
                    yield "reordered", self.again[place], mine
                elif place in self.new:
                    same = next((at for at in gone if self.recorded[at].name == mine.name), None)
                    if same is None:
                        yield "extra", None, mine
                    else:
                        gone.remove(same)
                        yield "changed", self.recorded[same], mine
            for at in gone:
                yield "missing", self.recorded[at], None
            i, j = next_i + 1, next_j + 1


def longest(one: Sequence[Any], other: Sequence[Any]) -> list[tuple[int, int]]:
    """Places of a longest common subsequence of two lists of what can be hashed."""
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(one), len(other)) - start and one[-1 - end] == other[-1 - end]:
        end += 1
    common = [(at, at) for at in range(start)]
    common += [
        (start + i, start + j) for i, j in _longest(one[start : len(one) - end], other[start : len(other) - end])
    ]
    return common + [(len(one) - at, len(other) - at) for at in range(end, 0, -1)]


def _longest(one: Sequence[Any], other: Sequence[Any]) -> list[tuple[int, int]]:
    places: dict[Any, list[int]] = {}
    for at, each in enumerate(other):
        places.setdefault(each, []).append(at)
    is_many = sum(len(places.get(each, ())) for each in one) > MOST_PAIRS
    seen: dict[Any, int] = {}
    ends: list[int] = []
    links: list[Any] = []
    for at, each in enumerate(one):
        equal = places.get(each, [])
        if is_many:
            turn = seen[each] = seen.get(each, -1) + 1
            equal = equal[turn : turn + 1]
        for place in reversed(equal):
            length = bisect_left(ends, place)
            link = (at, place, links[length - 1] if length else None)
            if length == len(ends):
                ends.append(place)
                links.append(link)
            else:
                ends[length] = place
                links[length] = link
    found = []
    last = links[-1] if links else None
    while last is not None:
        found.append((last[0], last[1]))
        last = last[2]
    return found[::-1]
