"""Which of several equal concurrent callers is which: by rank.

Equal requests under way together cannot be told apart by what they say. Clients open connections in the order in which
their code issued the calls, so on fresh connections the rank is the accept order; on reused ones it is the order of
arrival. Where the two disagree the assignment is reproduced but not claimed.
"""

from __future__ import annotations

from typing import NamedTuple


class Arrival(NamedTuple):
    """When and how a request came: its exchange number, its connection's accept rank, and whether that connection had
    carried a request before."""

    exchange: int
    connection: int
    reused: bool


def rank(arrivals: list[Arrival]) -> tuple[list[int], bool]:
    """Indices of `arrivals` in rank order, and whether both ways of ranking agree."""
    by_arrival = sorted(range(len(arrivals)), key=lambda i: arrivals[i].exchange)
    fresh = sorted((i for i in by_arrival if not arrivals[i].reused), key=lambda i: arrivals[i].connection)
    accepted = iter(fresh)
    by_rank = [i if arrivals[i].reused else next(accepted) for i in by_arrival]
    return by_rank, by_rank == by_arrival
