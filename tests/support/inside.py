"""Recording and replaying small Python agents whose boundaries lie inside them: no wire, no server."""

import json
import sys
import textwrap
from pathlib import Path

from tests.support.executable import playhead


class Agent:
    """A script in a folder of its own, recorded and replayed by the real command."""

    def __init__(self, env, folder: Path, code: str, *arguments: str, python: str = sys.executable) -> None:
        self.env = env
        self.path = folder / "agent.py"
        self.summary = folder / "summary.json"
        self.arguments = arguments
        self.python = python
        self.write(code)

    def write(self, code: str) -> None:
        """Put other code in its place."""
        self.path.write_text(textwrap.dedent(code))

    def record(self, *options: str, code: int = 0, **more):
        """Record it; returns what `subprocess.run` does, with the summary."""
        python = [self.python] if isinstance(self.python, str) else self.python
        command = (*python, str(self.path), *self.arguments)
        ran = playhead(
            "record",
            "--allow-empty",
            "--name",
            "it",
            "--summary",
            self.summary,
            *options,
            "--",
            *command,
            env=self.env,
            **more,
        )
        assert ran.returncode == code, ran.stderr
        return self._with_summary(ran)

    def replay(self, *options: str, **more):
        """Replay the newest recording."""
        ran = playhead("replay", "--summary", self.summary, *options, "it", env=self.env, **more)
        return self._with_summary(ran)

    def _with_summary(self, ran):
        ran.summary = json.loads(self.summary.read_text())
        return ran
