"""Ranks of equal concurrent callers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from playhead.player.ranks import Arrival, rank


def test_fresh_connections_are_ranked_by_accept_order_and_used_ones_keep_their_place() -> None:
    """Whether both ways agree is said."""
    fresh = [Arrival(1, 9, reused=False), Arrival(2, 7, reused=False)]
    assert rank(fresh) == ([1, 0], False)
    assert rank([Arrival(1, 9, reused=True), Arrival(2, 7, reused=True)]) == ([0, 1], True)
    mixed = [Arrival(1, 9, reused=False), Arrival(2, 3, reused=True), Arrival(3, 7, reused=False)]
    assert rank(mixed) == ([2, 1, 0], False)
    assert rank([]) == ([], True)


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=8, unique_by=lambda a: a[0]))
def test_a_rank_is_a_permutation_whatever_arrived(arrivals: list[tuple[int, bool]]) -> None:
    """Every caller has one place; accept order and arrival that agree are always claimed."""
    live = [Arrival(n, connection, reused=reused) for n, (connection, reused) in enumerate(arrivals)]
    order, agrees = rank(live)
    assert sorted(order) == list(range(len(live)))
    accepted = [a.connection for a in live if not a.reused]
    assert agrees == (accepted == sorted(accepted))
