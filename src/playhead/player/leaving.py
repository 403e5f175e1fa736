"""A client that went away in the middle of an answer, as recorded: one that reads on is not what was recorded, and would wait
for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from playhead.core.clock import monotonic_ns
from playhead.matching.divergence import DivergenceClass

if TYPE_CHECKING:
    from playhead.matching.divergence import Divergence
    from playhead.player.player import Player
    from playhead.player.script import Delivery
    from playhead.player.turn import PlayedTurn

READS_ON_AFTER_S = 10.0
"""At rest, and beyond what the recorded client took to go away."""
LOOK_S = 0.1


def await_leaving(player: Player, loop: Any, turn: PlayedTurn, delivery: Delivery) -> None:
    """See to it that the client of `turn`, which has all that was recorded, goes away. Where nothing can wait (`loop` has no
    timers), the reader of the answer sees its end by itself."""
    if not hasattr(loop, "call_later"):
        return
    exchange = delivery.part.exchange
    had_ns = exchange.chunks[-1].t_ns if exchange.chunks else exchange.opened_ns
    bound_ns = int(READS_ON_AFTER_S * 1e9) + max(0, delivery.t_ns - had_ns)

    def look(rested_since: int) -> None:
        if turn.gone:
            return
        now = monotonic_ns()
        since = (rested_since or now) if player.rest.resting(()) else 0
        if since and now - since >= bound_ns:
            player.ends(turn, _reads_on(player, delivery))
        else:
            loop.call_later(LOOK_S, look, since)

    loop.call_later(LOOK_S, look, 0)


def _reads_on(player: Player, delivery: Delivery) -> Divergence:
    return replace(
        player.judge.absent(delivery.part, swapped=False),
        kind=DivergenceClass.EXHAUSTED,
        expected="its client goes away before the end of the answer",
        observed="it reads on",
        headline="the run reads on where the recorded one went away",
        meaning="the recording has no more of this answer",
    )
