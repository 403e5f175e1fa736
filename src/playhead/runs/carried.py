"""HTTP of one process on a tape in that process: recorder or player behind `capture.boundary.wire`, for runs that no launcher
started.

What is written and what is played is as with the engine: the same events in a segment of that name, the same matching,
the same refusals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playhead.capture.boundary.wire import Network, Soon, Wire
from playhead.core.events import EventKind
from playhead.runs.inner import name_of_lane

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playhead.core.redact import Redactor
    from playhead.core.tape import Exchange
    from playhead.journal.segment import SegmentWriter
    from playhead.matching.masks import Masks, RunFacts
    from playhead.player.player import Player
    from playhead.sessions.model import Recording

SEGMENT = "engine"
"""The segment in which readers look for what went over the wire."""


class RecordedWire(Wire):
    """A wire that asks the world and writes down what came. The writer's `resume`, for `fsync`, is
    `capture.boundary.wire.resume`; whoever made the writer closes it, after `finish`. `trouble` hears once, with the reason,
    when the recording stops being whole."""

    def __init__(self, writer: SegmentWriter, *, redactor: Redactor, trouble: Callable[[str], None]) -> None:
        from playhead.journal.gate import ClientsOwn
        from playhead.journal.recorder import Recorder

        soon = Soon()
        self.recorder = Recorder(
            writer, Network(soon), ClientsOwn(), redactor=redactor, lane_of=lambda _connection: 0, trouble=trouble
        )
        super().__init__(self.recorder, soon, live=True, when_durable=self.recorder.when_durable, passed_by=self._past)

    def _past(self, host: str, reason: str) -> None:
        meta = {"host": host, "reason": reason, "bytes": 0}
        self.recorder.write(EventKind.NOT_CAPTURED, 0, meta=meta)

    def finish(self) -> dict[str, Any]:
        """Nothing more is recorded: how many exchanges were, and whether all of it is written."""
        super().finish()
        return {"exchanges": self.recorder.exchanges, "whole": self.recorder.whole}


class PlayedWire(Wire):
    """A wire that answers from a recording and knows no network; in `folder` the process says what it does. `halt(reason)`
    is called, with the wire's lock held, when a strict replay has to stop; from then on every request is refused."""

    def __init__(
        self,
        recording: Recording,
        folder: Path,
        *,
        redactor: Redactor,
        facts: RunFacts,
        masks: Masks,
        strict: bool,
        halt: Callable[[str], None],
    ) -> None:
        from playhead.player.judge import RecordingJudge
        from playhead.player.player import Player
        from playhead.player.script import write_script

        def lane_of(exchange: Exchange) -> str:
            return name_of_lane(recording, folder, exchange.asker.mark) if exchange.asker is not None else "main"

        soon = Soon()
        judge = RecordingJudge(recording, redactor, facts, masks)
        script = write_script(recording, judge.recorded(recording), in_process=True)
        self.player: Player = Player(script, judge, _Still(), strict=strict, lane_of=lane_of, halt=halt, loop=soon)
        self.blocked: set[str] = set()
        super().__init__(self.player, soon, live=False, passed_by=lambda host, _reason: self.blocked.add(host))

    def finish(self) -> dict[str, Any]:
        """Nothing more is answered: how the replay went, as the engine says it of its own."""
        super().finish()
        unplayed = self.player.finish()
        return {
            **self.player.outcome(),
            "unplayed": unplayed,
            "blocked": sorted(self.blocked),
            "busy": [],
        }


class _Still:
    """Rest, of which nobody has to ask: every caller gives its answers their place itself."""

    def resting(self, ports: object) -> bool:  # noqa: ARG002
        return True

    def when_resting(self, ports: object, then: Callable[[bool], None], bound: object) -> Callable[[], None]:  # noqa: ARG002
        then(True)
        return lambda: None
