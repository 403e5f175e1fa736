"""The installed `playhead` command, run as a user runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAYHEAD = shutil.which("playhead", path=str(Path(sys.executable).parent)) or "playhead"


def plain_environment(home: Path, **more: str) -> dict[str, str]:
    """A small environment of its own: PATH with this interpreter first, HOME, a store in it."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(home), "PLAYHEAD_STORE": str(home / "store"), **more}


def playhead(*arguments: object, env: Mapping[str, str], **popen: Any) -> subprocess.CompletedProcess[str]:
    """Run it to its end; standard input is empty unless given."""
    if "input" not in popen:
        popen.setdefault("stdin", subprocess.DEVNULL)
    command = [PLAYHEAD, *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False, **popen)
