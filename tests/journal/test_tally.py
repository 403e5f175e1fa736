"""Sums that can be added to and taken away from exactly."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playhead.journal.tally import DAY_NS, TOKENS, Call, Place, Tally, pack, tallies, tally_of, unpack

COUNT = st.one_of(st.none(), st.integers(0, 10**9))
CALLS = st.builds(
    Call,
    started_ns=st.integers(0, 3 * DAY_NS),
    provider=st.sampled_from(["openai", "anthropic"]),
    model=st.sampled_from(["a", "b"]),
    error=st.booleans(),
    duration_s=st.one_of(st.none(), st.floats(0, 10**6)),
    tokens=st.tuples(COUNT, COUNT, COUNT, COUNT, COUNT),
    cost_usd=st.one_of(st.none(), st.floats(0, 1000)),
)


def sum_of(calls: list[Call]) -> Tally:
    return Tally(sum(tally_of(call).lanes for call in calls))


@given(st.lists(CALLS, max_size=20), st.lists(CALLS, max_size=20))
def test_what_was_added_can_be_taken_away(kept: list[Call], gone: list[Call]) -> None:
    """Money, tokens and histogram are then as if it had never been there."""
    both = sum_of(kept + gone)
    assert both == Tally(sum_of(kept).lanes + sum_of(gone).lanes)
    assert Tally(both.lanes - sum_of(gone).lanes) == sum_of(kept)
    assert (both["calls"], both["errors"]) == (len(kept + gone), sum(call.error for call in kept + gone))
    assert [both[name] for name in TOKENS] == [sum(call.tokens[n] or 0 for call in kept + gone) for n in range(5)]


@given(st.lists(CALLS, max_size=20))
def test_what_is_owed_is_not_hidden_by_failures_that_told_their_price(calls: list[Call]) -> None:
    """A failed call with a price does not stand for an answered one without."""
    assert sum_of(calls)["unpriced"] == sum(call.cost_usd is None and not call.error for call in calls)


@given(st.lists(CALLS, max_size=20))
def test_a_tally_survives_its_column(calls: list[Call]) -> None:
    """To bytes and back; one that was taken too much from is refused."""
    tally = sum_of(calls)
    assert unpack(pack(tally)) == tally
    with pytest.raises(OverflowError):
        pack(Tally(-1 - tally.lanes))


@given(st.integers(max_value=-1), st.floats(max_value=-1e-9, allow_infinity=False), st.integers(1 << 62, 1 << 80))
def test_absurd_claims_stay_in_their_lane(below: int, cost: float, above: int) -> None:
    """A recording may claim anything: what is below nothing counts as nothing, and too much as the most there is."""
    tally = sum_of([Call(0, "p", "m", False, 1e300, (below, above, 7, None, None), cost)] * 3)
    assert [tally[name] for name in TOKENS] == [0, 3 * ((1 << 62) - 1), 21, 0, 0]
    assert (tally["calls"], tally["cost_pico"], tally["duration_us"]) == (3, 0, 3 * ((1 << 62) - 1))


@given(st.lists(st.floats(0.002, 3600), min_size=1, max_size=60), st.sampled_from([0.5, 0.95]))
def test_a_percentile_is_within_its_promise(durations: list[float], share: float) -> None:
    """4.5 % of the call that stands at that place."""
    tally = sum_of([Call(0, "p", "m", False, each, (None,) * 5, None) for each in durations])
    exact = sorted(durations)[math.ceil(share * len(durations)) - 1]
    found = tally.percentile(share)
    assert found is not None
    assert abs(found / exact - 1) <= 0.045


def test_what_no_call_told_is_not_zero() -> None:
    """Unknown tokens, unknown cost, no latency."""
    tally = sum_of([Call(0, "p", "m", True, None, (5, None, None, 0, None), None)])
    assert list(tally.tokens().values()) == [5, None, None, 0, None]
    assert (tally.cost_usd, tally.percentile(0.5), tally["errors"]) == (None, None, 1)
    assert Tally().is_empty


def test_a_session_counts_once_in_each_place_and_calls_on_their_day() -> None:
    """Two models, two tags, over midnight."""
    more: dict[str, Any] = {"error": False, "duration_s": 1.0, "tokens": (1, None, None, 2, None), "cost_usd": 0.5}
    calls = [
        Call(DAY_NS - 1, "openai", "a", **more),
        Call(DAY_NS, "openai", "a", **more),
        Call(DAY_NS, "openai", "b", **more),
    ]
    found = tallies(created_ns=DAY_NS - 5, name="n", tags={"k": "v", "l": "w"}, failed=True, calls=calls)
    assert {place: (t["sessions"], t["failed"], t["calls"]) for place, t in found.items()} == {
        Place("day", 0): (1, 1, 1),
        Place("day", 1): (0, 0, 2),
        Place("name", 0, "n"): (1, 1, 1),
        Place("name", 1, "n"): (0, 0, 2),
        Place("tag", 0, "k", "v"): (1, 1, 1),
        Place("tag", 1, "k", "v"): (0, 0, 2),
        Place("tag", 0, "l", "w"): (1, 1, 1),
        Place("tag", 1, "l", "w"): (0, 0, 2),
        Place("provider", 0, "openai"): (1, 1, 1),
        Place("provider", 1, "openai"): (0, 0, 2),
        Place("model", 0, "openai", "a"): (1, 1, 1),
        Place("model", 1, "openai", "a"): (0, 0, 1),
        Place("model", 0, "openai", "b"): (1, 1, 0),
        Place("model", 1, "openai", "b"): (0, 0, 1),
    }
