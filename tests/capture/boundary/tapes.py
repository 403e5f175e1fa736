"""One process on the two real tapes, and what its recording and its player say."""

from playhead.player.agent import Script
from tests.support.boundaries import Taped


class Tapes(Taped):
    """Each recording replaces the one before; `said` is what the player of the last replay reported."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.path.unlink(missing_ok=True)

    def record(self, run):
        """Run it on a recorder."""
        self.path.unlink(missing_ok=True)
        return super().record(run)

    def replay(self, run):
        """Run it on a player of the last recording."""
        self.reports.clear()
        return super().replay(run)

    @property
    def said(self):
        """What the player reported, in order."""
        return self.reports

    def recorded(self):
        """The calls of the recording, in their order."""
        return list(self.script().calls.values())

    def script(self):
        """What the recording tells."""
        return Script(self.events())

    @property
    def end(self):
        """How the player closed."""
        return next(facts["end"] for facts in self.said if "end" in facts)

    @property
    def divergence(self):
        """The first divergence."""
        return next(facts["divergence"] for facts in self.said if "divergence" in facts)
