"""The two real tapes in one process: what a function did is recorded into a segment, and told from it again."""

from playhead.capture.boundary import active
from playhead.core.redact import Redactor
from playhead.journal.agent import AgentRecorder
from playhead.journal.segment import SegmentWriter, read_segment
from playhead.player.agent import AgentPlayer, Script


class Tapes:
    """Each recording replaces the one before. `said` is what the player of the last replay reported."""

    def __init__(self, folder):
        self.folder = folder
        self.count = 0
        self.path = None
        self.said = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        active.end()

    def record(self, agent):
        """Run it on a recorder."""
        self.count += 1
        self.path = self.folder / f"agent-{self.count}.seg"
        return self._run(AgentRecorder(SegmentWriter(self.path, self.path.stem), Redactor), agent)

    def replay(self, agent):
        """Run it on a player of the last recording."""
        self.said = []
        return self._run(AgentPlayer(self.script(), Redactor, self.said.append), agent)

    def _run(self, tape, agent):
        active.begin(tape)
        try:
            return agent()
        finally:
            active.end()
            tape.close()

    def events(self):
        """The events of the last recording."""
        return read_segment(self.path.read_bytes(), self.path.stem).events

    def script(self):
        """What the last recording tells."""
        return Script(self.events())

    def recorded(self):
        """The calls of the last recording, in their order."""
        return list(self.script().calls.values())

    @property
    def end(self):
        """How the player closed."""
        return next(facts["end"] for facts in self.said if "end" in facts)

    @property
    def divergence(self):
        """The first divergence."""
        return next(facts["divergence"] for facts in self.said if "divergence" in facts)
