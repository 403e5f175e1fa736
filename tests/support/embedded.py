"""Programs that record and replay blocks of their own, run as users run them: no launcher."""

import subprocess
import sys
import textwrap
from pathlib import Path


class Program:
    """A script in a folder of its own. `tools` counts the lines of the file `ran` there, which its tools append to."""

    def __init__(self, env, folder: Path, code: str) -> None:
        self.env = {**env, "PYTHONHASHSEED": "0"}
        self.folder = folder
        self.path = folder / "program.py"
        self.path.write_text(textwrap.dedent(code))

    def run(self, *arguments: str, code: int = 0) -> str:
        """Its standard output."""
        ran = subprocess.run(
            [sys.executable, str(self.path), *arguments],
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == code, ran.stderr
        return ran.stdout

    @property
    def tools(self) -> int:
        """How often its tools ran."""
        ran = self.folder / "ran"
        return len(ran.read_text().splitlines()) if ran.exists() else 0
