"""Sums over model calls, kept by the catalogue so that nobody has to read a million steps to know a month's cost.

A tally can be added to and taken away from exactly. It is one integer, a vector of lanes side by side, so that adding
two tallies is one addition, and reading one back is one field of a row:

    13 sums of 128 bits (COUNTS; money in 10^-12 USD) | 5 counts of 32 bits (which of TOKENS how many calls told)
    | 209 counts of 32 bits (a histogram of latencies)

A bucket of the histogram spans 2^(1/8); a percentile read from it is within 4.5 % of the truth.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DAY_NS = 86_400 * 10**9
PICO = 10**12
TOKENS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
COUNTS = ("sessions", "failed", "calls", "errors", "priced", "unpriced", "cost_pico", "duration_us", *TOKENS)
"""`unpriced`: calls that were answered and have no price. One that failed owes none, but has one where it told its tokens."""
_LARGEST = (1 << 62) - 1  # what recordings claim may be absurd, and their sum must still fit its lane
_SUM_BITS = 128
_SUM_MASK = (1 << _SUM_BITS) - 1
_COUNT_BITS = 32
_COUNT_MASK = (1 << _COUNT_BITS) - 1
_SUM_AT = {name: number * _SUM_BITS for number, name in enumerate(COUNTS)}
_TOLD_AT = len(COUNTS) * _SUM_BITS
_LATENCY_AT = _TOLD_AT + len(TOKENS) * _COUNT_BITS
_PER_DOUBLING = 8
_LAST_BUCKET = 26 * _PER_DOUBLING  # 2^26 ms, 18 hours; what took longer counts as that


class Call(NamedTuple):
    """What a tally needs to know of one model call."""

    started_ns: int  # wall clock
    provider: str
    model: str
    error: bool
    duration_s: float | None
    tokens: tuple[int | None, ...]  # in the order of TOKENS
    cost_usd: float | None


class Place(NamedTuple):
    """Which tally: `by` is day, provider, model, name or tag; `day` counts from 1970-01-01, UTC. `one` and `two` are
    the provider; provider and model; the name; the tag's key and value."""

    by: str
    day: int
    one: str = ""
    two: str = ""


class Tally:
    """Sums over model calls and sessions, as `lanes`: an integer, which is made of `packed` bytes when it is asked for."""

    __slots__ = ("_lanes", "_packed")

    def __init__(self, lanes: int = 0, packed: bytes = b"") -> None:
        self._lanes = lanes
        self._packed = packed

    @property
    def lanes(self) -> int:
        """All the sums and counts, side by side."""
        if self._packed:
            self._lanes, self._packed = int.from_bytes(self._packed, "little"), b""
        return self._lanes

    @lanes.setter
    def lanes(self, lanes: int) -> None:
        self._lanes, self._packed = lanes, b""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and self.lanes == other.lanes

    __hash__ = None  # type: ignore[assignment]  # it can be added to

    def __getitem__(self, name: str) -> int:
        return (self.lanes >> _SUM_AT[name]) & _SUM_MASK

    @property
    def is_empty(self) -> bool:
        """Whether it counts no session and no call."""
        return not self["sessions"] and not self["calls"]

    def tokens(self) -> dict[str, int | None]:
        """The `usage` object: a count that no call told is None."""
        return {
            name: self[name] if (self.lanes >> (_TOLD_AT + number * _COUNT_BITS)) & _COUNT_MASK else None
            for number, name in enumerate(TOKENS)
        }

    @property
    def cost_usd(self) -> float | None:
        """None when no call had a price."""
        return self["cost_pico"] / PICO if self["priced"] else None

    def percentile(self, share: float) -> float | None:
        """Seconds within which that share (0 to 1) of the calls was answered; None when none was."""
        histogram = self.lanes >> _LATENCY_AT
        counts = []
        while histogram:
            counts.append(histogram & _COUNT_MASK)
            histogram >>= _COUNT_BITS
        wanted = share * sum(counts)
        if not wanted:
            return None
        bucket = next(number for number, so_far in enumerate(accumulate(counts)) if so_far >= wanted)
        return float(2 ** ((bucket + 0.5) / _PER_DOUBLING) / 1000)


def tally_of(call: Call) -> Tally:
    """One model call, counted."""
    lanes = (1 << _SUM_AT["calls"]) + (call.error << _SUM_AT["errors"])
    for number, (name, tokens) in enumerate(zip(TOKENS, call.tokens, strict=True)):
        if tokens is not None:
            lanes += (_bounded(tokens) << _SUM_AT[name]) + (1 << (_TOLD_AT + number * _COUNT_BITS))
    if call.cost_usd is not None:
        lanes += (1 << _SUM_AT["priced"]) + (_bounded(call.cost_usd * PICO) << _SUM_AT["cost_pico"])
    elif not call.error:
        lanes += 1 << _SUM_AT["unpriced"]
    if call.duration_s is not None:
        lanes += _bounded(call.duration_s * 1e6) << _SUM_AT["duration_us"]
        lanes += 1 << (_LATENCY_AT + _bucket(call.duration_s) * _COUNT_BITS)
    return Tally(lanes)


def _bounded(value: float) -> int:
    """A count below zero would take from its neighbour's lane."""
    return round(max(0, min(_LARGEST, value)))


def _bucket(duration_s: float) -> int:
    milliseconds = duration_s * 1000
    return min(_LAST_BUCKET, int(math.log2(milliseconds) * _PER_DOUBLING)) if milliseconds > 1 else 0


def pack(tally: Tally) -> bytes:
    """A tally as bytes. Raises OverflowError for one that was taken too much from."""
    return tally.lanes.to_bytes((tally.lanes.bit_length() + 7) // 8, "little")


def unpack(data: bytes) -> Tally:
    """The inverse of `pack`."""
    return Tally(0, data)


def tallies(
    *, created_ns: int, name: str, tags: Mapping[str, str], failed: bool, calls: Iterable[Call]
) -> dict[Place, Tally]:
    """What one session adds to every tally it belongs to. Calls count on the day they began, sessions on theirs."""
    found: dict[Place, Tally] = {}
    labels = [("day", "", ""), *((("name", name, ""),) if name else ()), *(("tag", k, v) for k, v in tags.items())]
    born = created_ns // DAY_NS
    seen = {Place(by, born, one, two) for by, one, two in labels}
    for call in calls:
        day, counted = call.started_ns // DAY_NS, tally_of(call)
        seen.add(Place("provider", born, call.provider))
        seen.add(Place("model", born, call.provider, call.model))
        for by, one, two in (*labels, ("provider", call.provider, ""), ("model", call.provider, call.model)):
            found.setdefault(Place(by, day, one, two), Tally()).lanes += counted.lanes
    session = (1 << _SUM_AT["sessions"]) + (failed << _SUM_AT["failed"])
    for place in seen:
        found.setdefault(place, Tally()).lanes += session
    return found
