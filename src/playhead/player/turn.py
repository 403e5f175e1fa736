"""One live exchange in a replay, as its caller drives it: what it asks goes to the player."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playhead.core.tape import Caller, Exchange
    from playhead.player.player import Player
    from playhead.player.script import Part

_EXPECTS = re.compile(rb"(?i)\nexpect:[ \t]*100-continue")


class PlayedTurn:
    """One live exchange in a replay."""

    __slots__ = (
        "begun",
        "body",
        "caller",
        "continued",
        "exchange",
        "expects",
        "gone",
        "head",
        "part",
        "player",
        "size",
        "whole",
    )

    def __init__(self, player: Player, exchange: Exchange, head: bytes, caller: Caller) -> None:
        self.player = player
        self.exchange = exchange
        self.head = head
        self.caller = caller
        self.body: list[bytes] = []
        self.size = 0
        self.part: Part | None = None
        self.begun = False  # bytes of its answer have left
        self.gone = False
        self.whole = False
        # `expects` until it was told to go on; hardly any does
        self.expects = head.lower().find(b"\nexpect:") >= 0 and _EXPECTS.search(head) is not None
        self.continued = self.expects

    def feed(self, data: bytes) -> None:
        if not self.whole:
            self.body.append(data)
            self.size += len(data)
            self.player.heard(self)
        elif self.part is not None and self.part.talk is not None and not self.gone:
            self.player.told(self, self.part, data)

    def end(self) -> None:
        self.whole = True
        if not self.gone and self.part is None:
            self.player.asked(self)

    def abandon(self) -> None:
        if not self.gone:
            self.player.abandoned(self)

    def hold(self, *, holding: bool) -> None:
        """Answers of a replay are in memory already: the transport buffers them."""
