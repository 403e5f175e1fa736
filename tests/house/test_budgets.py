"""What Playhead costs before it does anything, in CPU time over bare Python."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

BARE_MS = 15.0
_HELP = ["-c", "from playhead.cli.main import main; main(['--help'])"]


def cpu_ms(arguments: list[str], environment: dict[str, str], *, runs: int = 9) -> float:
    """The least CPU time, user and system, that one of several runs of this interpreter took, in milliseconds."""
    least = float("inf")
    for _ in range(runs):
        child = subprocess.Popen([sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        least = min(least, (usage.ru_utime + usage.ru_stime) * 1000)
    return least


@pytest.fixture
def compiled(tmp_path: Path) -> dict[str, str]:
    """An environment in which bytecode is cached, as it is where Playhead is installed."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path)
    for warm_up in (["-c", "import playhead"], _HELP):
        subprocess.run([sys.executable, *warm_up], env=environment, check=True, stdout=subprocess.DEVNULL)
    return environment


def over_bare_ms(arguments: list[str], environment: dict[str, str]) -> float:
    """CPU time over bare Python, as it would be on a machine where bare Python takes 15 ms: a busy machine slows both."""
    bare = cpu_ms(["-c", "pass"], environment)
    return (cpu_ms(arguments, environment) - bare) / max(1.0, bare / BARE_MS)


def test_import_playhead_within_30_ms(compiled: dict[str, str]) -> None:
    """An agent that imports Playhead must not notice."""
    assert over_bare_ms(["-c", "import playhead"], compiled) <= 30


def test_help_within_80_ms(compiled: dict[str, str]) -> None:
    """The command line answers at once."""
    assert over_bare_ms(_HELP, compiled) <= 80
